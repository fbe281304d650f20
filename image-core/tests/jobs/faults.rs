//! Whatever dies, wherever a job is: it ends exactly once, and its result is that of an undisturbed run.
//!
//! `NEPHRITE_FAULT_REPEATS` says how often each fault is tried, at every point; if it is not given, each is
//! tried once, at one or two.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nephrite_jobs::fault::POINTS;
use nephrite_proto::v1::JobState;
use rustix::process::{Pid, Signal, kill_process};

use crate::place::{Engine, Place, Process, short_case, submission};

/// Who is hit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Victim {
    /// Takes jobs in; with SQLite it does them, too.
    Server,
    /// Does jobs.
    Worker,
    /// Waits for one.
    Client,
    /// Keeps them.
    Nats,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Blow {
    /// SIGKILL, and started again.
    Kill,
    /// SIGSTOP for longer than a lease, then SIGCONT.
    Stop,
}

const LEASE: Duration = Duration::from_secs(2);

/// Points, and how often.
fn extent(blow: Blow) -> (&'static [&'static str], u32) {
    match (std::env::var("NEPHRITE_FAULT_REPEATS"), blow) {
        (Ok(text), _) => (&POINTS, text.parse().unwrap()),
        (Err(_), Blow::Kill) => (&["mid_tile", "result_written"], 1),
        (Err(_), Blow::Stop) => (&["result_written"], 1), // a lease must pass
    }
}

/// What came of one fault.
struct Outcome {
    executions: u32,
    recovery: Duration,
}

