//! Several servers on the same jobs.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::rig::{PATIENCE, directly, drain, get, lease, open, open_with, result, submit, until};
use crate::server::Server;
use nephrite_jobs::conformance::{new_job, worker};
use nephrite_jobs::{
    Beat, Ending, EventBody, Filter, Job, JobEngine as _, JobError, JobId, JobState, NewJob, Orders, Query,
};
use nephrite_jobs_nats::NatsEngine;

/// Keys of all jobs that an engine lists.
fn listed(engine: &NatsEngine) -> Vec<String> {
    let query = Query {
        filter: Filter::default(),
        page_size: 1000,
        token: None,
    };
    engine
        .list(&query)
        .unwrap()
        .jobs
        .into_iter()
        .map(|job| job.new.key)
        .collect()
}

#[test]
fn two_servers_take_each_job_once() {
    const JOBS: usize = 200;
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let engines = [open(&server.url()), open(&server.url())];
    std::thread::scope(|scope| {
        for (n, engine) in engines.iter().enumerate() {
            scope.spawn(move || {
                for job in (n..JOBS).step_by(2) {
                    let scan = (job % 3 == 0).then(|| format!("scan {}", job % 5));
                    engine
                        .submit(NewJob {
                            scan,
                            ..new_job(&format!("job {job}"))
                        })
                        .unwrap();
                }
            });
        }
    });
    let taken = Mutex::new(BTreeMap::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (engine, taken) = (&engines[n % 2], &taken);
            scope.spawn(move || {
                let card = worker(&format!("w{n}"));
                while taken.lock().unwrap().len() < JOBS && began.elapsed() < PATIENCE {
                    let Some(held) = engine
                        .lease(&card, &|_| true, Duration::from_millis(100))
                        .unwrap()
                    else {
                        continue;
                    };
                    *taken.lock().unwrap().entry(held.job.id.clone()).or_insert(0) += 1;
                    engine.complete(&held, result()).unwrap();
                }
            });
        }
    });
    println!("{JOBS} jobs in {:?}", began.elapsed());
    let taken = taken.into_inner().unwrap();
    assert_eq!(taken.len(), JOBS);
    assert!(taken.values().all(|times| *times == 1), "{taken:?}");
    for id in taken.keys() {
        let job = engines[0].get(id).unwrap();
        assert_eq!((job.state, job.executions), (JobState::Succeeded, 1));
    }
    let numbers = |engine: &NatsEngine| {
        until("both know all", || listed(engine).len() == JOBS);
        listed(engine)
    };
    assert_eq!(numbers(&engines[0]), numbers(&engines[1]));
}

#[test]
fn of_two_that_want_the_same_one_gets_it() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let engines = [open(&server.url()), open(&server.url())];
    for round in 0..30 {
        let both = |new: &(dyn Fn(usize) -> NewJob + Sync)| {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..2).map(|n| (n, &engines[n])).collect();
                let threads: Vec<_> = threads
                    .into_iter()
                    .map(|(n, engine)| scope.spawn(move || engine.submit(new(n))))
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect::<Vec<_>>()
            })
        };
        let same_key = both(&|_| new_job(&format!("key {round}")));
        let new = same_key
            .iter()
            .filter(|submitted| submitted.as_ref().unwrap().is_new)
            .count();
        assert_eq!(new, 1, "{same_key:?}");

        let same_output = both(&|n| NewJob {
            output: format!("results/output {round}"),
            ..new_job(&format!("output {round} {n}"))
        });
        let (taken, refused): (Vec<_>, Vec<_>) = same_output.into_iter().partition(Result::is_ok);
        assert_eq!(taken.len(), 1, "{taken:?} {refused:?}");
        for error in refused {
            let error = error.unwrap_err();
            assert!(matches!(error, JobError::OutputTaken { .. }), "{error}");
        }
    }
}

