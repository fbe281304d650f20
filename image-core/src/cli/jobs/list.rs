//! `nephrite jobs list`: jobs in a table.

use clap::Args;
use nephrite_proto::{Client, v1};
use serde_json::Value;

use super::call::{ServerArguments, call};
use super::filter::{StateArgument, each_job, wire_states};
use super::json;
use super::priority::PriorityArgument;
use super::screen;
use super::table::Table;
use super::words::{duration, now_unix_ms};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::progress::title;

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Only jobs in these states
    #[arg(long = "state", value_enum, value_name = "STATE,…", value_delimiter = ',')]
    pub(crate) states: Vec<StateArgument>,
    /// Only jobs of this tenant
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// Only jobs of this priority
    #[arg(long, value_enum)]
    pub(crate) priority: Option<PriorityArgument>,
    /// At most so many jobs, the youngest; 0 means all
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Look again every second, until Ctrl-C; where standard output is no terminal, print the table again when something changed
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// Print JSON: an array; with --watch one on each line
    #[arg(long)]
    pub(crate) json: bool,
}

impl ListArguments {
    pub(super) fn filter(&self) -> v1::ListJobsRequest {
        v1::ListJobsRequest {
            states: wire_states(&self.states),
            tenant: self.tenant.clone(),
            priority: self
                .priority
                .map(|priority| v1::JobPriority::from(priority).into()),
            ..v1::ListJobsRequest::default()
        }
    }

    /// `None` for all.
    pub(super) fn limit(&self) -> Option<usize> {
        (self.limit > 0).then_some(self.limit)
    }
}

pub(super) fn run(arguments: &ListArguments) -> Result<(), Failure> {
    let jobs = call(&arguments.server, async |client: Client| {
        let mut jobs = Vec::new();
        each_job(&client, &arguments.filter(), arguments.limit(), |job| {
            jobs.push(job)
        })
        .await?;
        Ok(jobs)
    })?;
    output::print(&if arguments.json {
        output::json(&as_json(&jobs))
    } else {
        table(&jobs, now_unix_ms()).to_text(screen::columns())
    });
    Ok(())
}

pub(super) fn as_json(jobs: &[v1::Job]) -> Value {
    jobs.iter().map(json::job).collect()
}

/// What a person wants to know of each job.
pub(super) fn table(jobs: &[v1::Job], now_unix_ms: u64) -> Table<8> {
    let mut table = Table::new([
        "id", "state", "progress", "priority", "tries", "age", "worker", "output",
    ]);
    for job in jobs {
        table.row([
            job.id.clone(),
            json::state_name(job.state()).to_owned(),
            progress(job),
            json::priority_name(job.priority()).to_owned(),
            format!("{}/{}", job.attempts, job.max_attempts),
            duration(now_unix_ms.saturating_sub(job.submitted_unix_ms)),
            job.worker.clone(),
            job.request
                .as_ref()
                .map_or("", |case| case.output.as_str())
                .to_owned(),
        ]);
    }
    table
}

/// How far a job is, in few words.
fn progress(job: &v1::Job) -> String {
    match job.state() {
        v1::JobState::Queued => match job.place {
            _ if !job.blocked.is_empty() => "blocked".to_owned(),
            Some(place) => format!("place {place}"),
            None => String::new(),
        },
        v1::JobState::Running if job.cancel_requested => "stops".to_owned(),
        v1::JobState::Running => job.progress.as_ref().map_or_else(String::new, step),
        v1::JobState::Succeeded if !job.reused_from.is_empty() => "reused".to_owned(),
        v1::JobState::Succeeded => match (job.started_unix_ms, job.ended_unix_ms) {
            (Some(started), Some(ended)) => duration(ended.saturating_sub(started)),
            _ => String::new(),
        },
        _ => job.error.as_ref().map_or("", json::error_name).to_owned(),
    }
}

/// How far a step is, in few words.
pub(super) fn step(progress: &v1::JobProgress) -> String {
    let v1::JobProgress {
        step,
        tiles_done,
        tiles_total,
        ..
    } = progress;
    match (*tiles_total, json::stage(progress.stage)) {
        (1.., _) => format!("{step}: tile {tiles_done} of {tiles_total}"),
        (0, Some(stage)) => format!("{step}: {}", title(stage)),
        (0, None) => step.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::jobs::sample;

    #[test]
    fn a_table_says_where_each_job_is() {
        let jobs = [sample::failed(), sample::running(), sample::waiting()];
        let expected = "\
id                                state    progress               priority  tries  age   worker  output
0123456789abcdef0123456789abcdef  failed   invalid_input          normal    1/3    20 s  core-1  results/17
0123456789abcdef0123456789abcdef  running  kidney: tile 12 of 40  normal    1/3    20 s  core-1  results/17
0123456789abcdef0123456789abcdef  queued   place 2                normal    0/3    20 s          results/17
";
        assert_eq!(table(&jobs, 1_700_000_020_000).to_text(None), expected);
    }

    #[test]
    fn progress_is_that_of_the_state() {
        let blocked = v1::Job {
            blocked: "no worker has cuda".to_owned(),
            ..sample::waiting()
        };
        assert_eq!(progress(&blocked), "blocked");
        let stops = v1::Job {
            cancel_requested: true,
            ..sample::running()
        };
        assert_eq!(progress(&stops), "stops");
        let succeeded = v1::Job {
            state: v1::JobState::Succeeded.into(),
            error: None,
            ..sample::failed()
        };
        assert_eq!(progress(&succeeded), "12 s");
        let reads = v1::JobProgress {
            step: "kidney".to_owned(),
            stage: Some(v1::Stage::Read.into()),
            ..v1::JobProgress::default()
        };
        assert_eq!(step(&reads), "kidney: reading");
        assert_eq!(step(&v1::JobProgress { stage: None, ..reads }), "kidney");
    }
}
