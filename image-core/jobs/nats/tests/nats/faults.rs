//! The server dies at bad moments.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::rig::{PATIENCE, again, directly, drain, get, lease, open, open_with, result, submit, until};
use crate::server::Server;
use nephrite_jobs::conformance::{new_job, worker};
use nephrite_jobs::{Beat, Filter, JobEngine as _, JobError, JobState, Query};

#[test]
fn what_was_answered_survives_the_server() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let mut server = Server::start(&program, "");
    let engine = open(&server.url());
    let answered = Mutex::new(BTreeSet::new());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (engine, answered, stop) = (&engine, &answered, &stop);
            scope.spawn(move || {
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let key = format!("{n} {i}");
                    if engine.submit(new_job(&key)).is_ok() {
                        answered.lock().unwrap().insert(key);
                    }
                }
            });
        }
        for _ in 0..3 {
            let n = answered.lock().unwrap().len();
            until("more are answered", || answered.lock().unwrap().len() >= n + 150);
            server.kill();
            std::thread::sleep(Duration::from_millis(200));
            server.restart();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let answered = answered.into_inner().unwrap();
    println!("{} jobs were answered", answered.len());
    server.kill();
    server.restart();
    drop(engine);
    let engine = open(&server.url());
    let card = worker("w");
    let mut done = BTreeSet::new();
    let began = Instant::now();
    while !answered.is_subset(&done) && began.elapsed() < 2 * PATIENCE {
        engine.keep_house().unwrap();
        while let Some(held) = engine
            .lease(&card, &|_| true, Duration::from_millis(100))
            .unwrap()
        {
            assert!(
                done.insert(held.job.new.key.clone()),
                "{} came twice",
                held.job.new.key
            );
            assert_eq!(engine.complete(&held, result()).unwrap().executions, 1);
        }
    }
    let lost: Vec<_> = answered.difference(&done).collect();
    assert_eq!(lost, Vec::<&String>::new());
}

#[test]
fn a_job_goes_on_when_the_server_comes_back() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let mut server = Server::start(&program, "");
    // long enough for the server to come back within it
    let engine = open_with(&server.url(), |settings| settings.lease = Duration::from_secs(10));
    let id = submit(&engine, "a");
    let held = lease(&engine, &worker("w"));
    engine.heartbeat(&held, Beat::default()).unwrap();
    server.kill();
    let began = Instant::now();
    let error = engine.seal(&held).unwrap_err();
    assert!(matches!(error, JobError::Unavailable { .. }), "{error}");
    let error = engine.submit(new_job("b")).unwrap_err();
    assert!(matches!(error, JobError::Unavailable { .. }), "{error}");
    let error = engine
        .lease(&worker("v"), &|_| true, Duration::from_millis(100))
        .unwrap_err();
    assert!(matches!(error, JobError::Unavailable { .. }), "{error}");
    assert!(matches!(
        engine.check().unwrap_err(),
        JobError::Unavailable { .. }
    ));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    server.restart();
    again(|| engine.seal(&held)).unwrap();
    assert_eq!(again(|| engine.complete(&held, result())).unwrap().executions, 1);
    assert_eq!(get(&engine, &id).state, JobState::Succeeded);
    submit(&engine, "c");
    let mut keys = vec![lease(&engine, &worker("w")).job.new.key];
    keys.extend(
        engine
            .lease(&worker("w"), &|_| true, Duration::from_secs(1))
            .unwrap()
            .map(|held| held.job.new.key),
    );
    assert!(keys.contains(&"c".to_owned()), "{keys:?}");
    assert!(!keys.contains(&"a".to_owned()), "{keys:?}");
}

