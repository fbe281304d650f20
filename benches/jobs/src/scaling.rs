//! Jobs per second with more and more workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nephrite_jobs::JobSettings;
use serde_json::{Value, json};

use crate::crew::{crew, dismiss, submit, wait};
use crate::numbers::{Random, percentile, rounded};
use crate::place::Bench;
use crate::report::Report;
use crate::runner::job;
use crate::tally::{Seen, Tally, first_starts, gaps};

/// What may be chosen.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many workers, one run each; the first is what the others are compared with.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    workers: Vec<usize>,
    /// Jobs per worker.
    #[arg(long, default_value_t = 8)]
    jobs: usize,
    /// How long a job takes.
    #[arg(long, default_value_t = 2000)]
    service_ms: u64,
    /// By how much that differs from job to job, as a part of it: with 0 all workers end their jobs at once, again and again.
    #[arg(long, default_value_t = 0.25)]
    spread: f64,
    /// Workers of a process, where there can be several.
    #[arg(long, default_value_t = 8)]
    per_process: usize,
}

const COLUMNS: &[(&str, &str)] = &[
    ("workers", "workers"),
    ("jobs", "jobs"),
    ("jobs/s", "jobs_per_second"),
    ("efficiency", "efficiency"),
    ("part of their time that workers worked", "busy"),
    ("between two jobs p50, ms", "gap_ms_p50"),
    ("p99", "gap_ms_p99"),
    ("last worker's first job after, ms", "first_job_ms_max"),
    ("submitted per second", "submitted_per_second"),
    ("submit p99, ms", "submit_ms_p99"),
    ("cores, bench", "cores"),
    ("cores, server", "server_cores"),
];

pub(crate) fn run(bench: &Bench, options: &Options) -> anyhow::Result<Report> {
    let parameters = json!({
        "jobs_per_worker": options.jobs, "service_ms": options.service_ms, "spread": options.spread,
        "workers_per_process": options.per_process,
    });
    let mut report = Report::new(bench, "scaling", parameters, COLUMNS);
    let mut alone: Option<f64> = None;
    for workers in &options.workers {
        let mut row = one(bench, options, *workers)?;
        let busy = row["busy_raw"].as_f64().unwrap_or(0.0);
        row["efficiency"] = json!(rounded(busy / *alone.get_or_insert(busy), 3));
        report.row(row);
    }
    Ok(report)
}

fn one(bench: &Bench, options: &Options, workers: usize) -> anyhow::Result<Value> {
    let place = bench.place(JobSettings::default())?;
    let tally = Arc::new(Tally::new());
    let jobs = workers * options.jobs;
    let mut random = Random::new(bench.seed);
    let service = |_| {
        let differs = options.spread * (2.0 * random.unit() - 1.0);
        options.service_ms as f64 / 1e3 * (1.0 + differs)
    };
    let services: Vec<f64> = (0..jobs).map(service).collect();
    let submitter = place.process()?;
    let began = Instant::now();
    let mut submits = Vec::with_capacity(jobs);
    for (n, service) in services.iter().enumerate() {
        let began = Instant::now();
        submit(
            &submitter,
            &tally,
            job(&key(n), Duration::from_secs_f64(*service)),
        )?;
        submits.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let submitted_per_second = jobs as f64 / began.elapsed().as_secs_f64();
    drop(submitter);

    let opened = Instant::now();
    let crew = crew(&place, &tally, workers, options.per_process)?;
    let (hired, opened) = (tally.now(), opened.elapsed().as_secs_f64());
    let meter = place.meter()?;
    let alone = Duration::from_millis(options.service_ms) * options.jobs as u32;
    wait(&tally, jobs, 4 * alone + Duration::from_secs(60))?;
    let cpu = meter.read()?;
    dismiss(crew);

    let all = tally.all();
    let seen = Window::of(&all, &services);
    let last = all
        .values()
        .flat_map(|seen| &seen.completed)
        .copied()
        .fold(0.0, f64::max);
    let gaps: Vec<f64> = gaps(&all).iter().map(|gap| gap * 1e3).collect();
    let ramp: Vec<f64> = first_starts(&all).iter().map(|at| (at - hired) * 1e3).collect();
    let busy = seen.work / (seen.seconds * workers as f64);
    Ok(json!({
        "workers": workers,
        "jobs": jobs,
        "executions": all.values().map(|seen| seen.runs.len()).sum::<usize>(),
        "jobs_per_second": rounded(busy * workers as f64 / options.service_ms as f64 * 1e3, 3),
        "busy_raw": busy,
        "busy": rounded(busy, 3),
        "seconds_until_last_start": rounded(seen.seconds, 3),
        "seconds": rounded(last - seen.from, 3),
        "gap_ms_p50": rounded(percentile(&gaps, 0.5), 1),
        "gap_ms_p99": rounded(percentile(&gaps, 0.99), 1),
        "first_job_ms_p50": rounded(percentile(&ramp, 0.5), 1),
        "first_job_ms_max": rounded(percentile(&ramp, 1.0), 1),
        "opening_s": rounded(opened, 3),
        "submitted_per_second": rounded(submitted_per_second, 0),
        "submit_ms_p50": rounded(percentile(&submits, 0.5), 2),
        "submit_ms_p99": rounded(percentile(&submits, 0.99), 2),
        "calls_ms": tally.calls(),
        "cores": rounded(cpu.own_cores, 3),
        "server_cores": rounded(cpu.server_cores, 3),
    }))
}

fn key(n: usize) -> String {
    format!("job {n:05}")
}

/// What was done as long as jobs waited: from the first start to the last one. After that some workers have nothing to do.
struct Window {
    from: f64,
    seconds: f64,
    /// Seconds of all workers together, as jobs ask for them: that a sleep takes longer is no work.
    work: f64,
}

impl Window {
    /// `services` are those of the jobs, in the order of their keys.
    fn of(jobs: &BTreeMap<String, Seen>, services: &[f64]) -> Window {
        let starts = || {
            let firsts = jobs.values().zip(services);
            firsts.filter_map(|(seen, service)| Some((seen.runs.first()?.start, *service)))
        };
        let from = starts().map(|(start, _)| start).fold(f64::INFINITY, f64::min);
        let until = starts().map(|(start, _)| start).fold(0.0, f64::max);
        Window {
            from,
            seconds: until - from,
            work: starts().map(|(start, service)| service.min(until - start)).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Run;

    #[test]
    fn what_is_done_after_the_last_start_does_not_count() {
        let seen = |start: f64| Seen {
            runs: vec![Run {
                worker: "w".to_owned(),
                start,
                end: None,
            }],
            ..Seen::default()
        };
        let starts = [1.0, 1.0, 3.5];
        let jobs = (0..).map(key).zip(starts.map(seen)).collect();
        let window = Window::of(&jobs, &[2.0, 4.0, 2.0]);
        assert_eq!((window.from, window.seconds, window.work), (1.0, 2.5, 4.5));
    }
}
