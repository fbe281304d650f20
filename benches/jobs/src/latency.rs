//! From submission to start, with jobs that come at random.

use std::sync::Arc;
use std::time::Duration;

use nephrite_jobs::JobSettings;
use serde_json::{Value, json};

use crate::arrivals::{poisson, submit_at_their_times};
use crate::crew::{crew, dismiss, wait};
use crate::ideal;
use crate::numbers::{Random, mean, percentile, rounded};
use crate::place::Bench;
use crate::report::Report;
use crate::runner::job;
use crate::tally::Tally;

/// What may be chosen.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How much comes, as a part of what can be done.
    #[arg(long, value_delimiter = ',', default_value = "0.5,0.8,0.95")]
    loads: Vec<f64>,
    /// How long jobs come, seconds.
    #[arg(long, default_value_t = 50.0)]
    seconds: f64,
    /// How many workers.
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// How long a job takes.
    #[arg(long, default_value_t = 1000)]
    service_ms: u64,
    /// Workers of a process, where there can be several.
    #[arg(long, default_value_t = 4)]
    per_process: usize,
}

const COLUMNS: &[(&str, &str)] = &[
    ("load", "load"),
    ("jobs", "jobs"),
    ("wait p50, ms", "wait_ms_p50"),
    ("p99", "wait_ms_p99"),
    ("max", "wait_ms_max"),
    ("without overhead p50, ms", "ideal_ms_p50"),
    ("p99", "ideal_ms_p99"),
    ("max", "ideal_ms_max"),
    ("more than that, mean, ms", "more_ms_mean"),
    ("jobs that a free worker took", "found_free"),
    ("their wait p50, ms", "free_ms_p50"),
    ("p99", "free_ms_p99"),
];

pub(crate) fn run(bench: &Bench, options: &Options) -> anyhow::Result<Report> {
    let parameters = json!({
        "workers": options.workers, "service_ms": options.service_ms, "seconds": options.seconds,
        "workers_per_process": options.per_process,
    });
    let mut report = Report::new(bench, "latency", parameters, COLUMNS);
    for load in &options.loads {
        let row = one(bench, options, *load)?;
        report.row(row);
    }
    Ok(report)
}

fn one(bench: &Bench, options: &Options, load: f64) -> anyhow::Result<Value> {
    let place = bench.place(JobSettings::default())?;
    let tally = Arc::new(Tally::new());
    let service = Duration::from_millis(options.service_ms);
    let rate = load * options.workers as f64 / service.as_secs_f64();
    let jobs = (rate * options.seconds) as usize;
    let arrivals = poisson(&mut Random::new(bench.seed), rate, jobs);
    let submitter = place.process()?;
    let crew = crew(&place, &tally, options.workers, options.per_process)?;
    let named = |n: usize| job(&format!("job {n:05}"), service);
    let coming = arrivals.iter().enumerate().map(|(n, at)| (*at, named(n)));
    let late = submit_at_their_times(&submitter, &tally, coming)?;
    wait(&tally, jobs, Duration::from_secs(120))?;
    dismiss(crew);

    let all = tally.all();
    let waits: Vec<f64> = all
        .values()
        .filter_map(|seen| seen.wait().map(|wait| wait * 1e3))
        .collect();
    // By when they were really submitted, which is the order of their names.
    let came: Vec<f64> = all.values().map(|seen| seen.submitted).collect();
    let ideal = ideal::waits(&came, &vec![service.as_secs_f64(); jobs], options.workers);
    let ideal: Vec<f64> = ideal.iter().map(|wait| wait * 1e3).collect();
    let free: Vec<f64> = waits
        .iter()
        .zip(&ideal)
        .filter(|(_, ideal)| **ideal == 0.0)
        .map(|(wait, _)| *wait)
        .collect();
    let of = |values: &[f64], part| rounded(percentile(values, part), 1);
    Ok(json!({
        "load": load,
        "jobs": jobs,
        "wait_ms_p50": of(&waits, 0.5), "wait_ms_p99": of(&waits, 0.99), "wait_ms_max": of(&waits, 1.0),
        "ideal_ms_p50": of(&ideal, 0.5), "ideal_ms_p99": of(&ideal, 0.99), "ideal_ms_max": of(&ideal, 1.0),
        "more_ms_mean": rounded(mean(&waits) - mean(&ideal), 1),
        "found_free": free.len(),
        "free_ms_p50": of(&free, 0.5), "free_ms_p99": of(&free, 0.99),
        "submitter_late_ms_max": rounded(late * 1e3, 1),
        "waits_ms": waits.iter().map(|wait| rounded(*wait, 0)).collect::<Vec<_>>(),
    }))
}
