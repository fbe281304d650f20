//! Many submissions, and a server that dies all the time.
//!
//! `NEPHRITE_MANY` says how many, and how often the server is killed: `10000,50`.

use std::time::{Duration, Instant};

use nephrite_proto::Client;
use nephrite_proto::v1::ListJobsRequest;

use crate::place::{Engine, Place, short_case, submission};

fn scale() -> (usize, usize) {
    let Ok(given) = std::env::var("NEPHRITE_MANY") else {
        return (300, 5);
    };
    let (jobs, kills) = given.split_once(',').unwrap();
    (jobs.parse().unwrap(), kills.parse().unwrap())
}

/// Every job that was acknowledged is there afterward, each once.
#[test]
fn what_was_acknowledged_is_there_however_often_the_server_dies() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let place = Place {
        jobs: "max_queued = 20000\n".into(),
        ..place
    };
    let (jobs, kills) = scale();
    let mut server = place.server_without_worker();
    let mut n_kills = 0;
    let mut acknowledged = std::collections::BTreeSet::new();
    let mut took: Vec<Duration> = Vec::new();
    let mut n = 0;
    while n < jobs {
        // Some submissions, and the server dies in the middle of one.
        let until = jobs * (n_kills + 1) / (kills + 1);
        std::thread::scope(|scope| {
            let pid = server.raw_pid();
            let is_last = n_kills == kills;
            let some = (until - n).max(1);
            let killer = (!is_last).then(|| {
                // at random within the time that these submissions take
                let pause = Duration::from_micros(some as u64 * 700 + (n as u64 * 7919) % 20_000);
                scope.spawn(move || {
                    std::thread::sleep(pause);
                    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                })
            });
            let address = server.address.clone();
            place.runtime.block_on(async {
                let client = Client::connect(&address).await.unwrap();
                while n < jobs {
                    let name = format!("job-{n}");
                    let began = Instant::now();
                    match client.submit(submission(&name, short_case(&name))).await {
                        Ok(submitted) => {
                            took.push(began.elapsed());
                            acknowledged.insert(submitted.job.unwrap().id);
                            n += 1;
                        }
                        Err(_) => break, // it is dead; the same key is submitted again to the next one
                    }
                }
            });
            if let Some(killer) = killer {
                killer.join().unwrap();
            }
        });
        if n < jobs {
            n_kills += 1;
            std::mem::replace(&mut server, place.server_without_worker()).kill();
        }
    }
    server.kill();
    let server = place.server_without_worker();
    let client = place.client(&server);
    let mut found = std::collections::BTreeSet::new();
    let mut page_token = String::new();
    loop {
        let request = ListJobsRequest {
            page_size: Some(1000),
            page_token,
            ..ListJobsRequest::default()
        };
        let page = place.runtime.block_on(client.list_jobs(request)).unwrap();
        for job in page.jobs {
            assert!(found.insert(job.id), "twice in the list");
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    println!(
        "{jobs} submissions, {n_kills} kills: p50 {:.2?}, p99 {:.2?}, max {:.2?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    assert!(n_kills >= kills.min(1));
    assert_eq!(found.len(), jobs);
    assert!(acknowledged.is_subset(&found), "lost");
}

/// How long a submission takes with the other engine, which syncs every write, too.
#[test]
fn submissions_to_nats_are_acknowledged_and_listed() {
    let Some(place) = Place::new(Engine::Nats) else {
        return;
    };
    let server = place.server();
    let client = place.client(&server);
    let (jobs, _) = scale();
    let mut took: Vec<Duration> = Vec::new();
    place.runtime.block_on(async {
        for n in 0..jobs {
            let name = format!("job-{n}");
            let began = Instant::now();
            client.submit(submission(&name, short_case(&name))).await.unwrap();
            took.push(began.elapsed());
        }
    });
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    println!(
        "NATS, {jobs} submissions: p50 {:.2?}, p99 {:.2?}, max {:.2?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let listed = place.runtime.block_on(client.list_jobs(ListJobsRequest {
        page_size: Some(1000),
        ..ListJobsRequest::default()
    }));
    assert_eq!(listed.unwrap().jobs.len(), jobs.min(1000));
}
