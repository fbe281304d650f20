//! How jobs end.

use std::time::Duration;

use nephrite_job_state::{JobFailure, JobState, NewJob, Retention, Stop};
use nephrite_types::{Coded as _, ErrorCode};

use super::rig::{LEASE, Rig, lease, new_job, no_lease, result, settings, state, submit, until, worker};
use crate::engine::{Ending, Orders};
use crate::settings::JobSettings;

pub(super) fn cancelling_takes_from_the_queue_or_tells_the_worker(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let ids = submit(&*engine, &["a", "b", "c"]);
    assert_eq!(engine.cancel(&ids[0]).unwrap().state, JobState::Cancelled);
    assert_eq!(
        engine.cancel(&ids[0]).unwrap().state,
        JobState::Cancelled,
        "twice"
    );
    let held = lease(&*engine, &worker("w"));
    assert_eq!(held.job.id, ids[1], "the first is gone from the queue");
    let told = engine.cancel(&ids[1]).unwrap();
    assert_eq!((told.state, told.cancel_requested), (JobState::Running, true));
    until("the worker hears of it", || {
        engine.orders(&held) == Orders::Cancel
    });
    let ended = engine.fail(&held, Ending::Stopped(Stop::Cancelled)).unwrap();
    assert_eq!(ended.state, JobState::Cancelled);
    let held = lease(&*engine, &worker("w"));
    engine.complete(&held, result()).unwrap();
    let refused = engine.cancel(&ids[2]).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    assert!(refused.to_string().contains("succeeded"), "{refused}");
    no_lease(&*engine, &worker("w"));
}

pub(super) fn a_job_that_kills_its_workers_is_dead_with_the_reason(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let poison = NewJob {
        max_attempts: 2,
        ..new_job("poison")
    };
    let id = engine.submit(poison).unwrap().job.id;
    for attempt in 1..=2 {
        assert_eq!(lease(&*engine, &worker("w")).job.attempts, attempt);
        std::thread::sleep(LEASE);
    }
    until("it is dead", || {
        no_lease(&*engine, &worker("w"));
        engine.keep_house().unwrap();
        state(&*engine, &id) == JobState::Dead
    });
    let job = engine.get(&id).unwrap();
    assert!(job.failure.unwrap().message.contains('w'), "it names the worker");
    assert_eq!((job.attempts, job.executions), (2, 2));
    assert_eq!(engine.retry(&id).unwrap().attempts, 0);
    let held = lease(&*engine, &worker("w"));
    assert_eq!((held.job.attempts, held.job.executions), (1, 3));
    assert_eq!(
        engine.complete(&held, result()).unwrap().state,
        JobState::Succeeded
    );
    assert_eq!(engine.retry(&id).unwrap_err().code(), ErrorCode::InvalidArgument);
}

pub(super) fn failures_end_a_job_or_try_again(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let ids = submit(&*engine, &["a"]);
    let failed = |again| Ending::Failed {
        failure: JobFailure {
            code: "environment".into(),
            message: "the disk is full".into(),
        },
        again,
    };
    let held = lease(&*engine, &worker("w"));
    assert_eq!(engine.fail(&held, failed(true)).unwrap().state, JobState::Queued);
    let held = lease(&*engine, &worker("w"));
    assert_eq!(held.job.attempts, 2);
    let ended = engine.fail(&held, failed(false)).unwrap();
    assert_eq!(ended.state, JobState::Failed);
    assert_eq!(ended.failure.unwrap().message, "the disk is full");
    assert_eq!(engine.retry(&ids[0]).unwrap().state, JobState::Queued);
    let held = lease(&*engine, &worker("w"));
    let ended = engine.fail(&held, Ending::Stopped(Stop::Expired)).unwrap();
    assert_eq!(ended.state, JobState::Expired);
}

pub(super) fn a_deadline_ends_what_waits(rig: &dyn Rig) {
    let settings = settings();
    let soon = settings.clock.unix_ms() + 700;
    let engine = rig.open(settings);
    let urgent = NewJob {
        deadline_unix_ms: Some(soon),
        ..new_job("a")
    };
    let id = engine.submit(urgent).unwrap().job.id;
    engine.keep_house().unwrap();
    assert_eq!(state(&*engine, &id), JobState::Queued);
    std::thread::sleep(Duration::from_millis(800));
    engine.keep_house().unwrap();
    assert_eq!(state(&*engine, &id), JobState::Expired);
    no_lease(&*engine, &worker("w"));
}

pub(super) fn what_has_ended_can_be_purged_and_is_kept_no_longer_than_said(rig: &dyn Rig) {
    let engine = rig.open(JobSettings {
        retention: Retention {
            keep_ms: 3_600_000,
            max_ended: 2,
        },
        ..settings()
    });
    let ids = submit(&*engine, &["a"]);
    assert_eq!(
        engine.purge(&ids[0]).unwrap_err().code(),
        ErrorCode::InvalidArgument,
        "it waits"
    );
    let held = lease(&*engine, &worker("w"));
    let refused = engine.purge(&ids[0]).unwrap_err();
    assert!(refused.to_string().contains("running"), "{refused}");
    engine.complete(&held, result()).unwrap();
    assert_eq!(engine.purge(&ids[0]).unwrap().state, JobState::Succeeded);
    assert_eq!(engine.get(&ids[0]).unwrap_err().code(), ErrorCode::NotFound);
    assert!(engine.submit(new_job("a")).unwrap().is_new, "its key is free");

    let ids = submit(&*engine, &["b", "c", "d", "e"]);
    for id in &ids {
        engine.cancel(id).unwrap();
        std::thread::sleep(Duration::from_millis(3)); // ends in this order
    }
    engine.keep_house().unwrap();
    let kept: Vec<bool> = ids.iter().map(|id| engine.get(id).is_ok()).collect();
    assert_eq!(kept, [false, false, true, true], "the oldest go first");
    assert!(
        engine.submit(new_job("a")).is_ok(),
        "one that waits is never forgotten"
    );
}
