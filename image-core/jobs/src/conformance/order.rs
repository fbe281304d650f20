//! Who goes first, and where to.

use std::time::{Duration, Instant};

use nephrite_job_state::{Needs, NewJob, Priority, TURNS, WorkerCard};

use super::rig::{Rig, lease, new_job, no_lease, result, settings, worker};
use crate::settings::JobSettings;

pub(super) fn high_goes_first_and_nobody_starves(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let submit = |key: String, priority| {
        let new = NewJob {
            priority,
            ..new_job(&key)
        };
        engine.submit(new).unwrap();
    };
    for n in 0..3 {
        submit(format!("low {n}"), Priority::Low);
        submit(format!("normal {n}"), Priority::Normal);
    }
    for n in 0..16 {
        submit(format!("high {n:02}"), Priority::High);
    }
    let mut taken = Vec::new();
    for _ in 0..22 {
        let held = lease(&*engine, &worker("w"));
        taken.push(held.job.new.key.clone());
        engine.complete(&held, result()).unwrap();
    }
    let turn = usize::try_from(TURNS).unwrap();
    assert_eq!(taken[turn - 1], "low 0", "{taken:?}");
    assert_eq!(taken[2 * turn - 1], "normal 0", "{taken:?}"); // or those between would wait for ever
    taken.retain(|key| !["low 0", "normal 0"].contains(&key.as_str()));
    let mut expected: Vec<String> = (0..16).map(|n| format!("high {n:02}")).collect();
    expected.extend((1..3).map(|n| format!("normal {n}")));
    expected.extend((1..3).map(|n| format!("low {n}")));
    assert_eq!(taken, expected);
}

pub(super) fn jobs_go_where_they_can_run(rig: &dyn Rig) {
    let engine = rig.open(JobSettings {
        capabilities: vec!["cuda".into()],
        ..settings()
    });
    let needs = |key: &str, needs: Needs| {
        let new = NewJob {
            needs,
            ..new_job(key)
        };
        engine.submit(new).unwrap();
    };
    let models = |models: &[&str]| models.iter().map(|model| (*model).to_owned()).collect::<Vec<_>>();
    needs(
        "card",
        Needs {
            capability: Some("cuda".into()),
            ..Needs::default()
        },
    );
    needs(
        "kidney",
        Needs {
            models: models(&["models/kidney/a"]),
            ..Needs::default()
        },
    );
    needs(
        "large",
        Needs {
            memory_bytes: Some(1 << 40),
            ..Needs::default()
        },
    );
    let with = |name: &str, capabilities: &[&str], beneath: &[&str], memory_bytes| WorkerCard {
        capabilities: models(capabilities),
        models: models(beneath),
        memory_bytes,
        ..worker(name)
    };
    let small = with("small", &[], &["models/vessel"], Some(1 << 30));
    no_lease(&*engine, &small);
    let kidney = with("kidney", &[], &["models/kidney"], Some(1 << 30));
    let held = lease(&*engine, &kidney);
    assert_eq!(held.job.new.key, "kidney");
    engine.complete(&held, result()).unwrap();
    no_lease(&*engine, &kidney);
    let card = with("card", &["cuda"], &["models/vessel"], Some(1 << 30));
    let held = lease(&*engine, &card);
    assert_eq!(held.job.new.key, "card");
    engine.complete(&held, result()).unwrap();
    let full = engine.lease(
        &with("now full", &[], &[], None),
        &|_| false,
        Duration::from_millis(200),
    );
    assert_eq!(full.unwrap(), None, "there is no room for it now");
    assert_eq!(
        lease(&*engine, &with("large", &[], &[], None)).job.new.key,
        "large"
    );
}

pub(super) fn a_held_scan_is_left_to_its_holder_for_a_while(rig: &dyn Rig) {
    let affinity = Duration::from_secs(2);
    let engine = rig.open(JobSettings {
        affinity,
        ..settings()
    });
    let of_scan = |key: &str, scan: &str| {
        let new = NewJob {
            scan: Some(scan.into()),
            ..new_job(key)
        };
        engine.submit(new).unwrap();
    };
    let (holder, other) = (worker("holder"), worker("other"));
    for card in [&holder, &other] {
        engine.advertise(card).unwrap();
    }
    of_scan("first", "scan");
    let held = lease(&*engine, &holder);
    engine.complete(&held, result()).unwrap();
    of_scan("second", "scan");
    of_scan("third", "scan");
    let since = Instant::now();
    no_lease(&*engine, &other);
    let held = lease(&*engine, &holder);
    assert_eq!(held.job.new.key, "second");
    engine.complete(&held, result()).unwrap();
    of_scan("of another scan", "free");
    let held = lease(&*engine, &other);
    assert_eq!(held.job.new.key, "of another scan");
    engine.complete(&held, result()).unwrap();
    let late = lease(&*engine, &other);
    assert_eq!(late.job.new.key, "third");
    assert!(since.elapsed() >= affinity.mul_f64(0.8), "{:?}", since.elapsed());
    // A holder that is gone holds nothing.
    engine.complete(&late, result()).unwrap();
    engine.withdraw(&other).unwrap();
    of_scan("fourth", "scan");
    let since = Instant::now();
    assert_eq!(lease(&*engine, &worker("third")).job.new.key, "fourth");
    assert!(since.elapsed() < affinity, "{:?}", since.elapsed());
}
