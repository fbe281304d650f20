//! Work that must end before its end: cancel, a vanished client, a deadline; and work that is refused.

use std::time::{Duration, Instant};

use nephrite_engine::Provider;
use nephrite_image_core::{CudaSettings, Device};
use nephrite_proto::v1::{LoadRequest, RunRequest};
use nephrite_proto::{Event, RunEvents};
use nephrite_types::ErrorCode;
use serde_json::Value;
use tonic::Request;

use crate::harness::{MODEL, PATIENCE, TestServer, log_of, long_run, small_run};

/// Waits for the first tile; gives the request id.
async fn first_tile(events: &mut RunEvents) -> String {
    let mut request_id = String::new();
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
        match event.unwrap().unwrap() {
            Event::Accepted(accepted) => request_id = accepted.request_id,
            Event::Progress(tiles) => {
                assert!(tiles.tiles_total > 1000, "the run must be long: {tiles:?}");
                return request_id;
            }
            _ => {}
        }
    }
}

fn check_stopped_within_one_tile(line: &Value) {
    assert_eq!(line["code"], "cancelled");
    assert!(line["tiles_done"].as_u64().unwrap() >= 1, "{line}");
    assert!(line["tiles_after_cancel"].as_u64().unwrap() <= 1, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_within_one_tile_and_the_next_request_is_served() {
    let server = TestServer::start(|config| config.max_waiting_runs = 1).await;
    let mut events = server.client.run(long_run("results/mask.nii.gz")).await.unwrap();
    let request_id = first_tile(&mut events).await;
    drop(events); // resets the stream; the connection stays
    check_stopped_within_one_tile(&log_of(&request_id, "run ended").await);
    server.serves().await;
    assert!(server.results().is_empty(), "{:?}", server.results());
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_work_on_a_card() {
    let server = TestServer::start(|config| {
        config.provider = Provider::Cuda;
        config.cuda = CudaSettings {
            devices: vec![Device(0)],
            simulated: Some(1 << 30),
            ..CudaSettings::default()
        };
    })
    .await;
    let mut events = server.client.run(long_run("results/mask.nii.gz")).await.unwrap();
    let request_id = first_tile(&mut events).await;
    drop(events);
    check_stopped_within_one_tile(&log_of(&request_id, "run ended").await);
    server.serves().await;
    assert!(server.results().is_empty(), "{:?}", server.results());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_stops_its_run_within_one_tile() {
    let server = TestServer::start(|config| config.max_waiting_runs = 1).await;
    // A runtime of its own, thrown away whole: its sockets close with no word of HTTP.
    let address = server.address;
    let (told, request_id) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = nephrite_proto::Client::connect(&format!("http://{address}"))
                .await
                .unwrap();
            let mut events = client.run(long_run("results/mask.nii.gz")).await.unwrap();
            told.send(first_tile(&mut events).await).unwrap();
            std::mem::forget(events);
        });
        runtime.shutdown_background();
    });
    let request_id = request_id.await.unwrap();
    check_stopped_within_one_tile(&log_of(&request_id, "run ended").await);
    server.serves().await;
    assert!(server.results().is_empty(), "{:?}", server.results());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_gives_its_place_up_when_its_client_goes() {
    let server = TestServer::start(|config| config.max_waiting_runs = 1).await;
    let mut working = server.client.run(long_run("results/a.nii.gz")).await.unwrap();
    first_tile(&mut working).await;
    let mut waiting = server.client.run(small_run("results/b.nii.gz")).await.unwrap();
    let Some(Event::Accepted(accepted)) = waiting.next().await.unwrap() else {
        panic!("the first event is `accepted`");
    };
    assert_eq!(accepted.position, 1);
    drop(waiting);
    let line = log_of(&accepted.request_id, "run ended").await;
    assert_eq!(
        (&line["code"], &line["tiles_done"]),
        (&Value::from("cancelled"), &Value::from(0))
    );
    let next = server.client.run(small_run("results/c.nii.gz")).await.unwrap();
    drop(working);
    tokio::time::timeout(PATIENCE, next.done())
        .await
        .unwrap()
        .unwrap();
}

/// Where one may run and none may wait, a caller who has just cancelled is let in again: not even a tile is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_frees_its_place_at_once() {
    let server = TestServer::start(|config| {
        config.max_concurrent_runs = 1;
        config.max_waiting_runs = 0;
    })
    .await;
    let mut working = server.client.run(long_run("results/a.nii.gz")).await.unwrap();
    first_tile(&mut working).await;
    drop(working);
    let cancelled = Instant::now();
    let next = loop {
        match server.client.run(small_run("results/b.nii.gz")).await {
            Ok(next) => break next,
            Err(error) => assert_eq!(error.code, ErrorCode::Overloaded),
        }
        assert!(
            cancelled.elapsed() < Duration::from_secs(1),
            "{:?}",
            cancelled.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    tokio::time::timeout(PATIENCE, next.done())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_too_many_is_refused_at_once() {
    let server = TestServer::start(|config| {
        config.max_concurrent_runs = 1;
        config.max_waiting_runs = 1;
    })
    .await;
    let mut working = server.client.run(long_run("results/a.nii.gz")).await.unwrap();
    first_tile(&mut working).await;
    let waiting = server.client.run(small_run("results/b.nii.gz")).await.unwrap();
    let asked = Instant::now();
    let refused = server
        .client
        .run(small_run("results/c.nii.gz"))
        .await
        .unwrap_err();
    assert_eq!(refused.code, ErrorCode::Overloaded);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    drop(working);
    tokio::time::timeout(PATIENCE, waiting.done())
        .await
        .unwrap()
        .unwrap();
    server.serves().await;
    assert_eq!(server.results(), ["b.nii.gz"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_run_and_one_that_waits() {
    let server = TestServer::start(|config| config.max_waiting_runs = 1).await;
    let mut request = Request::new(long_run("results/a.nii.gz"));
    request.set_timeout(Duration::from_secs(3));
    let mut working = server.client.run(request).await.unwrap();
    let Some(Event::Accepted(accepted)) = working.next().await.unwrap() else {
        panic!("the first event is `accepted`");
    };
    let mut request = Request::new(small_run("results/b.nii.gz"));
    request.set_timeout(Duration::from_millis(300));
    let waiting = server.client.run(request).await.unwrap();
    assert_eq!(
        waiting.done().await.unwrap_err().code,
        ErrorCode::DeadlineExceeded
    );
    assert_eq!(
        working.done().await.unwrap_err().code,
        ErrorCode::DeadlineExceeded
    );
    let line = log_of(&accepted.request_id, "run ended").await;
    assert_eq!(line["code"], "deadline_exceeded");
    server.serves().await;
    assert!(server.results().is_empty(), "{:?}", server.results());
}

/// Changes the patch size of the model; its weights fit any.
fn set_patch(server: &TestServer, patch: [u64; 3]) {
    let file = server.path(MODEL).join("plans.json");
    let mut plans: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    plans["configurations"]["3d_fullres"]["patch_size"] = patch.to_vec().into();
    std::fs::write(file, plans.to_string()).unwrap();
}

fn load() -> LoadRequest {
    LoadRequest {
        model: MODEL.to_owned(),
        folds: vec!["0".to_owned()],
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_tiles_take_long_stops_at_its_deadline_and_gives_its_place_up() {
    let server = TestServer::start(|config| config.max_waiting_runs = 1).await;
    let plans = server.path(MODEL).join("plans.json");
    let sound = std::fs::read(&plans).unwrap();
    set_patch(&server, [224, 224, 224]);
    let mut request = Request::new(RunRequest {
        options: None, // eight mirrored tiles, and so at least eight times what a network of that size takes
        ..small_run("results/a.nii.gz")
    });
    request.set_timeout(Duration::from_millis(400));
    let stopped = server.client.run(request).await.unwrap().done().await;
    assert_eq!(stopped.unwrap_err().code, ErrorCode::DeadlineExceeded);
    // The place is free soon.
    std::fs::write(&plans, sound).unwrap();
    let asked = Instant::now();
    server.serves().await;
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_no_memory_holds_is_refused_at_once() {
    let server = TestServer::start(|_| {}).await;
    set_patch(&server, [1024, 1024, 1024]);
    let asked = Instant::now();
    let error = server.client.load_model(load()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}
