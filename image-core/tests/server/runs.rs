//! What a run gives: events in order, the command line's mask, weights read once.

use nephrite_image_core::{
    Core, CoreSettings, ModelBudget, ModelChoice, PostprocessingChoice, Root, RuntimeSettings,
    SegmentRequest, SegmentationOptions, StepBudget, segment,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldName, FoldSelection};
use nephrite_proto::Event;
use nephrite_proto::v1::{ListRequest, LoadRequest, Provider, Stage, UnloadRequest};
use nephrite_types::{CancelToken, Limits, NoProgress};

use crate::harness::{MODEL, SMALL_SCAN, TestServer, log_of, log_text, small_run};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_tells_its_stages_in_order_and_gives_the_mask_of_the_command_line() {
    let server = TestServer::start(|_| {}).await;
    let mut events = server.client.run(small_run("results/mask.nii.gz")).await.unwrap();
    let mut told = Vec::new();
    let mut request_id = String::new();
    let (mut tiles_done, mut tiles_total) = (0, 0);
    let mut done = None;
    while let Some(event) = events.next().await.unwrap() {
        assert!(done.is_none(), "{event:?} after the end");
        match event {
            Event::Accepted(accepted) => {
                assert_eq!(accepted.position, 0);
                request_id = accepted.request_id;
                told.push("accepted".to_owned());
            }
            Event::Loading(loading) => told.push(format!("loading {}", loading.stage().as_str_name())),
            Event::Progress(tiles) => {
                assert!(tiles.tiles_done > tiles_done, "progress goes on");
                assert!(tiles.seconds_left.unwrap() >= 0.0);
                assert_eq!(tiles.stage(), Stage::Inference);
                (tiles_done, tiles_total) = (tiles.tiles_done, tiles.tiles_total);
                if told.last().unwrap() != "progress" {
                    told.push("progress".to_owned());
                }
            }
            Event::Exporting(exporting) => {
                told.push(format!("exporting {}", exporting.stage().as_str_name()))
            }
            Event::Warning(warning) => panic!("there is nothing odd about it: {warning:?}"),
            Event::Done(report) => done = Some(report),
        }
    }
    let expected = [
        "accepted",
        "loading STAGE_LOAD_MODEL",
        "loading STAGE_READ",
        "loading STAGE_PREPROCESS",
        "progress",
        "exporting STAGE_EXPORT",
        "exporting STAGE_WRITE",
    ];
    assert_eq!(told, expected);
    assert_eq!(tiles_done, tiles_total);
    let done = done.unwrap();
    assert_eq!(done.tiles, tiles_total);
    assert_eq!(done.stages.len(), 6);
    assert!(done.stages.iter().map(|timing| timing.seconds).sum::<f64>() <= done.total_seconds);
    assert_eq!((done.provider(), done.threads), (Provider::Cpu, 1));
    assert!(done.input_bytes_read > 1000 && done.weight_bytes_read > 1000 && done.peak_rss_bytes > 1 << 20);
    assert_eq!(done.folds, ["fold_0"]);
    assert!(
        done.labels
            .iter()
            .any(|label| label.voxels > 0 && label.volume_ml > 0.0)
    );
    let shape = done.shape.unwrap();
    assert_eq!((shape.x, shape.y, shape.z), (37, 22, 30));

    let line = log_of(&request_id, "run done").await;
    assert_eq!(line["model"], MODEL.strip_prefix("models/").unwrap());
    assert!(
        !log_text().contains("small.nii.gz"),
        "paths are for the debug log"
    );

    let core = Core::new(CoreSettings {
        root: Root::beneath(server.root.path()).unwrap(),
        limits: Limits::default(),
        runtime: RuntimeSettings::new(
            nephrite_engine::Provider::Cpu,
            Some(1),
            None,
            std::env::var_os("ORT_DYLIB_PATH").map(Into::into),
        ),
        models: ModelBudget::default(),
        steps: StepBudget::default(),
    });
    let request = SegmentRequest {
        model: ModelChoice {
            folder: MODEL.into(),
            folds: FoldSelection::List(vec![FoldName::Number(0)]),
            checkpoint: CheckpointKind::Final,
            precision: None,
        },
        inputs: vec![SMALL_SCAN.into()],
        previous_stage: None,
        output: "results/direct.nii.gz".into(),
        objects: nephrite_image_core::WantedObjects::default(),
        save_probabilities: None,
        options: SegmentationOptions {
            mirroring: false,
            ..SegmentationOptions::default()
        },
        postprocessing: PostprocessingChoice::None,
        strict_geometry: false,
    };
    tokio::task::spawn_blocking(move || segment(&core, &request, &NoProgress, &CancelToken::new()))
        .await
        .unwrap()
        .unwrap();
    let read = |name| std::fs::read(server.path(name)).unwrap();
    assert_eq!(read("results/mask.nii.gz"), read("results/direct.nii.gz"));
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_read_once_and_again_after_unload() {
    let server = TestServer::start(|_| {}).await;
    let run = async || {
        let run = server.client.run(small_run("results/mask.nii.gz")).await.unwrap();
        run.done().await.unwrap()
    };
    let n_resident = async || {
        let listed = server.client.list_models(ListRequest::default()).await.unwrap();
        listed.resident.len()
    };
    assert_eq!(n_resident().await, 0);
    let weights = run().await.weight_bytes_read;
    assert!(weights > 1000);
    assert_eq!(run().await.weight_bytes_read, 0);
    assert_eq!(n_resident().await, 1);

    let unload = UnloadRequest {
        model: MODEL.to_owned(),
    };
    assert_eq!(
        server.client.unload_model(unload.clone()).await.unwrap().unloaded,
        1
    );
    assert_eq!(
        server.client.unload_model(unload.clone()).await.unwrap().unloaded,
        0
    );
    assert_eq!(n_resident().await, 0);
    assert_eq!(run().await.weight_bytes_read, weights);

    server.client.unload_model(unload).await.unwrap();
    let load = LoadRequest {
        model: MODEL.to_owned(),
        folds: vec!["0".to_owned()],
        checkpoint: None,
        precision: None,
    };
    let loaded = server.client.load_model(load.clone()).await.unwrap();
    assert_eq!(
        (loaded.weight_bytes_read, loaded.folds),
        (weights, vec!["fold_0".to_owned()])
    );
    assert_eq!(server.client.load_model(load).await.unwrap().weight_bytes_read, 0);
    assert_eq!(run().await.weight_bytes_read, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_model_is_warm_before_the_first_request() {
    let server = TestServer::start(|config| {
        config.models = vec![ModelChoice {
            folder: MODEL.into(),
            folds: FoldSelection::List(vec![FoldName::Number(0)]),
            checkpoint: CheckpointKind::Final,
            precision: None,
        }];
    })
    .await;
    let listed = server.client.list_models(ListRequest::default()).await.unwrap();
    assert_eq!(listed.resident.len(), 1);
    assert_eq!(listed.resident[0].folder, MODEL);
    let run = server.client.run(small_run("results/mask.nii.gz")).await.unwrap();
    assert_eq!(run.done().await.unwrap().weight_bytes_read, 0);
}