#[test]
fn a_silent_worker_loses_its_job_to_another_server() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let (first, second) = (open(&server.url()), open(&server.url()));
    let id = submit(&first, "a");
    let held = lease(&first, &worker("w"));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        first.heartbeat(&held, Beat::default()).unwrap();
        let got = second
            .lease(&worker("v"), &|_| true, Duration::from_millis(200))
            .unwrap();
        assert_eq!(got, None, "its worker lives");
    }
    let silent = Instant::now();
    let taken = lease(&second, &worker("v"));
    let took = silent.elapsed();
    println!("taken over after {took:?}");
    assert!(
        took > Duration::from_millis(700) && took < Duration::from_secs(6),
        "{took:?}"
    );
    assert_eq!(
        (taken.job.id.clone(), taken.fence, taken.job.attempts),
        (id.clone(), 2, 2)
    );
    until("the first hears of it", || first.orders(&held) == Orders::Lost);
    assert!(first.seal(&held).unwrap_err().is_lease_over());
    assert!(
        first
            .heartbeat(&held, Beat::default())
            .unwrap_err()
            .is_lease_over()
    );
    assert!(first.complete(&held, result()).unwrap_err().is_lease_over());
    assert!(first.fail(&held, Ending::GivenBack).unwrap_err().is_lease_over());
    second.seal(&taken).unwrap();
    second.complete(&taken, result()).unwrap();
    assert!(
        first.complete(&held, result()).unwrap_err().is_lease_over(),
        "it was not this one's"
    );
    let job = get(&first, &id);
    assert_eq!(
        (job.state, job.executions, job.worker.as_deref()),
        (JobState::Succeeded, 2, Some("v"))
    );
}

#[test]
fn what_one_server_does_the_other_sees() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let (first, second) = (open(&server.url()), open(&server.url()));
    let id = submit(&first, "a");
    until("it is listed", || listed(&second) == ["a"]);
    first.advertise(&worker("w")).unwrap();
    until("the worker is known", || second.workers() == [worker("w")]);
    let held = lease(&second, &worker("v"));
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| first.watch(&id, 2, PATIENCE).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        let beat = Beat {
            progress: None,
            events: vec![b"one".to_vec()],
        };
        second.heartbeat(&held, beat).unwrap();
        assert_eq!(watching.join().unwrap().events.len(), 1);
    });
    first.cancel(&id).unwrap();
    until("its worker hears of it", || {
        second.orders(&held) == Orders::Cancel
    });
    second.complete(&held, result()).unwrap();
    second.purge(&id).unwrap();
    until("it is forgotten", || listed(&first).is_empty());
    first.withdraw(&worker("w")).unwrap();
    until("the worker is gone", || {
        second.workers().iter().all(|card| card.name != "w")
    });
    // the key is free, for both
    assert!(first.submit(new_job("a")).unwrap().is_new);
    assert_eq!(drain(&second, &worker("v"), 1), ["a"]);
}

#[test]
fn what_one_server_has_ended_does_not_stand_in_the_way_of_the_other() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let engines = [open(&server.url()), open(&server.url())];
    let new = |n: usize| NewJob {
        output: "results/same".to_owned(),
        ..new_job(&format!("job {n}"))
    };
    for n in 0..50 {
        let id = engines[n % 2].submit(new(n)).unwrap().job.id;
        engines[n % 3 % 2].cancel(&id).unwrap();
    }
}

#[test]
fn many_events_come_in_pages() {
    const EVENTS: usize = 1000;
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let (first, second) = (open(&server.url()), open(&server.url()));
    let id = submit(&first, "a");
    let held = lease(&first, &worker("w"));
    let words: Vec<String> = (0..EVENTS).map(|n| format!("event {n}")).collect();
    for some in words.chunks(100) {
        let events = some.iter().map(|word| word.clone().into_bytes()).collect();
        first
            .heartbeat(
                &held,
                Beat {
                    progress: None,
                    events,
                },
            )
            .unwrap();
    }
    first.complete(&held, result()).unwrap();
    for engine in [&first, &second] {
        let (mut after, mut told) = (0, Vec::new());
        let began = Instant::now();
        loop {
            let watched = engine.watch(&id, after, Duration::from_secs(1)).unwrap();
            let is_last = watched.is_last(after);
            for event in watched.events {
                assert!(event.sequence > after);
                after = event.sequence;
                if let EventBody::Told(word) = event.body {
                    told.push(String::from_utf8(word).unwrap());
                }
            }
            if is_last {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{} events", told.len());
        }
        println!("{EVENTS} events in {:?}", began.elapsed());
        assert_eq!(told, words);
    }
}

#[test]
fn a_dead_job_leaves_a_letter_with_the_reason() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let engine = open(&server.url());
    let poison = NewJob {
        max_attempts: 1,
        ..new_job("poison")
    };
    let id = engine.submit(poison).unwrap().job.id;
    let _held = lease(&engine, &worker("the last one"));
    until("it is dead", || {
        assert_eq!(
            engine
                .lease(&worker("v"), &|_| true, Duration::from_millis(200))
                .unwrap(),
            None
        );
        get(&engine, &id).state == JobState::Dead
    });
    let (letter, left) = directly(&server.url(), async |context| {
        let dead = context.get_stream("NEPHRITE_DEAD").await.unwrap();
        let letter = dead
            .get_last_raw_message_by_subject(&format!("nephrite.dead.{id}"))
            .await
            .unwrap();
        let queue = context.get_stream("NEPHRITE_JOBS").await.unwrap();
        (letter.payload, queue.cached_info().state.messages)
    });
    let letter: serde_json::Value = serde_json::from_slice(&letter).unwrap();
    assert!(
        letter["reason"].as_str().unwrap().contains("the last one"),
        "{letter}"
    );
    assert_eq!(letter["job"]["state"], "dead");
    assert_eq!(left, 0, "its message is gone");
}

