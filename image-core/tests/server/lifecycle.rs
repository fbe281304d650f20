//! Start and end of a server.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nephrite_cpu::Level;
use nephrite_engine::Provider;
use nephrite_image_core::ModelChoice;
use nephrite_image_core::server::{self, ServeConfig, ServeError};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_proto::{Event, v1};
use nephrite_types::{Coded, ErrorCode, Precision};
use tokio::net::TcpListener;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{MODEL, PATIENCE, TestServer, log_of, long_run, root, small_run};

fn choice(folder: &str) -> ModelChoice {
    ModelChoice {
        folder: folder.into(),
        folds: FoldSelection::Available,
        checkpoint: CheckpointKind::Final,
        precision: None,
    }
}

fn health_request(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

const SERVICES: [&str; 4] = [
    "",
    "nephrite.v1.SegmentationService",
    "nephrite.v1.VolumeService",
    "nephrite.v1.ModelService",
];

#[tokio::test(flavor = "multi_thread")]
async fn health_says_serving_once_models_are_warm_and_not_serving_while_it_drains() {
    let mut server = TestServer::launch(root(), |config| {
        config.max_waiting_runs = 1;
        config.models = vec![choice(MODEL)];
    })
    .await;
    let mut watches = Vec::new();
    for service in SERVICES {
        let mut health = HealthClient::new(server.channel().await);
        watches.push(health.watch(health_request(service)).await.unwrap().into_inner());
    }
    let mut next = async |watch: usize| {
        let answer = tokio::time::timeout(PATIENCE, watches[watch].message())
            .await
            .unwrap();
        answer.unwrap().map(|answer| answer.status())
    };
    for watch in 0..SERVICES.len() {
        let mut status = next(watch).await.unwrap();
        if status == ServingStatus::NotServing {
            status = next(watch).await.unwrap();
        }
        assert_eq!(status, ServingStatus::Serving);
    }
    let resident = server
        .client
        .list_models(nephrite_proto::v1::ListRequest::default())
        .await
        .unwrap();
    assert_eq!(resident.resident.len(), 1, "serving means warm");
    let mut events = server.client.run(small_run("results/mask.nii.gz")).await.unwrap();
    events.next().await.unwrap();
    server.ask_to_stop();
    for watch in 0..SERVICES.len() {
        assert_eq!(next(watch).await, Some(ServingStatus::NotServing));
    }
    events.done().await.unwrap();
    server.ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_drains_finishes_what_runs_and_takes_nothing_new() {
    let mut server = TestServer::start(|config| config.max_waiting_runs = 2).await;
    let mut running = server.client.run(small_run("results/a.nii.gz")).await.unwrap();
    while !matches!(running.next().await.unwrap(), Some(Event::Loading(_))) {}
    let waiting = server.client.run(small_run("results/b.nii.gz")).await.unwrap();
    server.ask_to_stop();
    assert_eq!(waiting.done().await.unwrap_err().code, ErrorCode::Unavailable);
    assert_eq!(running.done().await.unwrap().mask, "results/a.nii.gz");
    server.ended().await.unwrap();
    assert_eq!(server.results(), ["a.nii.gz"]);
    assert!(
        TcpStream::connect(server.address).is_err(),
        "nobody listens any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_drain_timeout_what_runs_is_cancelled() {
    let mut server = TestServer::start(|config| config.drain_timeout = Duration::from_millis(200)).await;
    let mut running = server.client.run(long_run("results/a.nii.gz")).await.unwrap();
    let mut request_id = String::new();
    loop {
        match running.next().await.unwrap().unwrap() {
            Event::Accepted(accepted) => request_id = accepted.request_id,
            Event::Progress(_) => break,
            _ => {}
        }
    }
    let asked = Instant::now();
    server.ask_to_stop();
    assert_eq!(running.done().await.unwrap_err().code, ErrorCode::Unavailable);
    assert_eq!(log_of(&request_id, "run ended").await["code"], "unavailable");
    server.ended().await.unwrap();
    assert!(asked.elapsed() > Duration::from_millis(200));
    assert!(server.results().is_empty(), "{:?}", server.results());
}

/// Waits until the server says this of its health.
async fn health_becomes(server: &TestServer, expected: ServingStatus) {
    let mut health = HealthClient::new(server.channel().await);
    let started = Instant::now();
    loop {
        let answer = health.check(health_request("")).await.unwrap().into_inner();
        if answer.status() == expected {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "health does not become {expected:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_gone_turns_health_and_one_that_is_back_is_found() {
    let server = TestServer::start(|config| config.models = vec![choice(MODEL)]).await;
    let root = server.root.path().to_owned();
    let away = root.with_extension("away");
    let watched = {
        let mut health = HealthClient::new(server.channel().await);
        health
            .watch(health_request("nephrite.v1.SegmentationService"))
            .await
            .unwrap()
    };
    let mut watched = watched.into_inner();
    assert_eq!(
        watched.message().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    std::fs::rename(&root, &away).unwrap();
    health_becomes(&server, ServingStatus::NotServing).await;
    let status = watched.message().await.unwrap().unwrap().status();
    assert_eq!(status, ServingStatus::NotServing);
    let error = match server.client.run(small_run("results/mask.nii.gz")).await {
        Ok(events) => events.done().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    assert!(error.message.contains("root folder"), "{error}");
    assert!(
        !away.join("results/mask.nii.gz").exists(),
        "not into a folder that nobody sees"
    );

    // made anew: another folder under the same path
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(&away)
        .arg(&root)
        .status();
    assert!(copied.unwrap().success());
    std::fs::remove_dir_all(&away).unwrap();
    health_becomes(&server, ServingStatus::Serving).await;
    assert_eq!(
        watched.message().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    server.serves().await;
    let listed = server
        .client
        .list_models(nephrite_proto::v1::ListRequest::default())
        .await;
    assert_eq!(listed.unwrap().models.len(), 2);
}

async fn start_fails(change: impl FnOnce(&mut ServeConfig)) -> ServeError {
    let root = root();
    let mut config = ServeConfig::new(root.path().to_owned());
    config.ort_dylib_path = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    change(&mut config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ended = server::run(config, listener, std::future::pending());
    tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_says_why() {
    let error = start_fails(|config| config.models = vec![choice("models/none")]).await;
    assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
    let error = start_fails(|config| config.models = vec![choice("scans")]).await;
    assert_eq!(error.code(), ErrorCode::InvalidModel, "{error}");
    let error = start_fails(|config| config.models = vec![choice("..")]).await;
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
    let error = start_fails(|config| config.root = config.root.join("none")).await;
    assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
    let error = start_fails(|config| {
        config.provider = Provider::Cuda;
        config.models = vec![choice(MODEL)];
    })
    .await;
    assert_eq!(error.code(), ErrorCode::Environment, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_with_what_its_provider_needs() {
    // On the CPU, networks that nephrite builds need no library.
    let server = TestServer::start(|config| {
        config.ort_dylib_path = Some("nowhere".into());
        config.models = vec![choice(MODEL)];
    })
    .await;
    let run = server.client.run(small_run("results/mask.nii.gz")).await.unwrap();
    let done = run.done().await.unwrap();
    assert_eq!(done.precision(), v1::Precision::F32);
    assert_eq!(done.versions["kernels"], Level::best().name());
    assert!(!done.versions.contains_key("onnxruntime"), "{:?}", done.versions);

    let error = start_fails(|config| {
        config.provider = Provider::OpenVino;
        config.ort_dylib_path = Some("nowhere".into());
    })
    .await;
    assert_eq!(error.code(), ErrorCode::Environment, "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");
    let error = start_fails(|config| {
        config.provider = Provider::Cuda;
        config.precision = Some(Precision::Bf16);
    })
    .await;
    assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
    assert!(error.to_string().contains("precision is bf16"), "{error}");
    let error = start_fails(|config| {
        config.precision = Some(Precision::Bf16);
        config.cpu.instructions = Some(Level::Portable);
    })
    .await;
    assert_eq!(error.code(), ErrorCode::Environment, "{error}");
    assert!(error.to_string().contains("bf16"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_still_loads_can_be_stopped() {
    let mut server = TestServer::launch(root(), |config| config.models = vec![choice(MODEL)]).await;
    server.ask_to_stop();
    server.ended().await.unwrap();
}
