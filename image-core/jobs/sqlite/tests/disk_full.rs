//! A disk that is full when a job is committed, shown with a limit on the size of files: the system refuses the write in the
//! same way. The limit holds for the whole process, hence a test program of its own with one test.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nephrite_jobs::conformance::{new_job, settings, worker};
use nephrite_jobs::{Beat, JobEngine as _, JobError, JobResult, JobState, Orders};
use nephrite_jobs_sqlite::SqliteEngine;
use nephrite_types::{Coded as _, ErrorCode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(temp.path(), settings()).unwrap();
    for n in 0..20 {
        engine.submit(new_job(&format!("job {n}"))).unwrap();
    }
    let lease = engine
        .lease(&worker("w"), &|_| true, Duration::ZERO)
        .unwrap()
        .unwrap();

    // With a handler the signal does not end the process, and the write fails.
    let signalled = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::clone(&signalled)).unwrap();
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit = |current| setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
    limit(Some(16_384));
    let full =
        |error: &JobError| matches!(error, JobError::Store { .. }) && error.code() == ErrorCode::Environment;
    let refused = engine.submit(new_job("too much")).unwrap_err();
    let result = JobResult {
        record_sha256: "ab".into(),
        input_sha256: None,
        reused_from: None,
    };
    let not_completed = engine.complete(&lease, result.clone()).unwrap_err();
    // The worker that lives keeps its job for as long as it goes on.
    let beat = Beat {
        events: vec![b"tile".to_vec()],
        progress: None,
    };
    let not_told = engine.heartbeat(&lease, beat).unwrap_err();
    let orders = engine.orders(&lease);
    limit(maximum);

    assert!(signalled.load(Ordering::Relaxed), "the limit was never reached");
    for error in [refused, not_completed, not_told] {
        assert!(full(&error) && error.may_pass(), "{error}");
        assert!(error.to_string().contains("jobs.sqlite"), "{error}");
    }
    assert_eq!(orders, Orders::Continue);
    let running = engine.get(&lease.job.id).unwrap();
    assert_eq!(
        running.state,
        JobState::Running,
        "what was not written did not happen"
    );
    // There is room again.
    assert_eq!(
        engine.complete(&lease, result).unwrap().state,
        JobState::Succeeded
    );
    assert!(engine.submit(new_job("too much")).unwrap().is_new);
    drop(engine);
    let engine = SqliteEngine::open(temp.path(), settings()).unwrap();
    for n in 0..20 {
        assert!(
            !engine.submit(new_job(&format!("job {n}"))).unwrap().is_new,
            "{n}"
        );
    }
    assert_eq!(engine.get(&lease.job.id).unwrap().state, JobState::Succeeded);
}
