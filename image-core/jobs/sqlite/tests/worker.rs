//! How a worker keeps, loses, and gives back its jobs.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nephrite_jobs::conformance::{new_job, settings, worker};
use nephrite_jobs::{
    Clock, Desk, Job, JobEngine, JobFailure, JobId, JobResult, JobRunner, JobState, Lease, NewJob, Note,
    Pace, Stopping, Worker,
};
use nephrite_jobs_sqlite::SqliteEngine;

const PATIENCE: Duration = Duration::from_secs(30);

/// Does what a closure says.
struct Does<F>(F);

impl<F: Fn(&Lease, &Desk<'_>) -> Result<JobResult, (JobFailure, bool)> + Send + Sync> JobRunner for Does<F> {
    fn run(&self, lease: &Lease, desk: &Desk<'_>) -> Result<JobResult, (JobFailure, bool)> {
        (self.0)(lease, desk)
    }
}

fn done() -> JobResult {
    JobResult {
        record_sha256: "ab".into(),
        input_sha256: None,
        reused_from: None,
    }
}

fn stopped() -> (JobFailure, bool) {
    let failure = JobFailure {
        code: "cancelled".into(),
        message: "cancelled by the caller".into(),
    };
    (failure, true)
}

fn tile(n: usize) -> Note {
    Note {
        body: format!("tile {n}").into_bytes(),
        progress: None,
        tiles_of: Some("kidneys".into()),
    }
}

/// Leases of a second; a hang is seen after half of one.
fn one<'a>(engine: &'a SqliteEngine, runner: &'a dyn JobRunner, stopping: &Stopping) -> Worker<'a> {
    Worker {
        engine,
        card: worker("w"),
        runner,
        pace: Pace {
            stall: Duration::from_millis(500),
            least: Duration::from_millis(500),
        },
        beat: Duration::from_millis(300),
        clock: Clock::default(),
        stopping: stopping.clone(),
    }
}

