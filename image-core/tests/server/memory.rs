//! What does not fit is refused before it takes anything, what fits later waits, and the server goes on.

use std::time::{Duration, Instant};

use nephrite_cpu::Level;
use nephrite_proto::v1::resize_request::Target;
use nephrite_proto::v1::{
    LoadRequest, ModelServiceInspectRequest, ResizeRequest, RunRequest, SegmentationOptions, Shape,
};
use nephrite_types::ErrorCode;

use crate::harness::{MODEL, SMALL_SCAN, TestServer, small_run, write_scan};

const MIB: u64 = 1 << 20;

fn peak_rss_bytes() -> u64 {
    nephrite_image_core::peak_rss_bytes()
}

async fn run(server: &TestServer, request: RunRequest) -> Result<(), ErrorCode> {
    match server.client.run(request).await {
        Err(error) => Err(error.code),
        Ok(events) => events.done().await.map(drop).map_err(|error| error.code),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tile_step_that_cannot_be_is_refused_at_once_and_takes_no_memory() {
    let server = TestServer::start(|config| config.limits.max_tiles = 100).await;
    run(&server, small_run("results/first.nii.gz")).await.unwrap();
    let before = peak_rss_bytes();
    for (step, code) in [
        (1e-12, ErrorCode::InvalidArgument),
        (1e-9, ErrorCode::InvalidArgument),
        (0.049, ErrorCode::InvalidArgument), // 0.98 of a voxel along the longest axis, less along the others
        (0.0, ErrorCode::InvalidArgument),
        (f64::NAN, ErrorCode::InvalidArgument),
        (0.0626, ErrorCode::LimitExceeded), // one voxel, but more than 100 tiles
    ] {
        let began = Instant::now();
        let request = RunRequest {
            options: Some(SegmentationOptions {
                mirroring: Some(false),
                tile_step_size: Some(step),
                ..Default::default()
            }),
            ..small_run("results/step.nii.gz")
        };
        assert_eq!(run(&server, request).await, Err(code), "{step}");
        assert!(began.elapsed() < Duration::from_secs(20), "{step}");
    }
    assert!(peak_rss_bytes() - before < 64 * MIB);
    run(&server, small_run("results/last.nii.gz")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_and_resizes_that_can_never_fit_are_refused_and_the_next_request_runs() {
    let server = TestServer::start(|config| config.steps.max_memory_bytes = Some(512 * MIB)).await;
    // small as a file, 0.7 GB as the input of a network of 1.5 mm
    write_scan(&server.path("scans"), "coarse.nii.gz", [8, 20, 20], [60.0; 3]);
    run(&server, small_run("results/first.nii.gz")).await.unwrap();
    let before = peak_rss_bytes();
    let coarse = RunRequest {
        input: vec!["scans/coarse.nii.gz".into()],
        ..small_run("results/coarse.nii.gz")
    };
    assert_eq!(run(&server, coarse).await, Err(ErrorCode::LimitExceeded));
    let resize = ResizeRequest {
        input: SMALL_SCAN.into(),
        output: "results/large.nii.gz".into(),
        target: Some(Target::Shape(Shape {
            x: 1000,
            y: 1000,
            z: 1000,
        })),
        ..Default::default()
    };
    let refused = server.client.resize(resize).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::LimitExceeded);
    assert!(refused.message.contains("bytes of memory"), "{}", refused.message);
    assert!(peak_rss_bytes() - before < 64 * MIB);
    assert!(!server.path("results/coarse.nii.gz").exists() && !server.path("results/large.nii.gz").exists());
    run(&server, small_run("results/last.nii.gz")).await.unwrap();
}

/// Room for one run at a time, and for none beside an idle model of another folder.
#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_for_room_and_idle_models_make_it() {
    let server = TestServer::start(|config| {
        config.max_concurrent_runs = 4;
        config.steps.max_memory_bytes = Some(80 * MIB);
    })
    .await;
    let load = LoadRequest {
        model: crate::harness::TWO_CHANNELS.into(),
        ..Default::default()
    };
    server.client.load_model(load).await.unwrap();
    let server_ref = &server;
    let run_of = |n: u32| async move { run(server_ref, small_run(&format!("results/{n}.nii.gz"))).await };
    let ends = tokio::join!(run_of(0), run_of(1), run_of(2), run_of(3));
    assert_eq!(ends, (Ok(()), Ok(()), Ok(()), Ok(())));
    let load = LoadRequest {
        model: MODEL.into(),
        ..Default::default()
    };
    server.client.load_model(load).await.unwrap();
}

/// What a model takes is said for the settings of the server that says it.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_described_for_the_instructions_of_the_server() {
    let mut of_levels = Vec::new();
    for instructions in [None, Some(Level::best()), Some(Level::Portable)] {
        let server = TestServer::start(|config| config.cpu.instructions = instructions).await;
        let request = ModelServiceInspectRequest {
            model: MODEL.into(),
            ..Default::default()
        };
        let model = server.client.inspect_model(request).await.unwrap();
        of_levels.push(model.expected_memory_bytes.unwrap());
    }
    let [default, best, portable] = of_levels[..] else {
        panic!("{of_levels:?}")
    };
    assert_eq!(default, best);
    assert_eq!(
        best == portable,
        Level::best() == Level::Portable,
        "{of_levels:?}"
    );
}
