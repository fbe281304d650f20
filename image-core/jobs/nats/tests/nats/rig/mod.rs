//! What the tests of this folder share.

#![allow(dead_code)] // each test uses a part of it
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::time::{Duration, Instant};

use nephrite_jobs::conformance::{new_job, settings};
use nephrite_jobs::{Job, JobEngine, JobError, JobId, JobResult, JobSettings, JobState, Lease, WorkerCard};
use nephrite_jobs_nats::{NatsEngine, NatsSettings};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn nats(url: &str) -> NatsSettings {
    NatsSettings {
        url: url.to_owned(),
        ..NatsSettings::default()
    }
}

/// An engine with leases of a second.
pub(crate) fn open(url: &str) -> NatsEngine {
    NatsEngine::open(settings(), nats(url)).unwrap()
}

pub(crate) fn open_with(url: &str, change: impl FnOnce(&mut JobSettings)) -> NatsEngine {
    let mut settings = settings();
    change(&mut settings);
    NatsEngine::open(settings, nats(url)).unwrap()
}

pub(crate) fn result() -> JobResult {
    JobResult {
        record_sha256: "ab".repeat(32),
        input_sha256: None,
        reused_from: None,
    }
}

pub(crate) fn submit(engine: &NatsEngine, key: &str) -> JobId {
    engine.submit(new_job(key)).unwrap().job.id
}

/// A job for the worker, which must come.
pub(crate) fn lease(engine: &NatsEngine, worker: &WorkerCard) -> Lease {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match engine.lease(worker, &|_| true, Duration::from_millis(500)) {
            Ok(Some(lease)) => return lease,
            Ok(None) => {}
            Err(error) => assert!(error.may_pass(), "{error}"),
        }
    }
    panic!("{} gets no job", worker.name);
}

/// Makes a call again until it does not fail for a reason that passes.
pub(crate) fn again<T>(mut call: impl FnMut() -> Result<T, JobError>) -> Result<T, JobError> {
    let began = Instant::now();
    loop {
        match call() {
            Err(error) if error.may_pass() && began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

pub(crate) fn get(engine: &NatsEngine, id: &JobId) -> Job {
    again(|| engine.get(id)).unwrap()
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Leases and completes all that is there, and gives the keys in order.
pub(crate) fn drain(engine: &NatsEngine, worker: &WorkerCard, n: usize) -> Vec<String> {
    let mut keys = Vec::new();
    while keys.len() < n {
        let held = lease(engine, worker);
        let done = again(|| engine.complete(&held, result())).unwrap();
        assert_eq!(done.state, JobState::Succeeded);
        keys.push(held.job.new.key);
    }
    keys
}

/// Talks to a server directly.
pub(crate) fn directly<T>(url: &str, talk: impl AsyncFnOnce(async_nats::jetstream::Context) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(url).await.unwrap();
        talk(async_nats::jetstream::new(client)).await
    })
}
