//! What a back end does with jobs.

use std::time::{Duration, Instant};

use nephrite_cpu::{CpuOptions, Precision};
use nephrite_proto::v1::watch_response::Event;
use nephrite_proto::v1::{
    self, CancelRequest, FindOrphansRequest, JobPriority, JobState, ListJobsRequest, ListWorkersRequest,
    OrphanKind, PurgeRequest, RetryRequest, SubmitRequest, WatchRequest,
};
use serde_json::Value;

use crate::patient::{KIDNEYS, PATIENCE};
use crate::place::{Engine, Place, short_case, submission};

/// Many tiles.
fn long_pipeline() -> String {
    format!(
        "[[models]]\nid = 'kidneys'\nmodel = '{KIDNEYS}'\nphases = ['portal_venous']\ntile_step_size = 0.3\n\
         [[save]]\nstep = 'kidneys'\nfile = 'kidneys.nii.gz'\n"
    )
}

#[test]
fn a_job_is_handed_in_watched_and_found_again() {
    for engine in [Engine::Sqlite, Engine::Nats] {
        let Some(place) = Place::new(engine) else { continue };
        let server = place.server();
        let _worker = (engine == Engine::Nats).then(|| place.worker("worker", &[]));
        let request = SubmitRequest {
            priority: Some(JobPriority::High.into()),
            tenant: "urology".into(),
            deadline_seconds: Some(3600.0),
            ..submission("a", short_case("a"))
        };
        let job = place.submit(&server, &request);
        assert_eq!((job.key.as_str(), job.tenant.as_str()), ("a", "urology"));
        assert_eq!(job.priority(), JobPriority::High);
        assert_eq!(job.request.as_ref().unwrap().output, "results/a");
        assert!(job.deadline_unix_ms.unwrap() > job.submitted_unix_ms + 3_500_000);
        assert!(job.memory_bytes.unwrap() > 1 << 20);

        // All events, then the same again from every one of them.
        let client = place.client(&server);
        let watch = |after_sequence: u64| {
            let (client, id) = (client.clone(), job.id.clone());
            place.runtime.block_on(async move {
                let mut events = client
                    .watch_job(WatchRequest { id, after_sequence })
                    .await
                    .unwrap();
                let mut all = Vec::new();
                while let Some(event) = events.next().await.unwrap() {
                    all.push(event);
                }
                all
            })
        };
        let all = watch(0);
        let states: Vec<JobState> = all
            .iter()
            .filter_map(|event| match event.event.as_ref()? {
                Event::State(change) => Some(change.state()),
                _ => None,
            })
            .collect();
        assert_eq!(states, [JobState::Queued, JobState::Running, JobState::Succeeded]);
        assert!(matches!(all.last().unwrap().event, Some(Event::State(_))));
        let has =
            |wanted: fn(&Event) -> bool| all.iter().any(|event| event.event.as_ref().is_some_and(wanted));
        assert!(has(
            |event| matches!(event, Event::Mask(mask) if mask.file == "kidneys.nii.gz")
        ));
        assert!(has(
            |event| matches!(event, Event::Progress(step) if step.tiles_total > 0)
        ));
        assert!(all.is_sorted_by(|a, b| a.sequence < b.sequence));
        for (i, event) in all.iter().enumerate() {
            let rest: Vec<u64> = watch(event.sequence).iter().map(|event| event.sequence).collect();
            let expected: Vec<u64> = all[i + 1..].iter().map(|event| event.sequence).collect();
            assert_eq!(rest, expected);
        }

        let done = place.ended(&server, &job.id);
        let record = std::fs::read(place.patient.path("results/a/record.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        assert_eq!(record["job"]["id"], job.id.as_str());
        assert_eq!(record["job"]["lease"], 1);
        assert_eq!((done.attempts, done.executions, done.place), (1, 1, None));
        assert!(
            done.worker.starts_with(if engine == Engine::Nats {
                "worker/"
            } else {
                "server/"
            }),
            "{}",
            done.worker
        );

        let listed = place.runtime.block_on(client.list_jobs(ListJobsRequest {
            tenant: Some("urology".into()),
            ..ListJobsRequest::default()
        }));
        assert_eq!(listed.unwrap().jobs, [done]);
        let workers = place
            .runtime
            .block_on(client.list_workers(ListWorkersRequest {}))
            .unwrap()
            .workers;
        assert_eq!(workers.len(), 1);
        assert_eq!(workers[0].capabilities, ["cpu"]);
        assert_eq!(place.hidden(), Vec::<String>::new());
    }
}

/// Another process cancels; the network stops within a tile.
#[test]
fn a_running_job_is_cancelled_from_another_process() {
    for engine in [Engine::Sqlite, Engine::Nats] {
        let Some(place) = Place::new(engine) else { continue };
        std::fs::write(place.patient.path("long.toml"), long_pipeline()).unwrap();
        let server = place.server();
        let _worker = (engine == Engine::Nats).then(|| place.worker("worker", &[]));
        let client = place.client(&server);
        for n in 0..3 {
            let name = format!("long-{n}");
            let mut case = short_case(&name);
            case.pipeline = "long.toml".into();
            let job = place.submit(&server, &submission(&name, case));
            let began = Instant::now();
            loop {
                let now = place.get(&server, &job.id).unwrap();
                if now
                    .progress
                    .as_ref()
                    .is_some_and(|progress| progress.tiles_done > 0)
                {
                    break;
                }
                assert_ne!(
                    now.state(),
                    JobState::Succeeded,
                    "it was done before it could be cancelled"
                );
                assert!(began.elapsed() < PATIENCE);
                std::thread::sleep(Duration::from_millis(10));
            }
            let cancelled = Instant::now();
            let id = job.id.clone();
            let told = place
                .runtime
                .block_on(client.cancel_job(CancelRequest { id }))
                .unwrap()
                .job
                .unwrap();
            assert!(told.cancel_requested);
            let ended = place.ended(&server, &job.id);
            let took = cancelled.elapsed();
            println!("{engine:?}: cancelled within {took:.0?}");
            assert_eq!(ended.state(), JobState::Cancelled);
            assert!(took < Duration::from_secs(3), "{took:?}"); // a tile, and a second
            assert!(!place.patient.path(&format!("results/{name}")).exists());
        }
        assert_eq!(place.hidden(), Vec::<String>::new());
        // What was cancelled can be done after all.
        let id = place
            .submit(&server, &submission("again", short_case("again")))
            .id;
        place.ended(&server, &id);
        let listed = place.runtime.block_on(client.list_jobs(ListJobsRequest {
            states: vec![JobState::Cancelled.into()],
            ..ListJobsRequest::default()
        }));
        let one = listed.unwrap().jobs.remove(0);
        let retried = place
            .runtime
            .block_on(client.retry_job(RetryRequest { id: one.id.clone() }))
            .unwrap();
        assert_eq!(retried.job.unwrap().attempts, 0);
        let began = Instant::now();
        while place.get(&server, &one.id).unwrap().executions < 2 {
            assert!(began.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn what_has_ended_is_purged_with_its_result_and_orphans_are_found() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let server = place.server();
    let client = place.client(&server);
    let names = ["kept", "purged", "changed", "orphan"];
    let ids = names.map(|name| place.submit(&server, &submission(name, short_case(name))).id);
    for id in &ids {
        assert_eq!(place.ended(&server, id).state(), JobState::Succeeded);
    }
    let purge = |id: &str, with_results| {
        let request = PurgeRequest {
            ids: vec![id.to_owned()],
            with_results,
        };
        place
            .runtime
            .block_on(client.purge_jobs(request))
            .unwrap()
            .jobs
            .remove(0)
    };
    let exists = |name: &str| place.patient.path(&format!("results/{name}")).exists();
    let gone = purge(&ids[1], true);
    assert!(
        gone.purged && gone.result_removed && gone.error.is_none(),
        "{gone:?}"
    );
    assert!(!exists("purged"));
    // Somebody has worked on that one.
    std::fs::write(place.patient.path("results/changed/record.json"), "{}").unwrap();
    let left = purge(&ids[2], true);
    assert!(
        left.purged && !left.result_removed && left.error.is_some(),
        "{left:?}"
    );
    assert!(exists("changed"));
    // What a forgotten job has left is nobody's result: the same key is another submission.
    let again = place
        .try_submit(&server, &submission("changed", short_case("changed")))
        .unwrap_err();
    assert_eq!(
        again.code,
        nephrite_types::ErrorCode::AlreadyExists,
        "{}",
        again.message
    );
    let left = purge(&ids[3], false);
    assert!(
        left.purged && !left.result_removed && left.error.is_none(),
        "{left:?}"
    );
    assert!(exists("orphan"));
    std::fs::remove_dir_all(place.patient.path("results/kept")).unwrap();
    std::fs::create_dir(place.patient.path("results/.nephrite-00000000000000aa.work")).unwrap();

    let request = FindOrphansRequest {
        folder: "results".into(),
    };
    let found = place.runtime.block_on(client.find_orphans(request)).unwrap();
    let found: Vec<(OrphanKind, &str)> = found
        .orphans
        .iter()
        .map(|orphan| (orphan.kind(), &*orphan.path))
        .collect();
    let expected = [
        (OrphanKind::Unfinished, "results/.nephrite-00000000000000aa.work"),
        (OrphanKind::ResultGone, "results/kept"),
        (OrphanKind::UnknownJob, "results/orphan"),
    ];
    assert_eq!(found, expected);
    assert!(exists("orphan"), "nothing is removed");
}

/// A server that is asked to stop finishes the job within its time, or gives it back; the next one does it.
#[test]
fn a_server_that_stops_gives_its_job_back_and_that_is_no_try() {
    let place = Place::new(Engine::Sqlite).unwrap();
    std::fs::write(place.patient.path("long.toml"), long_pipeline()).unwrap();
    let server = place.server_with("server", &[], "drain_timeout_seconds = 0.2");
    let mut case = short_case("long");
    case.pipeline = "long.toml".into();
    let job = place.submit(&server, &submission("long", case));
    let began = Instant::now();
    while place
        .get(&server, &job.id)
        .unwrap()
        .progress
        .is_none_or(|progress| progress.tiles_done == 0)
    {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.stop(), Some(0));
    let server = place.server();
    let now = place.get(&server, &job.id).unwrap();
    assert!(now.attempts <= 1, "{now:?}");
    let done = place.ended(&server, &job.id);
    assert_eq!(
        (done.state(), done.attempts, done.executions),
        (JobState::Succeeded, 1, 2)
    );
}

/// Jobs wait while nobody can take them, and say why.
#[test]
fn a_job_that_nobody_can_take_says_so() {
    let Some(place) = Place::new(Engine::Nats) else {
        return;
    };
    let place = Place {
        jobs: format!("{}capabilities = ['large']\n", place.jobs),
        ..place
    };
    let server = place.server();
    let job = place.submit(&server, &submission("a", short_case("a")));
    assert_eq!((job.state(), job.place), (JobState::Queued, Some(1)));
    assert_eq!(job.blocked, "no worker is there");
    let _worker = place.worker("worker", &[]);
    assert_eq!(place.ended(&server, &job.id).state(), JobState::Succeeded);
    let large = SubmitRequest {
        capability: "large".into(),
        ..submission("b", short_case("b"))
    };
    let job = place.submit(&server, &large);
    assert!(job.blocked.contains("does not have large"), "{}", job.blocked);
    let client = place.client(&server);
    let id = job.id.clone();
    let cancelled = place
        .runtime
        .block_on(client.cancel_job(CancelRequest { id }))
        .unwrap();
    assert_eq!(cancelled.job.unwrap().state(), JobState::Cancelled);
}

/// A precision is what a process is, like its provider: jobs may ask for it where there is one.
#[test]
fn a_process_offers_its_precision() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let asking = |key: &str| SubmitRequest {
        capability: "bf16".into(),
        ..submission(key, short_case(key))
    };
    let server = place.server();
    let refused = place.try_submit(&server, &asking("a")).unwrap_err();
    assert!(refused.message.contains("known are cpu"), "{refused}");
    drop(server);
    let options = CpuOptions {
        precision: Precision::Bf16,
        ..CpuOptions::best()
    };
    if nephrite_cpu::check(options).is_err() {
        println!("this processor has no bf16: skipped");
        return;
    }
    let server = place.server_with("server", &[], "precision = 'bf16'");
    let job = place.submit(&server, &asking("a"));
    assert_eq!(place.ended(&server, &job.id).state(), JobState::Succeeded);
    let workers = place.client(&server);
    let workers = place
        .runtime
        .block_on(workers.list_workers(ListWorkersRequest {}));
    assert_eq!(workers.unwrap().workers[0].capabilities, ["cpu", "bf16"]);
    let record = place.patient.path("results/a/record.json");
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    assert_eq!(record["steps"][0]["work"]["model"]["precision"], "bf16");
}

/// What fails for good fails once; what another try may mend is tried again, and dead after the last.
#[test]
fn failures_are_told_with_their_codes() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let server = place.server_without_worker();
    // It is a scan when it is handed in, and none when the job comes to it.
    let scan = place.patient.path("scans/arterial.nii.gz");
    let mut case = short_case("broken");
    case.pipeline = "any.toml".into();
    std::fs::write(
        place.patient.path("any.toml"),
        format!("[[models]]\nid = 'k'\nmodel = '{KIDNEYS}'\nphases = ['arterial']\n[[save]]\nstep = 'k'\nfile = 'k.nii.gz'\n"),
    )
    .unwrap();
    case.scans = vec![v1::PhaseScan {
        phase: v1::Phase::Arterial.into(),
        path: "scans/arterial.nii.gz".into(),
    }];
    let job = place.submit(&server, &submission("broken", case));
    assert_eq!(job.state(), JobState::Queued);
    std::fs::write(scan, "this is no scan").unwrap();
    server.kill();
    let server = place.server();
    let failed = place.ended(&server, &job.id);
    assert_eq!((failed.state(), failed.attempts), (JobState::Failed, 1));
    let error = failed.error.unwrap();
    assert_eq!(error.code(), v1::ErrorCode::InvalidInput, "{}", error.message);
    assert!(error.message.contains("arterial.nii.gz"), "{}", error.message);
}