#[test]
fn a_lost_message_is_published_again() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let engine = open(&server.url());
    let id = submit(&engine, "a");
    directly(&server.url(), async |context| {
        context
            .get_stream("NEPHRITE_JOBS")
            .await
            .unwrap()
            .purge()
            .await
            .unwrap();
    });
    assert_eq!(
        engine
            .lease(&worker("w"), &|_| true, Duration::from_millis(300))
            .unwrap(),
        None
    );
    let lost = Instant::now();
    until("it comes after all", || {
        engine.keep_house().unwrap();
        let got = engine
            .lease(&worker("w"), &|_| true, Duration::from_millis(200))
            .unwrap();
        if let Some(held) = &got {
            engine.complete(held, result()).unwrap();
        }
        got.is_some()
    });
    println!("published again after {:?}", lost.elapsed());
    assert_eq!(get(&engine, &id).executions, 1);
    // one whose worker died, and whose message is lost too
    submit(&engine, "b");
    let held = lease(&engine, &worker("w"));
    directly(&server.url(), async |context| {
        context
            .get_stream("NEPHRITE_JOBS")
            .await
            .unwrap()
            .purge()
            .await
            .unwrap();
    });
    until("it waits again", || {
        engine.keep_house().unwrap();
        get(&engine, &held.job.id).state == JobState::Queued
    });
    assert_eq!(drain(&engine, &worker("v"), 1), ["b"]);
}

/// A process died after it wrote the record of a job, and before anything else.
#[test]
fn submissions_that_broke_off_come_to_an_end() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let engine = open(&server.url());
    submit(&engine, "a");
    let held = lease(&engine, &worker("w"));
    let broken = |key: &str, output: &str, number| {
        let new = NewJob {
            output: output.to_owned(),
            ..new_job(key)
        };
        Job::queued(new, number, 1)
    };
    let (free, taken) = (broken("free", "results/free", 1), broken("taken", "results/a", 2));
    directly(&server.url(), async |context| {
        for job in [&free, &taken] {
            let subject = format!("$KV.nephrite_jobs.job.{}", job.id);
            let record = serde_json::to_vec(job).unwrap();
            context
                .publish(subject, record.into())
                .await
                .unwrap()
                .await
                .unwrap();
        }
    });
    until("both are known", || listed(&engine).len() == 3);
    let began = Instant::now();
    until("one is taken back", || {
        engine.heartbeat(&held, Beat::default()).unwrap();
        engine.keep_house().unwrap();
        matches!(engine.get(&taken.id), Err(JobError::Unknown { .. }))
    });
    println!("taken back after {:?}", began.elapsed());
    engine.complete(&held, result()).unwrap();
    assert_eq!(drain(&engine, &worker("w"), 1), ["free"]);
    assert!(engine.submit(taken.new).unwrap().is_new);
}

#[test]
fn what_cannot_be_read_harms_nobody_else() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let engine = open(&server.url());
    let id = submit(&engine, "a");
    submit(&engine, "b");
    directly(&server.url(), async |context| {
        let publish = async |subject: String, payload: &str| {
            context
                .publish(subject, payload.to_owned().into())
                .await
                .unwrap()
                .await
                .unwrap();
        };
        publish(format!("$KV.nephrite_jobs.job.{id}"), "{\"no\":\"job\"}").await;
        publish("$KV.nephrite_jobs.job.strange".into(), "x").await;
        publish("$KV.nephrite_workers.worker.x".into(), "x").await;
        publish("nephrite.q.normal.00000000.0.x".into(), "x").await;
    });
    assert!(matches!(engine.get(&id).unwrap_err(), JobError::Corrupt { .. }));
    assert_eq!(drain(&engine, &worker("w"), 1), ["b"]);
    engine.keep_house().unwrap();
    drop(engine);
    let engine = open_with(&server.url(), |_| ());
    assert_eq!(listed(&engine), ["b"]);
    assert!(engine.get(&JobId::of("", "b")).is_ok());
}
