//! How long it takes to submit a job to a server that syncs every write: `cargo run --example submit_speed [JOBS]`.

#[allow(unreachable_pub)]
#[path = "../tests/nats/server/mod.rs"]
mod server;

use std::time::{Duration, Instant};

use nephrite_jobs::conformance::{new_job, settings, worker};
use nephrite_jobs::{JobEngine as _, JobResult};
use nephrite_jobs_nats::{NatsEngine, NatsSettings};

#[allow(clippy::print_stdout, clippy::unwrap_used)]
fn main() {
    let Some(program) = server::program() else { return };
    let jobs: usize = std::env::args().nth(1).map_or(2000, |text| text.parse().unwrap());
    let server = server::Server::start(&program, "");
    let nats = NatsSettings {
        url: server.url(),
        ..NatsSettings::default()
    };
    let engine = NatsEngine::open(settings(), nats).unwrap();
    let submitted = (0..jobs).map(|n| {
        let began = Instant::now();
        engine.submit(new_job(&format!("job {n}"))).unwrap();
        began.elapsed()
    });
    report("submit", submitted.collect());
    let ended = (0..jobs).map(|_| {
        let began = Instant::now();
        let held = engine
            .lease(&worker("w"), &|_| true, Duration::from_secs(10))
            .unwrap()
            .unwrap();
        let result = JobResult {
            record_sha256: String::new(),
            input_sha256: None,
            reused_from: None,
        };
        engine.complete(&held, result).unwrap();
        began.elapsed()
    });
    report("lease and complete", ended.collect());
}

#[allow(clippy::print_stdout)]
fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let of = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "{what}: {} times, p50 {:?}, p99 {:?}, max {:?}",
        times.len(),
        of(0.5),
        of(0.99),
        of(1.0)
    );
}
