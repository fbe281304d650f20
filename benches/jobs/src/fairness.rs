//! What each priority gets when more comes than can be done.

use std::sync::Arc;
use std::time::Duration;

use nephrite_jobs::{JobSettings, Priority};
use serde_json::{Value, json};

use crate::arrivals::{poisson, submit_at_their_times};
use crate::crew::{crew, dismiss};
use crate::numbers::{Random, percentile, rounded};
use crate::place::Bench;
use crate::report::Report;
use crate::runner::job;
use crate::tally::Tally;

/// What may be chosen.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How much comes of high, normal and low, as parts of what can be done: `high/normal/low`, several with commas.
    #[arg(long, value_delimiter = ',', default_value = "0.5/0.5/0.5,1.2/0.2/0.2")]
    mixes: Vec<String>,
    /// How long jobs come, seconds.
    #[arg(long, default_value_t = 40.0)]
    seconds: f64,
    /// How many workers.
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// How long a job takes.
    #[arg(long, default_value_t = 500)]
    service_ms: u64,
    /// Workers of a process, where there can be several.
    #[arg(long, default_value_t = 4)]
    per_process: usize,
}

const COLUMNS: &[(&str, &str)] = &[
    ("comes, high/normal/low", "mix"),
    ("priority", "priority"),
    ("submitted", "submitted"),
    ("started", "started"),
    ("share of starts", "share"),
    ("wait of those p50, s", "wait_s_p50"),
    ("max", "wait_s_max"),
    ("longest wait so far of those left, s", "left_wait_s_max"),
];

/// The beginning, when there is no overload yet, is left out.
const WARM: f64 = 0.25;

pub(crate) fn run(bench: &Bench, options: &Options) -> anyhow::Result<Report> {
    let parameters = json!({
        "workers": options.workers, "service_ms": options.service_ms, "seconds": options.seconds,
        "workers_per_process": options.per_process, "left_out_at_the_beginning": WARM,
    });
    let mut report = Report::new(bench, "fairness", parameters, COLUMNS);
    for mix in &options.mixes {
        for row in one(bench, options, mix)? {
            report.row(row);
        }
    }
    Ok(report)
}

fn one(bench: &Bench, options: &Options, mix: &str) -> anyhow::Result<Vec<Value>> {
    let parts: Vec<f64> = mix.split('/').map(str::parse).collect::<Result<_, _>>()?;
    let place = bench.place(JobSettings::default())?;
    let tally = Arc::new(Tally::new());
    let service = Duration::from_millis(options.service_ms);
    let mut random = Random::new(bench.seed);
    let mut coming = Vec::new();
    for (priority, part) in Priority::ALL.into_iter().zip(parts) {
        let rate = part * options.workers as f64 / service.as_secs_f64();
        let times = poisson(&mut random, rate, (rate * options.seconds) as usize);
        coming.extend(times.into_iter().enumerate().map(|(n, at)| {
            let mut job = job(&format!("{priority} {n}"), service);
            job.priority = priority;
            (at, job)
        }));
    }
    coming.retain(|(at, _)| *at < options.seconds);
    coming.sort_by(|a, b| a.0.total_cmp(&b.0));
    let submitter = place.process()?;
    let crew = crew(&place, &tally, options.workers, options.per_process)?;
    let began = tally.now();
    submit_at_their_times(&submitter, &tally, coming)?;
    let until = tally.now();
    let all = tally.all();
    dismiss(crew);

    let from = began + options.seconds * WARM;
    let starts_of = |priority: Priority| {
        let named = all
            .iter()
            .filter(move |(key, _)| key.starts_with(priority.name()));
        named.map(|(_, seen)| (seen.submitted, seen.runs.first().map(|run| run.start)))
    };
    let counts = |start: &Option<f64>| start.is_some_and(|start| start >= from);
    let n_all = Priority::ALL
        .into_iter()
        .flat_map(starts_of)
        .filter(|(_, start)| counts(start))
        .count();
    let row = |priority: Priority| {
        let waits: Vec<f64> = starts_of(priority)
            .filter(|(_, start)| counts(start))
            .filter_map(|(came, start)| Some(start? - came))
            .collect();
        let left = starts_of(priority).filter(|(_, start)| start.is_none());
        json!({
            "mix": mix,
            "priority": priority.name(),
            "submitted": starts_of(priority).count(),
            "started": waits.len(),
            "share": rounded(waits.len() as f64 / n_all as f64, 3),
            "wait_s_p50": rounded(percentile(&waits, 0.5), 2),
            "wait_s_max": rounded(percentile(&waits, 1.0), 2),
            "left_wait_s_max": rounded(left.map(|(came, _)| until - came).fold(0.0, f64::max), 1),
        })
    };
    Ok(Priority::ALL.into_iter().map(row).collect())
}
