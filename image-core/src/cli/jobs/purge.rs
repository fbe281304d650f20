//! `nephrite jobs purge`: forgets jobs that have ended.

use clap::{ArgGroup, Args};
use nephrite_proto::convert::error_code_of;
use nephrite_proto::{Client, RemoteError, v1};
use nephrite_types::{ErrorCode, count};
use serde_json::{Value, json};

use super::call::{ServerArguments, call};
use super::failures::Failures;
use super::filter::{StateArgument, each_job, wire_states};
use super::json::{self, state_name};
use super::outcome::has_ended;
use super::words::now_unix_ms;
use crate::cli::failure::Failure;
use crate::cli::output;

/// Ids of one call at most.
const BATCH: usize = 1000;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub(crate) struct PurgeArguments {
    /// Ids of the jobs
    #[arg(value_name = "ID", group = "which")]
    pub(crate) ids: Vec<String>,
    /// All jobs in these states: succeeded, failed, cancelled, expired, dead
    #[arg(
        long = "state",
        group = "which",
        value_enum,
        value_name = "STATE,…",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub(crate) states: Vec<StateArgument>,
    /// Of these only jobs that ended more than so many days ago
    #[arg(long, value_name = "DAYS", requires = "states", conflicts_with = "ids")]
    pub(crate) older_than: Option<f64>,
    /// Remove their result folders too, if they are as the jobs left them
    #[arg(long)]
    pub(crate) with_results: bool,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn run(arguments: &PurgeArguments) -> Result<(), Failure> {
    check_states(&arguments.states)?;
    let before = ended_before(arguments.older_than, now_unix_ms())?;
    let mut rows = Vec::new();
    let mut failures = Failures::default();
    let n_purged = call(&arguments.server, async |client: Client| {
        let ids = match arguments.states.is_empty() {
            true => arguments.ids.clone(),
            false => ids_of(&client, &arguments.states, before).await?,
        };
        let mut n_purged = 0_usize;
        for batch in ids.chunks(BATCH) {
            let request = v1::PurgeRequest {
                ids: batch.to_vec(),
                with_results: arguments.with_results,
            };
            let jobs = match client.purge_jobs(request).await {
                Ok(answer) => answer.jobs,
                Err(error) => {
                    failures.add(error.into()); // what was forgotten before is told all the same
                    break;
                }
            };
            for job in jobs {
                n_purged += usize::from(job.purged);
                if arguments.json {
                    rows.push(row(&job));
                } else {
                    output::print(&line(&job));
                }
                if let Some(error) = &job.error {
                    failures.add_told(failure(&job, error));
                }
            }
        }
        Ok(n_purged)
    })?;
    if arguments.json {
        output::print(&output::json(&rows));
    } else {
        eprintln!("{} forgotten", count(n_purged, "job"));
    }
    failures.end()
}

/// Jobs that have not ended are never forgotten.
fn check_states(states: &[StateArgument]) -> Result<(), Failure> {
    let mut states = states.iter().map(|state| v1::JobState::from(*state));
    match states.find(|state| !has_ended(*state)) {
        Some(state) => Err(Failure::wrong(
            "--state",
            state_name(state),
            "states of jobs that have ended: succeeded, failed, cancelled, expired, dead",
        )),
        None => Ok(()),
    }
}

/// Until when a job must have ended; `None` if that does not matter.
fn ended_before(older_than_days: Option<f64>, now_unix_ms: u64) -> Result<Option<u64>, Failure> {
    match older_than_days {
        None => Ok(None),
        Some(days) if days.is_finite() && days >= 0.0 => {
            Ok(Some(now_unix_ms.saturating_sub((days * 86_400_000.0) as u64)))
        }
        Some(days) => Err(Failure::wrong(
            "--older-than",
            &days.to_string(),
            "a number of days, 0 or more",
        )),
    }
}

/// All are collected before the first is forgotten: a page starts where the one before ended.
async fn ids_of(
    client: &Client,
    states: &[StateArgument],
    before: Option<u64>,
) -> Result<Vec<String>, RemoteError> {
    let filter = v1::ListJobsRequest {
        states: wire_states(states),
        ..v1::ListJobsRequest::default()
    };
    let mut ids = Vec::new();
    each_job(client, &filter, None, |job| {
        if before.is_none_or(|before| job.ended_unix_ms.is_some_and(|ended| ended < before)) {
            ids.push(job.id);
        }
    })
    .await?;
    Ok(ids)
}

fn row(job: &v1::PurgedJob) -> Value {
    json!({
        "id": job.id,
        "purged": job.purged,
        "result_removed": job.result_removed,
        "error": job.error.as_ref().map(json::error),
    })
}

/// What became of a job that was to be forgotten.
fn line(job: &v1::PurgedJob) -> String {
    let what = match (job.purged, job.result_removed) {
        (true, true) => "forgotten, result folder removed",
        (true, false) if job.error.is_some() => "forgotten, result folder stays",
        (true, false) => "forgotten",
        (false, true) => "kept, result folder removed",
        (false, false) => "kept",
    };
    let why = job.error.as_ref().map(|error| format!(": {}", error.message));
    format!("{}  {what}{}\n", job.id, why.unwrap_or_default())
}

fn failure(job: &v1::PurgedJob, error: &v1::JobError) -> Failure {
    let what = match job.purged {
        true => "forgotten, but not all of it",
        false => "not forgotten",
    };
    Failure {
        code: error_code_of(error.code).unwrap_or(ErrorCode::Internal),
        message: format!("job {} is {what}: {}", job.id, error.message),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::Arguments;

    fn purged(purged: bool, result_removed: bool, error: Option<&str>) -> v1::PurgedJob {
        v1::PurgedJob {
            id: "17".to_owned(),
            purged,
            result_removed,
            error: error.map(|message| v1::JobError {
                code: v1::ErrorCode::InvalidArgument.into(),
                message: message.to_owned(),
            }),
        }
    }

    #[test]
    fn lines_say_what_was_forgotten_and_what_not_and_why() {
        assert_eq!(line(&purged(true, false, None)), "17  forgotten\n");
        assert_eq!(
            line(&purged(true, true, None)),
            "17  forgotten, result folder removed\n"
        );
        let stays = line(&purged(true, false, Some("a file was changed")));
        assert_eq!(stays, "17  forgotten, result folder stays: a file was changed\n");
        let runs = purged(false, false, Some("it runs"));
        assert_eq!(line(&runs), "17  kept: it runs\n");
        let expected = json!({"id": "17", "purged": false, "result_removed": false,
                              "error": {"code": "invalid_argument", "message": "it runs"}});
        assert_eq!(row(&runs), expected);
        let failed = failure(&runs, runs.error.as_ref().unwrap());
        assert_eq!(failed.message, "job 17 is not forgotten: it runs");
        assert_eq!(failed.code, ErrorCode::InvalidArgument);
    }

    #[test]
    fn only_jobs_that_have_ended_can_be_asked_for() {
        assert!(check_states(&[StateArgument::Succeeded, StateArgument::Dead]).is_ok());
        let failure = check_states(&[StateArgument::Failed, StateArgument::Running]).unwrap_err();
        assert!(
            failure.message.contains("--state is running"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn ids_are_not_filtered() {
        let is_right = |line: &str| Arguments::try_parse_from(line.split(' ')).is_ok();
        assert!(is_right("nephrite jobs purge 17 18 --with-results"));
        assert!(is_right("nephrite jobs purge --state failed,dead --older-than 2"));
        for wrong in ["", " --older-than 2", " 17 --older-than 2", " 17 --state dead"] {
            assert!(!is_right(&format!("nephrite jobs purge{wrong}")), "{wrong:?}");
        }
    }

    #[test]
    fn ages_are_days_before_now() {
        let now = 10 * 86_400_000;
        assert_eq!(ended_before(None, now).unwrap(), None);
        assert_eq!(ended_before(Some(1.5), now).unwrap(), Some(now - 36 * 3_600_000));
        assert_eq!(ended_before(Some(1e300), now).unwrap(), Some(0));
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(ended_before(Some(wrong), now).is_err(), "{wrong}");
        }
    }
}