#[test]
fn a_lease_that_ran_out_while_the_server_was_away_is_another_ones() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let mut server = Server::start(&program, "");
    let (first, second) = (open(&server.url()), open(&server.url()));
    let id = submit(&first, "a");
    let held = lease(&first, &worker("w"));
    server.kill();
    std::thread::sleep(Duration::from_secs(2));
    server.restart();
    let taken = lease(&second, &worker("v"));
    assert_eq!(taken.job.id, id);
    assert!(again(|| first.seal(&held)).unwrap_err().is_lease_over());
    assert!(
        again(|| first.complete(&held, result()))
            .unwrap_err()
            .is_lease_over()
    );
    again(|| second.complete(&taken, result())).unwrap();
    let job = get(&first, &id);
    assert_eq!((job.state, job.executions), (JobState::Succeeded, 2));
}

/// The server dies again and again while jobs are ended: each ends once, by the lease that counted.
#[test]
fn jobs_end_once_when_the_server_dies_at_the_last_word() {
    const JOBS: usize = 120;
    let Some(program) = crate::server::program() else {
        return;
    };
    let mut server = Server::start(&program, "");
    let engine = open(&server.url());
    for n in 0..JOBS {
        submit(&engine, &format!("job {n:02}"));
    }
    let done = Mutex::new(Vec::new());
    let refused = Mutex::new(0);
    std::thread::scope(|scope| {
        for n in 0..3 {
            let (engine, done, refused) = (&engine, &done, &refused);
            scope.spawn(move || {
                let card = worker(&format!("w{n}"));
                let began = Instant::now();
                while done.lock().unwrap().len() < JOBS && began.elapsed() < 2 * PATIENCE {
                    let _ = engine.keep_house();
                    let Ok(Some(held)) = engine.lease(&card, &|_| true, Duration::from_millis(200)) else {
                        continue;
                    };
                    std::thread::sleep(Duration::from_millis(30));
                    match again(|| engine.complete(&held, result())) {
                        Ok(job) => done.lock().unwrap().push(job.id),
                        Err(error) if error.is_lease_over() => *refused.lock().unwrap() += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let mut deaths = 0;
        while done.lock().unwrap().len() < JOBS * 3 / 4 {
            deaths += 1;
            std::thread::sleep(Duration::from_millis(300));
            server.kill();
            std::thread::sleep(Duration::from_millis(100));
            server.restart();
        }
        println!("the server died {deaths} times");
    });
    let mut done = done.into_inner().unwrap();
    println!("{} were refused", refused.into_inner().unwrap());
    done.sort();
    let n = done.len();
    done.dedup();
    assert_eq!((n, done.len()), (JOBS, JOBS), "each ends once");
    let executions: u32 = done.iter().map(|id| get(&engine, id).executions).sum();
    println!("{executions} leases for {JOBS} jobs");
    // nothing comes back
    assert_eq!(
        engine
            .lease(&worker("late"), &|_| true, Duration::from_secs(3))
            .unwrap(),
        None
    );
}

#[test]
fn streams_that_somebody_took_away_are_made_again() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let mut server = Server::start(&program, "");
    let engine = open(&server.url());
    for n in 0..5 {
        submit(&engine, &format!("lost {n}"));
    }
    directly(&server.url(), async |context| {
        for stream in [
            "KV_nephrite_jobs",
            "NEPHRITE_JOBS",
            "NEPHRITE_EVENTS",
            "NEPHRITE_DEAD",
        ] {
            context.delete_stream(stream).await.unwrap();
        }
    });
    server.kill();
    server.restart();
    let query = Query {
        filter: Filter::default(),
        page_size: 10,
        token: None,
    };
    until("what is gone is gone", || {
        engine.list(&query).unwrap().jobs.is_empty()
    });
    again(|| engine.submit(new_job("new"))).unwrap();
    assert_eq!(drain(&engine, &worker("w"), 1), ["new"]);
}

#[test]
fn dropping_an_engine_does_not_wait_for_a_server_that_is_away() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let mut server = Server::start(&program, "");
    let engine = open(&server.url());
    server.kill();
    let began = Instant::now();
    drop(engine);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
