//! Three servers, each with a copy of everything.

use std::time::{Duration, Instant};

use crate::rig::{again, directly, drain, get, lease, nats, result, submit};
use crate::server::{Server, cluster, urls};
use nephrite_jobs::conformance::{new_job, settings, worker};
use nephrite_jobs::{Beat, JobEngine as _, JobError, JobState};
use nephrite_jobs_nats::{NatsEngine, NatsSettings};

fn open_three(servers: &[Server]) -> NatsEngine {
    let nats = NatsSettings {
        replicas: 3,
        connect_timeout: Duration::from_secs(30),
        ..nats(&urls(servers))
    };
    let mut settings = settings();
    settings.lease = Duration::from_secs(3);
    NatsEngine::open(settings, nats).unwrap()
}

/// The server that leads a stream.
fn leader(servers: &[Server], stream: &str) -> usize {
    let name = directly(&servers[0].url(), async |context| {
        let stream = context.get_stream(stream).await.unwrap();
        stream
            .cached_info()
            .cluster
            .as_ref()
            .and_then(|cluster| cluster.leader.clone())
    });
    name.and_then(|name| name.trim_start_matches('n').parse().ok())
        .unwrap()
}

#[test]
#[ignore = "takes half a minute; make test-jobs runs it"]
fn the_leader_may_die() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let mut servers = cluster(&program);
    let engine = open_three(&servers);
    for n in 0..20 {
        submit(&engine, &format!("job {n:02}"));
    }
    let held = lease(&engine, &worker("w"));
    for stream in ["KV_nephrite_jobs", "NEPHRITE_JOBS"] {
        let leads = leader(&servers, stream);
        servers[leads].kill();
        let began = Instant::now();
        again(|| engine.submit(new_job(stream))).unwrap();
        println!(
            "the leader of {stream} died: the next job was taken after {:?}",
            began.elapsed()
        );
        // The lease is short and the election may be long: then it is another one's.
        let _ = again(|| engine.heartbeat(&held, Beat::default()));
        servers[leads].restart();
        again(|| engine.check()).unwrap();
        std::thread::sleep(Duration::from_secs(2)); // it catches up
    }
    let first = again(|| engine.complete(&held, result()));
    assert!(
        first.as_ref().map_or_else(JobError::is_lease_over, |_| true),
        "{first:?}"
    );
    let left = if first.is_ok() { 21 } else { 22 };
    let mut keys = drain(&engine, &worker("v"), left);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), left, "each once");
    assert_eq!(
        engine
            .lease(&worker("v"), &|_| true, Duration::from_secs(4))
            .unwrap(),
        None
    );
}

#[test]
fn without_a_majority_nothing_is_taken_and_nothing_is_lost() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let mut servers = cluster(&program);
    let engine = open_three(&servers);
    let ids: Vec<_> = (0..20).map(|n| submit(&engine, &format!("job {n:02}"))).collect();
    servers[1].kill();
    servers[2].kill();
    for n in 0..3 {
        let began = Instant::now();
        let error = engine.submit(new_job(&format!("refused {n}"))).unwrap_err();
        assert!(matches!(error, JobError::Unavailable { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    }
    servers[1].restart();
    servers[2].restart();
    for id in &ids {
        assert_eq!(get(&engine, id).state, JobState::Queued);
    }
    // those that were refused may have been taken after all, and may be submitted again
    for n in 0..3 {
        again(|| engine.submit(new_job(&format!("refused {n}")))).unwrap();
    }
    let mut keys = drain(&engine, &worker("w"), 23);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 23, "each once");
}
