//! A core that serves one folder: nothing that a request names leads out of it.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nephrite_engine::Provider;
use nephrite_image_core::{
    Core, CoreError, CoreSettings, ModelBudget, ModelChoice, PathError, PostprocessingChoice, Root,
    RuntimeSettings, SegmentRequest, SegmentationOptions, StepBudget, WantedObjects, segment,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::{CancelToken, Coded, ErrorCode, Limits, NoProgress, OutputFormat};

/// `root/` with links that lead out of it, and beside it what they lead to.
fn tree() -> (tempfile::TempDir, Core) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    std::fs::create_dir_all(root.join("scans")).unwrap();
    std::fs::create_dir(temp.path().join("private")).unwrap();
    std::fs::write(temp.path().join("private/scan.nii"), "secret").unwrap();
    std::fs::write(root.join("scans/scan.nii"), "no scan").unwrap();
    symlink("../private", root.join("link")).unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/models");
    symlink(
        models.join("Dataset901_Iso/nnUNetTrainer__nnUNetPlans__3d_fullres"),
        root.join("model"),
    )
    .unwrap();
    let core = Core::new(CoreSettings {
        root: Root::beneath(&root).unwrap(),
        limits: Limits::default(),
        runtime: RuntimeSettings::new(Provider::Cpu, None, None, None),
        models: ModelBudget::default(),
        steps: StepBudget::default(),
    });
    (temp, core)
}

fn model(folder: &str) -> ModelChoice {
    ModelChoice {
        folder: folder.into(),
        folds: FoldSelection::Available,
        checkpoint: CheckpointKind::Final,
        precision: None,
    }
}

#[test]
fn no_path_of_a_request_leads_out() {
    let (temp, core) = tree();
    let good = SegmentRequest {
        model: model("nowhere"),
        inputs: vec!["scans/scan.nii".into()],
        previous_stage: None,
        output: "scans/mask.nii".into(),
        objects: WantedObjects::default(),
        save_probabilities: None,
        options: SegmentationOptions::default(),
        postprocessing: PostprocessingChoice::None,
        strict_geometry: false,
    };
    let run =
        |request: &SegmentRequest| segment(&core, request, &NoProgress, &CancelToken::new()).unwrap_err();
    assert_eq!(
        run(&good).code(),
        ErrorCode::NotFound,
        "only the model is missing"
    );

    let absolute = temp.path().join("private/scan.nii");
    for outside in [
        "../private/scan.nii",
        "link/scan.nii",
        "/etc/passwd.nii",
        absolute.to_str().unwrap(),
    ] {
        let outside = PathBuf::from(outside);
        let requests = [
            SegmentRequest {
                inputs: vec![outside.clone()],
                ..good.clone()
            },
            SegmentRequest {
                previous_stage: Some(outside.clone()),
                ..good.clone()
            },
            SegmentRequest {
                output: outside.with_extension("gz.nii.gz"),
                ..good.clone()
            },
            SegmentRequest {
                save_probabilities: Some(outside.with_extension("npz")),
                ..good.clone()
            },
            SegmentRequest {
                objects: WantedObjects {
                    formats: vec![OutputFormat::DicomSeg],
                    codes: Some(outside.with_extension("toml")),
                },
                ..good.clone()
            },
            SegmentRequest {
                model: ModelChoice {
                    folder: outside.clone(),
                    ..good.model.clone()
                },
                ..good.clone()
            },
        ];
        for request in requests {
            let error = run(&request);
            assert_eq!(error.code(), ErrorCode::PermissionDenied, "{request:?}: {error}");
            assert!(
                matches!(error, CoreError::Path(PathError::OutsideRoot { .. })),
                "{error}"
            );
        }
    }
    assert_eq!(std::fs::read_dir(temp.path().join("private")).unwrap().count(), 1);
}

#[test]
fn models_that_a_link_leads_to_are_neither_read_nor_listed() {
    let (_temp, core) = tree();
    let error = core
        .inspect_model(&model("model"), &CancelToken::new())
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
    assert_eq!(
        core.models().list(Path::new("."), &CancelToken::new()).unwrap(),
        []
    );
    let error = core
        .models()
        .list(Path::new(".."), &CancelToken::new())
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
}