fn until(engine: &SqliteEngine, id: &JobId, what: &str, holds: impl Fn(&Job) -> bool) -> Job {
    let began = Instant::now();
    loop {
        engine.keep_house().unwrap();
        let job = engine.get(id).unwrap();
        if holds(&job) {
            return job;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {job:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a worker until the check is done.
fn with_worker(engine: &SqliteEngine, runner: &dyn JobRunner, stopping: &Stopping, check: impl FnOnce()) {
    std::thread::scope(|scope| {
        let worker = one(engine, runner, stopping);
        scope.spawn(move || worker.work());
        check();
        stopping.soon.cancel();
        stopping.now.cancel();
    });
}

#[test]
fn a_slow_machine_keeps_its_lease() {
    let temp = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(temp.path(), settings()).unwrap();
    let id = engine.submit(new_job("slow")).unwrap().job.id;
    // three leases long, a tile every 400 ms
    let runner = Does(|_: &Lease, desk: &Desk<'_>| {
        for n in 0..8 {
            std::thread::sleep(Duration::from_millis(400));
            desk.tell(tile(n));
        }
        desk.seal().unwrap();
        Ok(done())
    });
    with_worker(&engine, &runner, &Stopping::default(), || {
        let job = until(&engine, &id, "it is done", |job| job.state.has_ended());
        assert_eq!((job.state, job.executions), (JobState::Succeeded, 1));
    });
}

#[test]
fn work_that_hangs_is_stopped_and_tried_again() {
    let temp = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(temp.path(), settings()).unwrap();
    let id = engine.submit(new_job("hangs")).unwrap().job.id;
    let tries = AtomicU32::new(0);
    let runner = Does(|_: &Lease, desk: &Desk<'_>| {
        if tries.fetch_add(1, Ordering::SeqCst) == 0 {
            while !desk.cancel().is_cancelled() {
                std::thread::sleep(Duration::from_millis(10));
            }
            return Err(stopped());
        }
        Ok(done())
    });
    with_worker(&engine, &runner, &Stopping::default(), || {
        let job = until(&engine, &id, "it is done", |job| job.state.has_ended());
        assert_eq!((job.state, job.attempts), (JobState::Succeeded, 2));
        let reasons: Vec<&str> = job
            .log
            .iter()
            .filter_map(|entry| entry.reason.as_deref())
            .collect();
        assert_eq!(reasons, ["the work did not go on any more, and was stopped"]);
    });
}

/// A card that hangs cannot be stopped: its lease runs out, and another worker does the job.
#[test]
fn work_that_cannot_be_stopped_loses_its_lease() {
    let temp = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(temp.path(), settings()).unwrap();
    let id = engine.submit(new_job("hangs")).unwrap().job.id;
    let released = nephrite_types::CancelToken::new();
    let runner = Does(|_: &Lease, desk: &Desk<'_>| {
        while !released.is_cancelled() {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(desk.seal().is_err(), "what it has made is not to be kept");
        Ok(done())
    });
    with_worker(&engine, &runner, &Stopping::default(), || {
        until(&engine, &id, "it runs", |job| job.state == JobState::Running);
        until(&engine, &id, "it lost its lease", |job| {
            job.state == JobState::Queued
        });
        let second = engine.lease(&worker("v"), &|_| true, PATIENCE).unwrap().unwrap();
        engine.complete(&second, done()).unwrap();
        released.cancel();
    });
    let job = engine.get(&id).unwrap();
    assert_eq!(
        (job.state, job.worker.as_deref()),
        (JobState::Succeeded, Some("v"))
    );
}

#[test]
fn a_panic_fails_the_job_and_the_worker_takes_the_next() {
    let temp = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(temp.path(), settings()).unwrap();
    let bad = engine.submit(new_job("bad")).unwrap().job.id;
    let good = engine.submit(new_job("good")).unwrap().job.id;
    let runner = Does(|lease: &Lease, _: &Desk<'_>| match lease.job.new.key.as_str() {
        "bad" => panic!("on purpose"),
        _ => Ok(done()),
    });
    with_worker(&engine, &runner, &Stopping::default(), || {
        let job = until(&engine, &bad, "it is over", |job| job.state.has_ended());
        assert_eq!(
            (job.state, job.failure.unwrap().code.as_str()),
            (JobState::Failed, "internal")
        );
        until(&engine, &good, "the next is done", |job| {
            job.state == JobState::Succeeded
        });
    });
}

#[test]
fn a_worker_that_ends_gives_its_job_back_and_cancel_and_deadline_stop_it() {
    let temp = tempfile::tempdir().unwrap();
    let settings = settings();
    let soon = settings.clock.unix_ms() + 1500;
    let engine = SqliteEngine::open(temp.path(), settings).unwrap();
    let runner = Does(|_: &Lease, desk: &Desk<'_>| {
        let mut n = 0;
        loop {
            if let Err(cancelled) = desk.cancel().check() {
                let code = match cancelled {
                    nephrite_types::Cancelled::ByCaller => "cancelled",
                    nephrite_types::Cancelled::DeadlineExceeded => "deadline_exceeded",
                };
                let failure = JobFailure {
                    code: code.into(),
                    message: cancelled.to_string(),
                };
                return Err((failure, false));
            }
            std::thread::sleep(Duration::from_millis(20));
            desk.tell(tile(n));
            n += 1;
        }
    });
    let late = NewJob {
        deadline_unix_ms: Some(soon),
        ..new_job("late")
    };
    let late = engine.submit(late).unwrap().job.id;
    let unwanted = engine.submit(new_job("unwanted")).unwrap().job.id;
    let left = engine.submit(new_job("left")).unwrap().job.id;
    with_worker(&engine, &runner, &Stopping::default(), || {
        let job = until(&engine, &late, "it is late", |job| job.state.has_ended());
        assert_eq!(job.state, JobState::Expired);
        until(&engine, &unwanted, "it runs", |job| {
            job.state == JobState::Running
        });
        engine.cancel(&unwanted).unwrap();
        let told = Instant::now();
        let job = until(&engine, &unwanted, "it stops", |job| job.state.has_ended());
        assert_eq!(job.state, JobState::Cancelled);
        assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
        until(&engine, &left, "it runs", |job| job.state == JobState::Running);
    });
    let job = engine.get(&left).unwrap();
    assert_eq!(
        (job.state, job.attempts, job.executions),
        (JobState::Queued, 0, 1)
    );
}
