//! What watchers see.

use std::time::{Duration, Instant};

use nephrite_job_state::{JobState, Progress};

use super::rig::{PATIENCE, Rig, lease, result, settings, submit, worker};
use crate::engine::{Beat, EventBody, Happened, JobEngine};
use crate::settings::JobSettings;

fn beat(events: &[&str]) -> Beat {
    Beat {
        progress: events.last().map(|step| Progress {
            step: (*step).to_owned(),
            stage: "inference".into(),
            tiles_done: 1,
            tiles_total: 2,
            seconds_left: Some(0.5),
        }),
        events: events.iter().map(|event| event.as_bytes().to_vec()).collect(),
    }
}

fn words(events: &[Happened]) -> Vec<String> {
    let word = |event: &Happened| match &event.body {
        EventBody::State(entry) => entry.state.name().to_owned(),
        EventBody::Told(bytes) => String::from_utf8(bytes.clone()).unwrap(),
    };
    events.iter().map(word).collect()
}

/// All events after one, as a watcher collects them.
fn collect(engine: &dyn JobEngine, id: &nephrite_job_state::JobId, mut after: u64) -> Vec<Happened> {
    let mut all = Vec::new();
    let began = Instant::now();
    loop {
        let watched = engine.watch(id, after, Duration::from_millis(500)).unwrap();
        let is_last = watched.is_last(after);
        after = watched.events.last().map_or(after, |event| event.sequence);
        all.extend(watched.events);
        if is_last {
            return all;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "the last event does not come: {:?}",
            words(&all)
        );
    }
}

pub(super) fn events_come_once_and_in_order_and_can_be_resumed(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let id = submit(&*engine, &["a"]).remove(0);
    let held = lease(&*engine, &worker("w"));
    engine.heartbeat(&held, beat(&["one", "two"])).unwrap();
    assert_eq!(engine.get(&id).unwrap().progress.unwrap().step, "two");
    engine.heartbeat(&held, beat(&[])).unwrap();
    engine.heartbeat(&held, beat(&["three"])).unwrap();
    engine.complete(&held, result()).unwrap();
    let all = collect(&*engine, &id, 0);
    assert_eq!(
        words(&all),
        ["queued", "running", "one", "two", "three", "succeeded"]
    );
    assert!(all.is_sorted_by(|a, b| a.sequence < b.sequence), "{all:?}");
    for (i, event) in all.iter().enumerate() {
        assert_eq!(
            collect(&*engine, &id, event.sequence),
            all[i + 1..],
            "after {}",
            event.sequence
        );
    }
    assert_eq!(collect(&*engine, &id, u64::MAX), []);
    let EventBody::State(entry) = &all[1].body else {
        panic!("{all:?}")
    };
    assert_eq!((entry.worker.as_deref(), entry.attempt), (Some("w"), 1));
    // also after a restart
    drop(engine);
    let engine = rig.open(settings());
    assert_eq!(collect(&*engine, &id, 0), all);
}

pub(super) fn a_watcher_waits_for_news(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let id = submit(&*engine, &["a"]).remove(0);
    let watched = engine.watch(&id, 0, Duration::ZERO).unwrap();
    assert_eq!(words(&watched.events), ["queued"]);
    let after = watched.events[0].sequence;
    let began = Instant::now();
    let quiet = engine.watch(&id, after, Duration::from_millis(300)).unwrap();
    assert_eq!(quiet.events, []);
    assert!(!quiet.is_last(after));
    assert!(
        began.elapsed() >= Duration::from_millis(290),
        "{:?}",
        began.elapsed()
    );
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| engine.watch(&id, after, PATIENCE).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        engine.cancel(&id).unwrap();
        let watched = watching.join().unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(words(&watched.events), ["cancelled"]);
        assert!(watched.is_last(after));
    });
    assert_eq!(engine.get(&id).unwrap().state, JobState::Cancelled);
}

pub(super) fn events_of_a_job_are_bounded(rig: &dyn Rig) {
    let engine = rig.open(JobSettings {
        max_events: 16,
        ..settings()
    });
    let id = submit(&*engine, &["a"]).remove(0);
    let held = lease(&*engine, &worker("w"));
    for n in 0..10 {
        let names: Vec<String> = (0..8).map(|i| format!("{n}.{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        engine.heartbeat(&held, beat(&names)).unwrap();
    }
    engine.complete(&held, result()).unwrap();
    let all = words(&collect(&*engine, &id, 0));
    assert_eq!(all.first().map(String::as_str), Some("queued"));
    assert_eq!(all.last().map(String::as_str), Some("succeeded"));
    let told = &all[2..all.len() - 1];
    assert!(
        told.len() <= 16 && told.last().map(String::as_str) == Some("9.7"),
        "{all:?}"
    );
}
