//! The suite that every engine passes, and what is SQLite's own.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use nephrite_jobs::conformance::{self, Rig, new_job, settings, worker};
use nephrite_jobs::{Clock, JobEngine, JobError, JobSettings, JobState, NewJob};
use nephrite_jobs_sqlite::SqliteEngine;
use nephrite_types::{Coded as _, ErrorCode};

struct Folder(tempfile::TempDir);

impl Rig for Folder {
    fn open(&self, settings: JobSettings) -> Arc<dyn JobEngine> {
        Arc::new(SqliteEngine::open(self.0.path(), settings).unwrap())
    }
}

#[test]
fn sqlite_passes_the_suite() {
    conformance::run(&|| Box::new(Folder(tempfile::tempdir().unwrap())));
}

fn open(folder: &Path) -> Result<SqliteEngine, JobError> {
    SqliteEngine::open(folder, settings())
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let first = open(temp.path()).unwrap();
    let refused = open(temp.path()).unwrap_err();
    assert!(matches!(refused, JobError::Locked { .. }), "{refused}");
    assert_eq!(refused.code(), ErrorCode::Environment);
    first.submit(new_job("a")).unwrap();
    drop(first);
    let next = open(temp.path()).unwrap();
    assert_eq!(next.submit(new_job("a")).unwrap().job.state, JobState::Queued);
}

#[test]
fn a_schema_of_a_newer_version_is_refused_and_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    open(temp.path()).unwrap().submit(new_job("a")).unwrap();
    let file = temp.path().join("jobs.sqlite");
    let version = |version: i64| {
        let connection = rusqlite::Connection::open(&file).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
    };
    version(7);
    let refused = open(temp.path()).unwrap_err();
    assert!(
        matches!(
            refused,
            JobError::NewerSchema {
                found: 7,
                known: 1,
                ..
            }
        ),
        "{refused}"
    );
    version(1);
    assert!(
        !open(temp.path()).unwrap().submit(new_job("a")).unwrap().is_new,
        "nothing was lost"
    );
}

#[test]
fn folders_that_cannot_be_used_are_refused_by_name() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("file"), "").unwrap();
    let refused = open(&temp.path().join("file")).unwrap_err();
    assert!(matches!(refused, JobError::Store { .. }), "{refused}");
    assert!(refused.to_string().contains("file"), "{refused}");
    let broken = temp.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(
        broken.join("jobs.sqlite"),
        "this is no database, but it is long enough to be read as one".repeat(20),
    )
    .unwrap();
    let refused = open(&broken).unwrap_err();
    assert!(refused.to_string().contains("jobs.sqlite"), "{refused}");
}

#[test]
fn rows_that_are_no_jobs_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    open(temp.path()).unwrap().submit(new_job("a")).unwrap();
    let connection = rusqlite::Connection::open(temp.path().join("jobs.sqlite")).unwrap();
    connection.execute("UPDATE jobs SET body = '{}'", ()).unwrap();
    drop(connection);
    let refused = open(temp.path()).unwrap_err();
    assert!(matches!(refused, JobError::Corrupt { .. }), "{refused}");
}

#[test]
fn jobs_of_a_process_that_died_wait_again_until_they_are_dead() {
    let temp = tempfile::tempdir().unwrap();
    let poison = NewJob {
        max_attempts: 2,
        ..new_job("poison")
    };
    let id = open(temp.path()).unwrap().submit(poison).unwrap().job.id;
    for attempt in 1..=2 {
        let engine = open(temp.path()).unwrap(); // dropped without a word
        let lease = engine
            .lease(&worker("w"), &|_| true, Duration::ZERO)
            .unwrap()
            .unwrap();
        assert_eq!(lease.job.attempts, attempt);
    }
    let job = open(temp.path()).unwrap().get(&id).unwrap();
    assert_eq!(job.state, JobState::Dead);
    assert!(
        job.failure
            .unwrap()
            .message
            .contains("ended while worker w had the job")
    );
}

#[test]
fn a_clock_that_jumps_takes_no_lease_and_ends_no_deadline() {
    let temp = tempfile::tempdir().unwrap();
    let offset = Arc::new(AtomicI64::new(0));
    let seen = offset.clone();
    let clock = Clock::new(move || {
        let seconds = seen.load(Ordering::Relaxed);
        let by = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 {
            SystemTime::now() - by
        } else {
            SystemTime::now() + by
        }
    });
    let settings = JobSettings { clock, ..settings() };
    let engine = SqliteEngine::open(temp.path(), settings.clone()).unwrap();
    let in_ten_minutes = settings.clock.unix_ms() + 600_000;
    engine.submit(new_job("runs")).unwrap();
    let lease = engine
        .lease(&worker("w"), &|_| true, Duration::ZERO)
        .unwrap()
        .unwrap();
    let waits = NewJob {
        deadline_unix_ms: Some(in_ten_minutes),
        ..new_job("waits")
    };
    let waits = engine.submit(waits).unwrap().job.id;
    let mut numbers = vec![engine.get(&waits).unwrap().number];
    for hours in [1, -1] {
        offset.store(hours * 3600, Ordering::Relaxed);
        engine.keep_house().unwrap();
        engine.heartbeat(&lease, nephrite_jobs::Beat::default()).unwrap();
        assert_eq!(engine.orders(&lease), nephrite_jobs::Orders::Continue);
        assert_eq!(engine.get(&waits).unwrap().state, JobState::Queued);
        numbers.push(engine.submit(new_job(&format!("at {hours}"))).unwrap().job.number);
    }
    assert!(
        numbers.is_sorted_by(|a, b| a < b),
        "the order is that of submission: {numbers:?}"
    );
    let id = lease.job.id.clone();
    let result = nephrite_jobs::JobResult {
        record_sha256: String::new(),
        input_sha256: None,
        reused_from: None,
    };
    assert_eq!(engine.complete(&lease, result).unwrap().id, id);
}
