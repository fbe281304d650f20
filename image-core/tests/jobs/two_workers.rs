//! Two workers on this machine.

use nephrite_proto::v1::{JobState, SubmitRequest};
use serde_json::Value;

use crate::place::{Engine, Place, short_case, submission};

/// Twenty cases of two scans: all done, equal bytes, and each scan read once by each worker at most.
#[test]
fn two_workers_do_twenty_cases_and_read_each_scan_once() {
    let Some(place) = Place::new(Engine::Nats) else {
        return;
    };
    let place = Place {
        jobs: "affinity_seconds = 20\n".into(),
        ..place
    };
    let pipeline = std::fs::read_to_string(place.patient.path("short.toml")).unwrap();
    std::fs::write(
        place.patient.path("short.toml"),
        pipeline.replace("['portal_venous']", "['portal_venous', 'delayed']"),
    )
    .unwrap();
    let server = place.server();
    let workers = ["one", "two"].map(|name| place.worker(name, &[]));
    let submit = |n: usize| {
        let mut case = short_case(&format!("case-{n}"));
        if n % 2 == 1 {
            case.scans[0].phase = nephrite_proto::v1::Phase::Delayed.into();
            case.scans[0].path = "scans/delayed.nii.gz".into();
        }
        let request: SubmitRequest = submission(&format!("case {n}"), case);
        place.submit(&server, &request).id
    };
    let ids: Vec<String> = (0..20).map(submit).collect();
    let mut reads = std::collections::BTreeMap::new();
    let mut taken = std::collections::BTreeMap::new();
    for (n, id) in ids.iter().enumerate() {
        let job = place.ended(&server, id);
        assert_eq!((job.state(), job.executions), (JobState::Succeeded, 1), "{job:?}");
        assert_eq!(
            place.files(&format!("case-{n}")),
            place.files(&format!("case-{}", n % 2))
        );
        let record = std::fs::read(place.patient.path(&format!("results/case-{n}/record.json"))).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        *reads.entry((job.worker.clone(), n % 2)).or_insert(0) +=
            record["counters"]["scan_reads"].as_u64().unwrap();
        *taken.entry(job.worker).or_insert(0) += 1;
    }
    println!("jobs {taken:?}, reads of scans {reads:?}");
    assert_eq!(taken.len(), 2, "both have worked: {taken:?}");
    assert!(reads.values().all(|reads| *reads <= 1), "{reads:?}");
    drop(workers);
}
