//! `nephrite jobs cancel` and `nephrite jobs retry`.

use clap::Args;
use nephrite_proto::{Client, RemoteError, v1};
use serde_json::{Value, json};

use super::call::{ServerArguments, call, job};
use super::failures::Failures;
use super::json::{self, state_name};
use crate::cli::failure::Failure;
use crate::cli::output;

#[derive(Debug, Args)]
pub(crate) struct ChangeArguments {
    /// Ids of the jobs; all are tried, and the first error decides the exit code
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is done to a job.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Cancel,
    Retry,
}

impl Change {
    /// Does it to the job of an id; the job as it is then.
    async fn of(self, client: &Client, id: &str) -> Result<v1::Job, RemoteError> {
        let id = id.to_owned();
        job(match self {
            Change::Cancel => client.cancel_job(v1::CancelRequest { id }).await?.job,
            Change::Retry => client.retry_job(v1::RetryRequest { id }).await?.job,
        })
    }
}

pub(super) fn run(change: Change, arguments: &ChangeArguments) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut failures = Failures::default();
    call(&arguments.server, async |client: Client| {
        for id in &arguments.ids {
            let changed = change.of(&client, id).await;
            if arguments.json {
                rows.push(row(id, &changed));
            }
            match changed {
                Ok(job) if !arguments.json => output::print(&line(&job)),
                Ok(_) => {}
                Err(error) => failures.add(Failure {
                    code: error.code,
                    message: about(id, &error.message),
                }),
            }
        }
        Ok(())
    })?;
    if arguments.json {
        output::print(&output::json(&rows));
    }
    failures.end()
}

/// An error of a job, which may name the job already.
fn about(id: &str, message: &str) -> String {
    if message.contains(id) {
        message.to_owned()
    } else {
        format!("{id}: {message}")
    }
}

fn row(id: &str, changed: &Result<v1::Job, RemoteError>) -> Value {
    match changed {
        Ok(job) => json!({"id": id, "job": json::job(job), "error": null}),
        Err(error) => {
            let error = json!({"code": error.code.name(), "message": error.message});
            json!({"id": id, "job": null, "error": error})
        }
    }
}

/// The job and its state.
fn line(job: &v1::Job) -> String {
    let state = state_name(job.state());
    let more = match (job.state(), job.place) {
        (v1::JobState::Running, _) if job.cancel_requested => ", stops".to_owned(),
        (v1::JobState::Queued, Some(place)) => format!(", place {place}"),
        _ => String::new(),
    };
    format!("{}  {state}{more}\n", job.id)
}

#[cfg(test)]
mod tests {
    use nephrite_types::ErrorCode;

    use super::*;
    use crate::cli::jobs::sample;

    #[test]
    fn lines_have_the_new_state() {
        let stops = v1::Job {
            cancel_requested: true,
            ..sample::running()
        };
        assert_eq!(line(&stops), "0123456789abcdef0123456789abcdef  running, stops\n");
        let waits = line(&sample::waiting());
        assert_eq!(waits, "0123456789abcdef0123456789abcdef  queued, place 2\n");
        let failed = line(&sample::failed());
        assert_eq!(failed, "0123456789abcdef0123456789abcdef  failed\n");
    }

    #[test]
    fn errors_name_the_job_once() {
        assert_eq!(about("17", "no such job"), "17: no such job");
        assert_eq!(about("17", "job 17 is not known"), "job 17 is not known");
        let error = RemoteError {
            code: ErrorCode::NotFound,
            message: "no such job".to_owned(),
        };
        let expected =
            json!({"id": "17", "job": null, "error": {"code": "not_found", "message": "no such job"}});
        assert_eq!(row("17", &Err(error)), expected);
    }
}
