//! Workers that are killed, leave and come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use nephrite_jobs::{JobId, JobSettings, JobState};
use serde_json::json;

use crate::crew::{Hire, Member, dismiss, submit};
use crate::numbers::{Random, percentile, rounded};
use crate::place::{Bench, Place};
use crate::report::Report;
use crate::runner::job;
use crate::tally::{Parting, Run, Seen, Tally};

/// What may be chosen.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many jobs, all there at the beginning.
    #[arg(long, default_value_t = 240)]
    jobs: usize,
    /// How many workers; for each that goes another one comes, up to two seconds later.
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// How long a job takes.
    #[arg(long, default_value_t = 1500)]
    service_ms: u64,
    /// How long a lease is.
    #[arg(long, default_value_t = 2000)]
    lease_ms: u64,
    /// A worker goes about so often, seconds.
    #[arg(long, default_value_t = 1.0)]
    every: f64,
    /// Of those that go, so large a part is killed; the others give back what they have.
    #[arg(long, default_value_t = 0.75)]
    killed: f64,
}

const COLUMNS: &[(&str, &str)] = &[
    ("jobs", "jobs"),
    ("succeeded once", "succeeded_once"),
    ("killed, with a job", "killed"),
    ("left, with a job", "left"),
    ("executions", "executions"),
    ("for no reason", "for_no_reason"),
    ("two at once", "overlaps"),
    ("killed to started again p50, s", "recovery_s_p50"),
    ("max", "recovery_s_max"),
    ("given back to started again p50, s", "handover_s_p50"),
    ("max", "handover_s_max"),
    ("seconds", "seconds"),
];

/// Longest pause before another worker comes.
const PAUSE: f64 = 2.0;

pub(crate) fn run(bench: &Bench, options: &Options) -> anyhow::Result<Report> {
    let parameters = json!({
        "workers": options.workers, "service_ms": options.service_ms, "lease_ms": options.lease_ms,
        "one_goes_every_s": options.every, "killed": options.killed,
    });
    let mut report = Report::new(bench, "churn", parameters, COLUMNS);
    let settings = JobSettings {
        lease: Duration::from_millis(options.lease_ms),
        ..JobSettings::default()
    };
    let place = bench.place(settings)?;
    let tally = Arc::new(Tally::new());
    let service = Duration::from_millis(options.service_ms);
    let submitter = place.process()?;
    let keys: Vec<String> = (0..options.jobs).map(|n| format!("job {n}")).collect();
    for key in &keys {
        let mut job = job(key, service);
        job.max_attempts = 20; // so that none dies of kills alone
        submit(&submitter, &tally, job)?;
    }
    let began = tally.now();
    come_and_go(options, &place, &tally, bench.seed)?;
    let seconds = tally.now() - began;
    let jobs = keys.iter().map(|key| submitter.engine.get(&JobId::of("", key)));
    let jobs: Vec<_> = jobs.collect::<Result<_, _>>()?;
    let all = tally.all();
    let once = |key: &String| all.get(key).is_some_and(|seen| seen.completed.len() == 1);
    let succeeded = jobs
        .iter()
        .filter(|job| job.state == JobState::Succeeded && once(&job.new.key))
        .count();
    let again = Again::of(&all, &tally.all_gone());
    let executions: u32 = jobs.iter().map(|job| job.executions).sum();
    let gone = |how: Parting| tally.all_gone().values().filter(|(_, gone)| *gone == how).count();
    report.row(json!({
        "jobs": options.jobs,
        "succeeded_once": succeeded,
        "killed": format!("{}, {}", gone(Parting::Killed), again.after_kills.len()),
        "left": format!("{}, {}", gone(Parting::Left), again.after_leaving.len()),
        "executions": executions,
        "executions_seen": all.values().map(|seen| seen.runs.len()).sum::<usize>(),
        "for_no_reason": again.for_no_reason,
        "overlaps": all.values().filter(|seen| seen.overlaps()).count(),
        "recovery_s_p50": rounded(percentile(&again.after_kills, 0.5), 2),
        "recovery_s_max": rounded(percentile(&again.after_kills, 1.0), 2),
        "handover_s_p50": rounded(percentile(&again.after_leaving, 0.5), 2),
        "handover_s_max": rounded(percentile(&again.after_leaving, 1.0), 2),
        "seconds": rounded(seconds, 1),
        "recoveries_s": again.after_kills.iter().map(|s| rounded(*s, 3)).collect::<Vec<_>>(),
        "handovers_s": again.after_leaving.iter().map(|s| rounded(*s, 3)).collect::<Vec<_>>(),
    }));
    Ok(report)
}

