//! Who has a job.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nephrite_job_state::{JobState, Refused, Stop};

use super::rig::{
    LEASE, PATIENCE, Rig, lease, new_job, no_lease, result, settings, state, submit, until, worker,
};
use crate::engine::{Beat, Ending, Orders};
use crate::error::JobError;

pub(super) fn a_job_goes_to_one_worker_and_ends_once(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let id = submit(&*engine, &["a"]).remove(0);
    assert_eq!(engine.places(std::slice::from_ref(&id)), [Some(1)]);
    let held = lease(&*engine, &worker("w"));
    assert_eq!((held.job.id.clone(), held.fence), (id.clone(), 1));
    let running = engine.get(&id).unwrap();
    assert_eq!(
        (running.state, running.worker.as_deref()),
        (JobState::Running, Some("w"))
    );
    no_lease(&*engine, &worker("v"));
    assert_eq!(engine.orders(&held), Orders::Continue);
    engine.seal(&held).unwrap();
    let done = engine.complete(&held, result()).unwrap();
    assert_eq!(done.state, JobState::Succeeded);
    // A worker that did not hear the answer says it again.
    assert_eq!(
        engine.complete(&held, result()).unwrap().state,
        JobState::Succeeded
    );
    assert_eq!(engine.get(&id).unwrap().log.len(), 3);
    assert!(engine.seal(&held).unwrap_err().is_lease_over());
    assert!(
        engine
            .heartbeat(&held, Beat::default())
            .unwrap_err()
            .is_lease_over()
    );
    let late = engine.fail(&held, Ending::GivenBack).unwrap_err();
    assert!(late.is_lease_over(), "{late}");
    no_lease(&*engine, &worker("v"));
}

pub(super) fn a_lease_that_runs_out_goes_to_another_worker_and_the_first_can_write_nothing(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let id = submit(&*engine, &["a"]).remove(0);
    let first = lease(&*engine, &worker("w"));
    let silent = Instant::now();
    let second = lease(&*engine, &worker("v"));
    let took = silent.elapsed();
    assert!(took >= LEASE.mul_f64(0.9), "{took:?}: too early");
    assert!(took <= LEASE + Duration::from_secs(5), "{took:?}: too late");
    assert_eq!(second.job.id, id);
    assert!(second.fence > first.fence);
    assert_eq!(second.job.attempts, 2);
    until("the first hears of it", || engine.orders(&first) == Orders::Lost);
    assert_eq!(engine.orders(&second), Orders::Continue);
    let over = |said: Result<(), JobError>| {
        let error = said.unwrap_err();
        let is_over = matches!(
            &error,
            JobError::Refused {
                source: Refused::LeaseOver { .. },
                ..
            }
        );
        assert!(is_over, "{error}");
    };
    over(engine.seal(&first));
    over(engine.heartbeat(&first, Beat::default()));
    over(engine.complete(&first, result()).map(drop));
    over(engine.fail(&first, Ending::Stopped(Stop::Expired)).map(drop));
    assert_eq!(state(&*engine, &id), JobState::Running);
    engine.complete(&second, result()).unwrap();
    assert_eq!(state(&*engine, &id), JobState::Succeeded);
}

pub(super) fn signs_of_life_keep_a_lease(rig: &dyn Rig) {
    let engine = rig.open(settings());
    submit(&*engine, &["a"]);
    let held = lease(&*engine, &worker("w"));
    let began = Instant::now();
    while began.elapsed() < 3 * LEASE {
        engine.heartbeat(&held, Beat::default()).unwrap();
        engine.keep_house().unwrap();
        no_lease(&*engine, &worker("v"));
        assert_eq!(engine.orders(&held), Orders::Continue);
    }
    engine.seal(&held).unwrap();
    engine.complete(&held, result()).unwrap();
}

pub(super) fn many_workers_take_each_job_once(rig: &dyn Rig) {
    const JOBS: usize = 60;
    let engine = rig.open(settings());
    for n in 0..JOBS {
        engine.submit(new_job(&format!("job {n}"))).unwrap();
    }
    let taken = Mutex::new(BTreeMap::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (engine, taken) = (&engine, &taken);
            scope.spawn(move || {
                let card = worker(&format!("w{n}"));
                while taken.lock().unwrap().len() < JOBS && began.elapsed() < PATIENCE {
                    let got = engine
                        .lease(&card, &|_| true, Duration::from_millis(100))
                        .unwrap();
                    if let Some(lease) = got {
                        *taken.lock().unwrap().entry(lease.job.id.clone()).or_insert(0) += 1;
                        engine.complete(&lease, result()).unwrap();
                    }
                }
            });
        }
    });
    let taken = taken.into_inner().unwrap();
    assert_eq!(taken.len(), JOBS);
    assert!(taken.values().all(|times| *times == 1));
    for id in taken.keys() {
        let job = engine.get(id).unwrap();
        assert_eq!((job.state, job.executions), (JobState::Succeeded, 1));
    }
}

pub(super) fn what_is_given_back_is_no_try(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let id = submit(&*engine, &["a"]).remove(0);
    for n in 1..=4 {
        let held = lease(&*engine, &worker("w"));
        assert_eq!((held.job.attempts, held.job.executions), (1, n));
        assert_eq!(
            engine.fail(&held, Ending::GivenBack).unwrap().state,
            JobState::Queued
        );
    }
    assert_eq!(state(&*engine, &id), JobState::Queued);
}
