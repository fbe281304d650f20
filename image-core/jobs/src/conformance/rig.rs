//! What the suite needs of an engine, and what cases are made of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nephrite_job_state::{JobId, JobResult, JobState, Needs, NewJob, Priority, WorkerCard};

use crate::engine::{JobEngine, Lease};
use crate::settings::JobSettings;

/// A place for jobs, empty at first.
pub trait Rig {
    /// Opens an engine on the place. An earlier one was dropped before, as if its process had died.
    fn open(&self, settings: JobSettings) -> Arc<dyn JobEngine>;
}

/// How long leases of the suite are.
pub(super) const LEASE: Duration = Duration::from_secs(1);
/// Longer than anything takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Short leases; the rest as usual.
pub fn settings() -> JobSettings {
    JobSettings {
        lease: LEASE,
        ..JobSettings::default()
    }
}

/// A job with this key.
pub fn new_job(key: &str) -> NewJob {
    NewJob {
        key: key.to_owned(),
        tenant: String::new(),
        priority: Priority::Normal,
        request: format!("{{\"case\":\"{key}\"}}"),
        output: format!("results/{key}"),
        needs: Needs::default(),
        scan: None,
        witness: String::new(),
        deadline_unix_ms: None,
        max_attempts: 3,
        attached: false,
        reuse: false,
    }
}

/// A worker that can do everything, in a process of its own.
pub fn worker(name: &str) -> WorkerCard {
    WorkerCard {
        name: name.to_owned(),
        process: format!("process of {name}"),
        capabilities: Vec::new(),
        models: Vec::new(),
        memory_bytes: None,
    }
}

pub(super) fn result() -> JobResult {
    JobResult {
        record_sha256: "ab".repeat(32),
        input_sha256: None,
        reused_from: None,
    }
}

/// Submits jobs with these keys.
pub(super) fn submit(engine: &dyn JobEngine, keys: &[&str]) -> Vec<JobId> {
    let submit = |key: &&str| engine.submit(new_job(key)).unwrap().job.id;
    keys.iter().map(submit).collect()
}

/// A job for the worker, which must come.
pub(super) fn lease(engine: &dyn JobEngine, card: &WorkerCard) -> Lease {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(lease) = engine.lease(card, &|_| true, Duration::from_millis(500)).unwrap() {
            return lease;
        }
        engine.keep_house().unwrap();
    }
    panic!("{} gets no job", card.name);
}

/// No job for the worker now.
pub(super) fn no_lease(engine: &dyn JobEngine, card: &WorkerCard) {
    let got = engine.lease(card, &|_| true, Duration::from_millis(200)).unwrap();
    assert_eq!(
        got.map(|lease| lease.job.new.key),
        None,
        "{} should get none",
        card.name
    );
}

pub(super) fn state(engine: &dyn JobEngine, id: &JobId) -> JobState {
    engine.get(id).unwrap().state
}

/// Waits until a condition holds.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
