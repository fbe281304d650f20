//! Many simulated workers through the real engines of jobs: the network of a worker is a clock, everything else is what a
//! server runs. `run.py` calls it once per scenario and keeps what comes out.

mod affinity;
mod arrivals;
mod churn;
mod cpu;
mod crew;
mod fairness;
mod ideal;
mod latency;
mod line;
mod nats;
mod numbers;
mod place;
mod report;
mod runner;
mod scaling;
mod scans;
mod tally;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::place::Kind;

/// Drives simulated workers through an engine of jobs.
#[derive(Debug, Parser)]
struct Arguments {
    /// What keeps the jobs.
    #[arg(long, value_enum)]
    engine: Kind,
    /// The server's program, for `--engine nats`.
    #[arg(long, default_value = "build/nats-server/nats-server")]
    nats_server: PathBuf,
    /// Where state folders are made; a folder of the system's if none is named.
    #[arg(long)]
    state: Option<PathBuf>,
    /// A JSON list that the result is added to.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Of everything that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Jobs per second with 1, 2, 4, … workers.
    Scaling(scaling::Options),
    /// From submission to start, with jobs that come at random.
    Latency(latency::Options),
    /// What each priority gets when more comes than can be done.
    Fairness(fairness::Options),
    /// Scans that are read again, with and without affinity.
    Affinity(affinity::Options),
    /// Workers that are killed, leave and come.
    Churn(churn::Options),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let bench = place::Bench {
        kind: arguments.engine,
        nats_server: arguments.nats_server,
        state: arguments.state,
        seed: arguments.seed,
    };
    let report = match arguments.scenario {
        Scenario::Scaling(options) => scaling::run(&bench, &options),
        Scenario::Latency(options) => latency::run(&bench, &options),
        Scenario::Fairness(options) => fairness::run(&bench, &options),
        Scenario::Affinity(options) => affinity::run(&bench, &options),
        Scenario::Churn(options) => churn::run(&bench, &options),
    }?;
    report.print()?;
    match arguments.keep {
        Some(file) => report.keep(&file),
        None => Ok(()),
    }
}
