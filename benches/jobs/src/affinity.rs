//! Scans that are read again, with and without affinity.

use std::sync::Arc;
use std::time::Duration;

use nephrite_jobs::{JobSettings, NewJob};
use serde_json::{Value, json};

use crate::arrivals::submit_at_their_times;
use crate::crew::{Hire, Member, dismiss, wait};
use crate::numbers::{Random, percentile, rounded};
use crate::place::{Bench, Place, Process};
use crate::report::Report;
use crate::runner::job;
use crate::scans::Scans;
use crate::tally::{Seen, Tally};

/// What may be chosen.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long a job is left to the process that holds its scan, seconds; one run each.
    #[arg(long, value_delimiter = ',', default_value = "0,20")]
    affinity: Vec<u64>,
    /// Jobs per second, 0 for all at once; one run each.
    #[arg(long, value_delimiter = ',', default_value = "4.5,0")]
    rates: Vec<f64>,
    /// How many scans.
    #[arg(long, default_value_t = 24)]
    scans: usize,
    /// Cases of each scan.
    #[arg(long, default_value_t = 5)]
    cases: usize,
    /// So many scans come interleaved.
    #[arg(long, default_value_t = 4)]
    interleaved: usize,
    /// How many processes.
    #[arg(long, default_value_t = 4)]
    processes: usize,
    /// Workers of each.
    #[arg(long, default_value_t = 2)]
    per_process: usize,
    /// Scans that a process holds.
    #[arg(long, default_value_t = 2)]
    held: usize,
    /// How long a scan takes to read.
    #[arg(long, default_value_t = 1000)]
    read_ms: u64,
    /// How long a job takes beside that.
    #[arg(long, default_value_t = 1000)]
    service_ms: u64,
}

const COLUMNS: &[(&str, &str)] = &[
    ("jobs come", "come"),
    ("affinity, s", "affinity_s"),
    ("jobs", "jobs"),
    ("scans", "scans"),
    ("reads", "reads"),
    ("makespan, s", "makespan_s"),
    ("wait p50, s", "wait_s_p50"),
    ("max", "wait_s_max"),
];

pub(crate) fn run(bench: &Bench, options: &Options) -> anyhow::Result<Report> {
    let parameters = json!({
        "scans": options.scans, "cases_per_scan": options.cases, "interleaved": options.interleaved,
        "processes": options.processes, "workers_per_process": options.per_process, "scans_held": options.held,
        "read_ms": options.read_ms, "service_ms": options.service_ms,
    });
    let mut report = Report::new(bench, "affinity", parameters, COLUMNS);
    for rate in &options.rates {
        for affinity in &options.affinity {
            let row = one(bench, options, *rate, *affinity)?;
            report.row(row);
        }
    }
    Ok(report)
}

/// Of a few scans in turn, until all of their cases came; then of the next few.
fn jobs(options: &Options) -> Vec<NewJob> {
    let service = Duration::from_millis(options.service_ms);
    let scans: Vec<usize> = (0..options.scans).collect();
    let make = |scan: &usize, case: usize| NewJob {
        scan: Some(format!("scan {scan}")),
        ..job(&format!("scan {scan} case {case}"), service)
    };
    let groups = scans.chunks(options.interleaved);
    groups
        .flat_map(|group| {
            (0..options.cases).flat_map(move |case| group.iter().map(move |scan| make(scan, case)))
        })
        .collect()
}

fn one(bench: &Bench, options: &Options, rate: f64, affinity: u64) -> anyhow::Result<Value> {
    let settings = JobSettings {
        affinity: Duration::from_secs(affinity),
        ..JobSettings::default()
    };
    let place = bench.place(settings)?;
    let tally = Arc::new(Tally::new());
    let jobs = jobs(options);
    let n_jobs = jobs.len();
    let is_all_at_once = rate == 0.0;
    let mut random = Random::new(bench.seed);
    let mut at = 0.0;
    let mut coming = jobs.into_iter().map(|job| {
        at += if is_all_at_once { 0.0 } else { random.pause(rate) };
        (at, job)
    });
    let submitter = place.process()?;
    if is_all_at_once {
        submit_at_their_times(&submitter, &tally, coming.by_ref())?;
    }
    let (crew, scans) = hire_all(options, &place, &tally)?;
    submit_at_their_times(&submitter, &tally, coming)?;
    wait(&tally, n_jobs, Duration::from_secs(240))?;
    dismiss(crew);

    let all = tally.all();
    let starts = all
        .values()
        .flat_map(|seen| seen.runs.first())
        .map(|run| run.start);
    let first = starts.fold(f64::INFINITY, f64::min);
    let last = all
        .values()
        .flat_map(|seen| &seen.completed)
        .copied()
        .fold(0.0, f64::max);
    let waits: Vec<f64> = all.values().filter_map(Seen::wait).collect();
    Ok(json!({
        "come": if is_all_at_once { "all at once".to_owned() } else { format!("{rate} per second") },
        "affinity_s": affinity,
        "jobs": n_jobs,
        "scans": options.scans,
        "reads": scans.iter().map(|scans| scans.reads()).sum::<u64>(),
        "makespan_s": rounded(last - first, 1),
        "wait_s_p50": rounded(percentile(&waits, 0.5), 2),
        "wait_s_max": rounded(percentile(&waits, 1.0), 2),
    }))
}

type Hired = (Vec<Member>, Vec<Arc<Scans>>);

fn hire_all(options: &Options, place: &Place, tally: &Arc<Tally>) -> anyhow::Result<Hired> {
    let processes: Vec<Arc<Process>> = (0..options.processes)
        .map(|_| place.process())
        .collect::<Result<_, _>>()?;
    let (mut crew, mut all_scans) = (Vec::new(), Vec::new());
    for (p, process) in processes.iter().enumerate() {
        let scans = Arc::new(Scans::new(options.held, Duration::from_millis(options.read_ms)));
        for w in 0..options.per_process {
            let hire = Hire {
                name: format!("p{p}w{w}"),
                process: format!("p{p}"),
                scans: Some(scans.clone()),
            };
            crew.push(Member::hire(place, process.clone(), tally, hire));
        }
        all_scans.push(scans);
    }
    Ok((crew, all_scans))
}