/// Until all jobs are done.
fn come_and_go(options: &Options, place: &Place, tally: &Arc<Tally>, seed: u64) -> anyhow::Result<()> {
    let mut random = Random::new(seed);
    let mut hired = 0;
    let mut hire = || -> anyhow::Result<Member> {
        hired += 1;
        let hire = Hire {
            name: format!("w{hired}"),
            process: format!("p{hired}"),
            scans: None,
        };
        Ok(Member::hire(place, place.process()?, tally, hire))
    };
    let mut crew: Vec<Member> = (0..options.workers).map(|_| hire()).collect::<Result<_, _>>()?;
    let mut leaving: Vec<Member> = Vec::new();
    let mut coming: Vec<f64> = Vec::new();
    let mut next = tally.now() + random.pause(1.0 / options.every);
    let limit = tally.now() + 280.0;
    while tally.n_completed() < options.jobs {
        let now = tally.now();
        ensure!(
            now < limit,
            "{} of {} jobs have ended",
            tally.n_completed(),
            options.jobs
        );
        if now >= next && !crew.is_empty() {
            next = now + random.pause(1.0 / options.every);
            let member = crew.swap_remove(random.below(crew.len()));
            match random.unit() < options.killed {
                true => member.kill(tally),
                false => member.leave(tally),
            }
            leaving.push(member);
            coming.push(now + random.unit() * PAUSE);
        }
        let n_waiting = coming.len();
        coming.retain(|at| *at > now);
        for _ in coming.len()..n_waiting {
            crew.push(hire()?);
        }
        let (ended, others) = leaving.into_iter().partition(Member::has_ended);
        leaving = others;
        let ended: Vec<Member> = ended;
        ended.into_iter().for_each(Member::join);
        std::thread::sleep(Duration::from_millis(5));
    }
    dismiss(leaving);
    dismiss(crew);
    Ok(())
}

/// Executions after the first one of a job, by what came before.
#[derive(Debug, Default)]
struct Again {
    /// From the death of a worker to the next start of its job, seconds.
    after_kills: Vec<f64>,
    /// The same, of workers that gave back.
    after_leaving: Vec<f64>,
    /// The worker before was well.
    for_no_reason: usize,
}

impl Again {
    fn of(jobs: &BTreeMap<String, Seen>, gone: &BTreeMap<String, (f64, Parting)>) -> Again {
        let mut last: BTreeMap<&str, f64> = BTreeMap::new();
        for run in jobs.values().flat_map(|seen| &seen.runs) {
            let start = last.entry(&run.worker).or_insert(run.start);
            *start = start.max(run.start);
        }
        let mut again = Again::default();
        let pairs = jobs.values().flat_map(|seen| seen.runs.windows(2));
        for (before, next) in pairs.map(|pair| (&pair[0], &pair[1])) {
            let is_last = |run: &Run| last.get(run.worker.as_str()) == Some(&run.start);
            match gone.get(&before.worker).filter(|_| is_last(before)) {
                Some((at, Parting::Killed)) => again.after_kills.push(next.start - at.max(before.start)),
                Some((at, Parting::Left)) => again.after_leaving.push(next.start - at.max(before.start)),
                None => again.for_no_reason += 1,
            }
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_are_told_apart_by_what_came_before() {
        let run = |worker: &str, start: f64| Run {
            worker: worker.to_owned(),
            start,
            end: Some(start + 1.0),
        };
        let seen = |runs: Vec<Run>| Seen {
            runs,
            ..Seen::default()
        };
        let jobs = BTreeMap::from([
            ("a".to_owned(), seen(vec![run("v", 0.0), run("w", 4.0)])),
            ("b".to_owned(), seen(vec![run("w", 1.0), run("x", 2.0)])),
            ("c".to_owned(), seen(vec![run("x", 6.0), run("y", 7.0)])),
        ]);
        let gone = BTreeMap::from([
            ("v".to_owned(), (0.5, Parting::Killed)),
            ("x".to_owned(), (6.5, Parting::Left)),
        ]);
        let again = Again::of(&jobs, &gone);
        assert_eq!((again.after_kills, again.after_leaving), (vec![3.5], vec![0.5]));
        assert_eq!(again.for_no_reason, 1, "w went on after b");
    }
}