/// One job through one fault.
fn strike(
    place: &mut Place,
    expected: &BTreeMap<String, Vec<u8>>,
    victim: Victim,
    blow: Blow,
    point: &str,
    n: u32,
) -> Outcome {
    place.generation += 1;
    let name = format!("{victim:?}-{blow:?}-{point}-{n}").to_lowercase();
    let file = place.patient.path(&format!("stop-{}", place.generation));
    let stop_file = file.display().to_string();
    let stops = [("NEPHRITE_STOP_AT", point), ("NEPHRITE_STOP_FILE", &*stop_file)];
    let is_front = point == "submitted";
    let is_alone = place.engine == Engine::Sqlite;
    let of_front: &[(&str, &str)] = if is_front || is_alone { &stops } else { &[] };
    let of_worker: &[(&str, &str)] = if is_front { &[] } else { &stops };

    let mut server = Some(place.server_with("server", of_front, ""));
    let mut worker = (!is_alone).then(|| place.worker("worker", of_worker));
    let request = submission(&name, short_case(&name));
    let address = server.as_ref().unwrap().address.clone();

    // A client that hands the job in and waits for it, in a process of its own.
    let mut client = Command::new(env!("CARGO_BIN_EXE_nephrite"))
        .args([
            "submit", "--watch", "--quiet", "--server", &address, "--key", &name,
        ])
        .args([
            "--pipeline",
            "short.toml",
            "--scan",
            "portal_venous=scans/portal_venous.nii.gz",
        ])
        .args(["--output", &format!("results/{name}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();

    // Whoever comes to the point stops there.
    let at_point = if is_front || is_alone { &server } else { &worker };
    at_point.as_ref().unwrap().wait_until_stopped();
    let struck = Instant::now();
    let resume = |process: &Option<Process>| {
        if let Some(process) = process {
            process.signal(Signal::CONT);
        }
    };
    match (victim, blow) {
        (Victim::Server, Blow::Kill) => {
            server.take().unwrap().kill();
            resume(&worker);
            server = Some(place.server());
        }
        (Victim::Worker, Blow::Kill) => {
            worker.take().unwrap().kill();
            resume(&server);
            worker = Some(place.worker("worker-2", &[]));
        }
        (Victim::Client, Blow::Kill) => {
            client.kill().unwrap();
            resume(&server);
            resume(&worker);
        }
        (Victim::Nats, Blow::Kill) => {
            place.nats.as_mut().unwrap().kill();
            resume(&server);
            resume(&worker);
            std::thread::sleep(Duration::from_millis(300));
            place.nats.as_mut().unwrap().restart();
        }
        (Victim::Server, Blow::Stop) => {
            server.as_ref().unwrap().signal(Signal::STOP);
            resume(&worker);
            std::thread::sleep(LEASE + Duration::from_secs(1));
            resume(&server);
        }
        (Victim::Worker, Blow::Stop) => {
            worker.as_ref().unwrap().signal(Signal::STOP);
            resume(&server);
            // another one takes over, and may be done before the first goes on
            let second = place.worker("worker-2", &[]);
            std::thread::sleep(LEASE + Duration::from_secs(1));
            resume(&worker);
            let id = place.submit(server.as_ref().unwrap(), &request).id;
            place.ended(server.as_ref().unwrap(), &id);
            drop(second);
        }
        (Victim::Nats, Blow::Stop) => {
            let pid = place.nats.as_ref().unwrap().pid().unwrap();
            let signal =
                |signal| kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
            signal(Signal::STOP);
            resume(&server);
            resume(&worker);
            std::thread::sleep(LEASE + Duration::from_secs(1));
            signal(Signal::CONT);
        }
        (Victim::Client, Blow::Stop) => unreachable!("a client holds nothing"),
    }
    let server = server.unwrap();
    // The client submits again if it was not answered: the same key is the same job.
    let id = place.submit(&server, &request).id;
    let job = place.ended(&server, &id);
    let recovery = struck.elapsed();
    assert_eq!(job.state(), JobState::Succeeded, "{name}: {:?}", job.error);
    assert_eq!(place.files(&name), *expected, "{name}: other bytes");
    let succeeded = job_log(place, &server, &id);
    assert_eq!(succeeded, 1, "{name}: it ended {succeeded} times");
    // What a zombie or a dead one left goes at once or with the next sweep, and is never under the name of a result.
    let began = Instant::now();
    while !place.hidden().is_empty() && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    if blow == Blow::Stop {
        assert_eq!(place.hidden(), Vec::<String>::new(), "{name}: a zombie's folder");
    }
    let _ = client.kill();
    let _ = client.wait();
    drop((server, worker));
    fs::remove_dir_all(place.patient.path(&format!("results/{name}"))).unwrap();
    Outcome {
        executions: job.executions,
        recovery,
    }
}

/// How often the job came to an end.
fn job_log(place: &Place, server: &Process, id: &str) -> usize {
    use nephrite_proto::v1::watch_response::Event;
    let client = place.client(server);
    place.runtime.block_on(async {
        let request = nephrite_proto::v1::WatchRequest {
            id: id.into(),
            after_sequence: 0,
        };
        let mut events = client.watch_job(request).await.unwrap();
        let mut n = 0;
        while let Some(event) = events.next().await.unwrap() {
            if let Some(Event::State(change)) = event.event {
                n += usize::from(!matches!(change.state(), JobState::Queued | JobState::Running));
            }
        }
        n
    })
}

fn strike_all(engine: Engine, blows: &[(Victim, Blow)]) {
    let Some(mut place) = Place::new(engine) else {
        return;
    };
    let undisturbed = {
        let server = place.server();
        let _worker = (engine == Engine::Nats).then(|| place.worker("worker", &[]));
        let id = place
            .submit(&server, &submission("undisturbed", short_case("undisturbed")))
            .id;
        assert_eq!(place.ended(&server, &id).state(), JobState::Succeeded);
        place.files("undisturbed")
    };
    for (victim, blow) in blows {
        let (points, repeats) = extent(*blow);
        for point in points {
            let outcomes: Vec<Outcome> = (0..repeats)
                .map(|n| strike(&mut place, &undisturbed, *victim, *blow, point, n))
                .collect();
            let executions: u32 = outcomes.iter().map(|outcome| outcome.executions).sum();
            let slowest = outcomes.iter().map(|outcome| outcome.recovery).max().unwrap();
            println!(
                "{engine:?} {victim:?} {blow:?} at {point}: {} jobs, {executions} executions, ended within {slowest:.1?}",
                outcomes.len()
            );
            let nobody_waits = LEASE + Duration::from_secs(5 + 20); // the lease, a start of a process, the case itself
            assert!(slowest < nobody_waits, "{slowest:?}");
        }
    }
}

#[test]
fn sqlite_survives_the_death_of_its_server() {
    strike_all(Engine::Sqlite, &[(Victim::Server, Blow::Kill)]);
}

#[test]
fn sqlite_survives_a_server_that_stands_still_and_clients_that_die() {
    strike_all(
        Engine::Sqlite,
        &[(Victim::Server, Blow::Stop), (Victim::Client, Blow::Kill)],
    );
}

#[test]
fn nats_survives_the_death_of_servers_workers_and_clients() {
    let blows = [Victim::Server, Victim::Worker, Victim::Client].map(|victim| (victim, Blow::Kill));
    strike_all(Engine::Nats, &blows);
}

#[test]
fn nats_survives_servers_and_workers_that_stand_still() {
    let blows = [Victim::Server, Victim::Worker].map(|victim| (victim, Blow::Stop));
    strike_all(Engine::Nats, &blows);
}

#[test]
fn nats_may_die_and_stand_still_itself() {
    strike_all(
        Engine::Nats,
        &[(Victim::Nats, Blow::Kill), (Victim::Nats, Blow::Stop)],
    );
}
