//! Every kind of bad input gives its code, leaves no output, and the next request is served.

use std::fs;
use std::os::unix::fs::symlink;

use nephrite_proto::v1::resize_request::Target;
use nephrite_proto::v1::{
    ListRequest, LoadRequest, ModelServiceInspectRequest, ResizeRequest, RunRequest, SegmentationOptions,
    Shape, Spacing, UnloadRequest, VolumeServiceInspectRequest,
};
use nephrite_types::ErrorCode;

fn options(request: &mut RunRequest) -> &mut SegmentationOptions {
    request.options.get_or_insert_default()
}

use crate::harness::{LARGE_SCAN, MODEL, SMALL_SCAN, TWO_CHANNELS, TestServer, small_run};

async fn code_of(server: &TestServer, change: impl FnOnce(&mut RunRequest)) -> ErrorCode {
    let mut request = small_run("results/mask.nii.gz");
    change(&mut request);
    match server.client.run(request).await {
        Err(error) => error.code,
        Ok(events) => events.done().await.unwrap_err().code,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gives_its_code_and_the_next_request_is_served() {
    let server = TestServer::start(|config| config.limits.max_voxels = 500_000).await;
    let scan = fs::read(server.path(SMALL_SCAN)).unwrap();
    fs::write(server.path("scans/truncated.nii.gz"), &scan[..scan.len() / 2]).unwrap();
    fs::write(server.path("scans/text.nii.gz"), "no scan at all").unwrap();
    fs::write(server.path("scans/empty.nii.gz"), "").unwrap();
    fs::create_dir(server.path("results/folder.nii.gz")).unwrap();
    let broken = "models/Dataset999_Broken/nnUNetTrainer__nnUNetPlans__3d_fullres";
    fs::create_dir_all(server.path(broken)).unwrap();
    for file in ["dataset.json", "plans.json"] {
        fs::write(server.path(broken).join(file), "{\"no\": ").unwrap();
    }
    let truncated = "models/Dataset998_Truncated/nnUNetTrainer__nnUNetPlans__3d_fullres";
    let fold = server.path(truncated).join("fold_0");
    fs::create_dir_all(&fold).unwrap();
    for file in ["dataset.json", "plans.json"] {
        fs::copy(server.path(MODEL).join(file), server.path(truncated).join(file)).unwrap();
    }
    let weights = fs::read(server.path(MODEL).join("fold_0/checkpoint_final.pth")).unwrap();
    fs::write(fold.join("checkpoint_final.pth"), &weights[..weights.len() / 2]).unwrap();

    type Change = fn(&mut RunRequest);
    let cases: &[(&str, ErrorCode, Change)] = &[
        ("missing scan", ErrorCode::NotFound, |r| {
            r.input = vec!["scans/none.nii.gz".into()]
        }),
        ("folder as scan", ErrorCode::InvalidInput, |r| {
            r.input = vec!["scans".into()]
        }),
        ("truncated scan", ErrorCode::InvalidInput, |r| {
            r.input = vec!["scans/truncated.nii.gz".into()]
        }),
        ("text as scan", ErrorCode::InvalidInput, |r| {
            r.input = vec!["scans/text.nii.gz".into()]
        }),
        ("empty scan", ErrorCode::InvalidInput, |r| {
            r.input = vec!["scans/empty.nii.gz".into()]
        }),
        ("scan over the limit", ErrorCode::LimitExceeded, |r| {
            r.input = vec![LARGE_SCAN.into()]
        }),
        ("two channels for one", ErrorCode::InvalidInput, |r| {
            r.input.push(SMALL_SCAN.into())
        }),
        ("one channel for two", ErrorCode::InvalidInput, |r| {
            r.model = TWO_CHANNELS.into()
        }),
        ("previous stage for none", ErrorCode::InvalidInput, |r| {
            r.previous_stage = SMALL_SCAN.into()
        }),
        ("missing model", ErrorCode::NotFound, |r| {
            r.model = "models/none".into()
        }),
        ("file as model", ErrorCode::InvalidInput, |r| {
            r.model = SMALL_SCAN.into()
        }),
        ("folder that is no model", ErrorCode::InvalidModel, |r| {
            r.model = "scans".into()
        }),
        ("malformed plans", ErrorCode::InvalidModel, |r| {
            r.model = "models/Dataset999_Broken/nnUNetTrainer__nnUNetPlans__3d_fullres".into();
        }),
        ("truncated weights", ErrorCode::InvalidModel, |r| {
            r.model = "models/Dataset998_Truncated/nnUNetTrainer__nnUNetPlans__3d_fullres".into();
        }),
        ("missing fold", ErrorCode::NotFound, |r| {
            r.folds = vec!["7".into()]
        }),
        ("no fold at all", ErrorCode::InvalidArgument, |r| {
            r.folds = vec!["x".into()]
        }),
        ("unspecified checkpoint", ErrorCode::InvalidArgument, |r| {
            r.checkpoint = Some(0)
        }),
        ("unknown numerics", ErrorCode::InvalidArgument, |r| {
            options(r).numerics = Some(17)
        }),
        ("step of zero", ErrorCode::InvalidArgument, |r| {
            options(r).tile_step_size = Some(0.0)
        }),
        ("step that is no number", ErrorCode::InvalidArgument, |r| {
            options(r).tile_step_size = Some(f64::NAN)
        }),
        ("output over the input", ErrorCode::InvalidArgument, |r| {
            r.output = SMALL_SCAN.into()
        }),
        ("output of another format", ErrorCode::InvalidArgument, |r| {
            r.output = "results/mask.png".into()
        }),
        ("output in no folder", ErrorCode::NotFound, |r| {
            r.output = "none/mask.nii.gz".into()
        }),
        ("output in a file", ErrorCode::InvalidInput, |r| {
            r.output = format!("{SMALL_SCAN}/mask.nii.gz")
        }),
        ("output over a folder", ErrorCode::InvalidInput, |r| {
            r.output = "results/folder.nii.gz".into()
        }),
        ("no model", ErrorCode::InvalidArgument, |r| r.model.clear()),
        ("no input", ErrorCode::InvalidArgument, |r| r.input.clear()),
        ("no output", ErrorCode::InvalidArgument, |r| r.output.clear()),
        ("a NUL", ErrorCode::InvalidArgument, |r| {
            r.input = vec!["scans/\0".into()]
        }),
    ];
    let mut wrong = Vec::new();
    for (name, expected, change) in cases {
        let found = code_of(&server, change).await;
        if found != *expected {
            wrong.push(format!("{name}: {found}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(server.results(), ["folder.nii.gz"]);
    server.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_root() {
    let server = TestServer::start(|_| {}).await;
    let outside = tempfile::tempdir().unwrap();
    fs::copy(server.path(SMALL_SCAN), outside.path().join("scan.nii.gz")).unwrap();
    symlink(outside.path(), server.path("link")).unwrap();
    symlink(
        outside.path().join("scan.nii.gz"),
        server.path("scans/link.nii.gz"),
    )
    .unwrap();
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    let absolute = outside.path().to_str().unwrap();
    let folders = [
        format!("../{name}"),
        absolute.to_owned(),
        "link".to_owned(),
        format!("scans/../../{name}"),
    ];
    for folder in &folders {
        let check = |found: ErrorCode, what: &str| {
            assert_eq!(found, ErrorCode::PermissionDenied, "{what} through {folder}");
        };
        let scan = format!("{folder}/scan.nii.gz");
        check(code_of(&server, |r| r.input = vec![scan.clone()]).await, "input");
        check(
            code_of(&server, |r| r.output = format!("{folder}/mask.nii.gz")).await,
            "output",
        );
        check(code_of(&server, |r| r.model = folder.clone()).await, "model");
        check(
            code_of(&server, |r| r.postprocessing = Some(format!("{folder}/p.json"))).await,
            "postprocessing",
        );
        check(
            code_of(&server, |r| r.save_probabilities = format!("{folder}/p.npz")).await,
            "probabilities",
        );
        check(
            code_of(&server, |r| r.previous_stage = scan.clone()).await,
            "previous stage",
        );
        let client = &server.client;
        let request = VolumeServiceInspectRequest { input: scan.clone() };
        check(client.inspect_volume(request).await.unwrap_err().code, "inspect");
        let request = ListRequest { root: folder.clone() };
        check(client.list_models(request).await.unwrap_err().code, "list");
        let request = ModelServiceInspectRequest {
            model: folder.clone(),
            ..Default::default()
        };
        check(
            client.inspect_model(request).await.unwrap_err().code,
            "inspect model",
        );
        let request = LoadRequest {
            model: folder.clone(),
            ..Default::default()
        };
        check(client.load_model(request).await.unwrap_err().code, "load");
        let request = UnloadRequest {
            model: folder.clone(),
        };
        check(client.unload_model(request).await.unwrap_err().code, "unload");
        for (input, output) in [
            (scan.as_str(), "results/r.nii.gz"),
            (SMALL_SCAN, &format!("{folder}/r.nii.gz")),
        ] {
            let request = ResizeRequest {
                input: input.to_owned(),
                output: output.to_owned(),
                target: Some(Target::Shape(Shape { x: 4, y: 4, z: 4 })),
                ..Default::default()
            };
            check(client.resize(request).await.unwrap_err().code, "resize");
        }
    }
    let linked = code_of(&server, |r| r.input = vec!["scans/link.nii.gz".into()]).await;
    assert_eq!(linked, ErrorCode::PermissionDenied);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(server.results().is_empty(), "{:?}", server.results());
    // The same places, named absolutely, are fine beneath the root.
    let mut request = small_run("results/mask.nii.gz");
    request.input = vec![server.path(SMALL_SCAN).to_str().unwrap().to_owned()];
    server.client.run(request).await.unwrap().done().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_resizes_and_inspections_give_their_codes() {
    let server = TestServer::start(|_| {}).await;
    let least = || ResizeRequest {
        input: SMALL_SCAN.to_owned(),
        output: "results/r.nii.gz".to_owned(),
        target: Some(Target::Shape(Shape { x: 4, y: 4, z: 4 })),
        ..Default::default()
    };
    let code = async |change: fn(&mut ResizeRequest)| {
        let mut request = least();
        change(&mut request);
        server.client.resize(request).await.unwrap_err().code
    };
    assert_eq!(code(|r| r.target = None).await, ErrorCode::InvalidArgument);
    assert_eq!(
        code(|r| r.interpolation = Some(0)).await,
        ErrorCode::InvalidArgument
    );
    assert_eq!(
        code(|r| r.target = Some(Target::Shape(Shape { x: 0, y: 4, z: 4 }))).await,
        ErrorCode::InvalidArgument
    );
    let spacing = |x| Some(Target::Spacing(Spacing { x, y: 1.0, z: 1.0 }));
    let mut request = least();
    request.target = spacing(f64::NAN);
    assert_eq!(
        server.client.resize(request.clone()).await.unwrap_err().code,
        ErrorCode::InvalidArgument
    );
    request.target = spacing(1e-9);
    assert_eq!(
        server.client.resize(request).await.unwrap_err().code,
        ErrorCode::LimitExceeded
    );
    assert_eq!(
        code(|r| r.input = "scans/none.nii".into()).await,
        ErrorCode::NotFound
    );
    // Intensities are no label ids.
    assert_eq!(code(|r| r.label_map = true).await, ErrorCode::InvalidInput);
    let inspect = async |input: &str| {
        let request = VolumeServiceInspectRequest {
            input: input.to_owned(),
        };
        server.client.inspect_volume(request).await.unwrap_err().code
    };
    assert_eq!(inspect("").await, ErrorCode::InvalidArgument);
    assert_eq!(inspect("scans").await, ErrorCode::InvalidInput);
    assert_eq!(inspect("scans/none.nii").await, ErrorCode::NotFound);
    assert!(server.results().is_empty(), "{:?}", server.results());
    server.serves().await;
}
