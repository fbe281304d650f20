//! `nephrite jobs show`: everything about a job.

use std::fmt::Write as _;

use clap::Args;
use nephrite_proto::{Client, v1};

use super::call::{ServerArguments, call, job};
use super::json::{self, error_name, phase_name, priority_name, profile_name, state_name};
use super::list::step;
use super::table::plain;
use super::words::{duration, gigabytes, utc};
use crate::cli::failure::Failure;
use crate::cli::output;

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// Id of the job
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn run(arguments: &ShowArguments) -> Result<(), Failure> {
    let shown = call(&arguments.server, async |client: Client| {
        let request = v1::GetJobRequest {
            id: arguments.id.clone(),
        };
        Ok(job(client.get_job(request).await?.job)?)
    })?;
    output::print(&if arguments.json {
        output::json(&json::job(&shown))
    } else {
        describe(&shown)
    });
    Ok(())
}

/// Before further lines of a value: they stand below the first one.
const NEXT_LINE: &str = "\n                ";

/// A line for each thing that there is to say.
fn describe(job: &v1::Job) -> String {
    let mut rows = vec![("id", job.id.clone())];
    rows.extend(state(job));
    rows.extend(job.request.iter().flat_map(case));
    rows.extend(times(job));
    rows.extend(origin(job));
    let mut text = String::new();
    for (name, value) in rows {
        let lines: Vec<String> = value.lines().map(plain).collect();
        let _ = writeln!(text, "{name:15} {}", lines.join(NEXT_LINE)); // writing to a string cannot fail
    }
    text
}

type Row = (&'static str, String);

/// A row, unless there is nothing to say.
fn filled(name: &'static str, value: &str) -> Option<Row> {
    (!value.is_empty()).then(|| (name, value.to_owned()))
}

fn state(job: &v1::Job) -> Vec<Row> {
    let mut rows = vec![("state", state_name(job.state()).to_owned())];
    rows.extend(
        job.cancel_requested
            .then(|| ("cancel", "somebody wants it to stop".to_owned())),
    );
    rows.extend(job.place.map(|place| ("place", place.to_string())));
    rows.extend(filled("blocked", &job.blocked));
    rows.extend(job.progress.as_ref().map(|progress| {
        let left = progress
            .seconds_left
            .map(|seconds| format!(", {} left", duration((seconds * 1000.0) as u64)));
        ("progress", step(progress) + &left.unwrap_or_default())
    }));
    rows.extend(
        job.error
            .as_ref()
            .map(|error| ("error", format!("{}: {}", error_name(error), error.message))),
    );
    rows.extend(filled("record SHA-256", &job.record_sha256));
    rows.extend(filled("reused from", &job.reused_from));
    rows
}

fn case(case: &v1::CaseServiceRunRequest) -> Vec<Row> {
    let mut rows: Vec<Row> = filled("pipeline", &case.pipeline).into_iter().collect();
    rows.extend(case.models.iter().map(|bare| {
        let phase = bare.phase.map(|phase| format!("{}=", phase_name(phase)));
        ("model", phase.unwrap_or_default() + &bare.model)
    }));
    rows.extend(
        case.scans
            .iter()
            .map(|scan| ("scan", format!("{}={}", phase_name(scan.phase), scan.path))),
    );
    rows.extend(filled("steps", &case.steps.join(", ")));
    rows.push(("profile", profile_name(case).to_owned()));
    rows.extend(case.phases.iter().map(|choice| {
        let name = if choice.r#override {
            "override phase"
        } else {
            "phase"
        };
        (name, format!("{}={}", choice.step, phase_name(choice.phase)))
    }));
    rows.push(("output", case.output.clone()));
    rows.extend(
        case.strict_geometry
            .then(|| ("geometry", "strict: what is odd is an error".to_owned())),
    );
    rows
}

fn times(job: &v1::Job) -> Vec<Row> {
    let after = |began: u64, then: u64, what: &str| {
        let took = duration(then.saturating_sub(began));
        format!("{}, after {took}{what}", utc(then))
    };
    let mut rows = vec![("submitted", utc(job.submitted_unix_ms))];
    rows.extend(job.started_unix_ms.map(|started| {
        let waited = after(job.submitted_unix_ms, started, " in the queue");
        ("started", waited)
    }));
    rows.extend(job.ended_unix_ms.map(|ended| {
        let began = job.started_unix_ms.unwrap_or(job.submitted_unix_ms);
        ("ended", after(began, ended, ""))
    }));
    rows.extend(job.deadline_unix_ms.map(|deadline| ("deadline", utc(deadline))));
    rows
}

fn origin(job: &v1::Job) -> Vec<Row> {
    let tries = format!(
        "{} of {}, {} in all",
        job.attempts, job.max_attempts, job.executions
    );
    let mut rows = vec![("tries", tries)];
    rows.extend(filled("worker", &job.worker));
    rows.extend(
        job.memory_bytes
            .map(|bytes| ("memory", format!("{} expected at the peak", gigabytes(bytes)))),
    );
    rows.push(("priority", priority_name(job.priority()).to_owned()));
    rows.extend(filled("capability", &job.capability));
    rows.extend(filled("tenant", &job.tenant));
    rows.push(("key", job.key.clone()));
    rows.push(("last event", job.last_sequence.to_string()));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::jobs::sample;

    #[test]
    fn all_of_a_job_is_told() {
        let expected = "\
id              0123456789abcdef0123456789abcdef
state           failed
error           invalid_input: a.nii.gz: truncated
pipeline        pipelines/kidney.toml
scan            arterial=cases/17/a.nii.gz
profile         full
output          results/17
submitted       2023-11-14T22:13:20Z
started         2023-11-14T22:13:24Z, after 4.0 s in the queue
ended           2023-11-14T22:13:36Z, after 12 s
tries           1 of 3, 1 in all
worker          core-1
priority        normal
key             case-17
last event      1
";
        assert_eq!(describe(&sample::failed()), expected);
    }

    #[test]
    fn further_lines_of_a_message_stand_below_the_first() {
        let job = v1::Job {
            blocked: "two\nlines".to_owned(),
            ..sample::waiting()
        };
        assert!(describe(&job).contains("\nblocked         two\n                lines\n"));
    }

    #[test]
    fn a_job_that_runs_says_how_far_it_is() {
        let text = describe(&sample::running());
        assert!(
            text.contains("progress        kidney: tile 12 of 40, 30 s left\n"),
            "{text}"
        );
        let text = describe(&sample::waiting());
        assert!(text.contains("place           2\n"), "{text}");
        assert!(!text.contains("started") && !text.contains("worker"), "{text}");
    }

    #[test]
    fn models_and_phases_stand_as_they_are_typed() {
        let request = v1::CaseServiceRunRequest {
            models: vec![v1::BareModel {
                model: "models/kidney".to_owned(),
                phase: Some(v1::Phase::Delayed.into()),
            }],
            phases: vec![v1::PhaseChoice {
                step: "cyst".to_owned(),
                phase: v1::Phase::Arterial.into(),
                r#override: true,
            }],
            ..v1::CaseServiceRunRequest::default()
        };
        let rows = case(&request);
        assert!(
            rows.contains(&("model", "delayed=models/kidney".to_owned())),
            "{rows:?}"
        );
        assert!(
            rows.contains(&("override phase", "cyst=arterial".to_owned())),
            "{rows:?}"
        );
    }
}
