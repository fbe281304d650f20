//! `nephrite submit`: hands a case in, and does not wait for it.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use nephrite_proto::{Client, RemoteError, v1};
use nephrite_types::ErrorCode;

use super::case_arguments::CaseArguments;
use super::failure::Failure;
use super::jobs::call::{ServerArguments, job};
use super::jobs::json;
use super::jobs::priority::PriorityArgument;
use super::jobs::watch::{Style, watch};
use super::wait::wait;
use super::{output, signals};

#[derive(Debug, Args)]
pub(crate) struct SubmitArguments {
    #[command(flatten)]
    pub(crate) case: CaseArguments,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// The same key again is the same job [default: a hash of the request and of the content of its scans and pipeline]
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) key: Option<String>,
    /// Which jobs go first [default: normal]
    #[arg(long, value_enum)]
    pub(crate) priority: Option<PriorityArgument>,
    /// Seconds from now until the job must have ended; it expires otherwise [default: none]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) deadline: Option<f64>,
    /// Whose job it is
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) tenant: Option<String>,
    /// What its worker must have, such as cuda [default: anything will do]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) capability: Option<String>,
    /// Tries that the job may have [default: the server's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) max_attempts: Option<u32>,
    /// Take the result of an equal case that was done before, if there is one; the record says so
    #[arg(long)]
    pub(crate) reuse: bool,
    /// Go on as `jobs watch`: wait until the job has ended, and end as it did
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print the job as JSON; with --watch on one line, and then its events, one on each line
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the id of the job, errors and warnings, and nothing else
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

pub(crate) fn run(arguments: &SubmitArguments) -> Result<(), Failure> {
    let request = request(arguments)?;
    let cancel = signals::cancelled_by_signals();
    let (submitted, is_new) =
        wait(&cancel, submit(&arguments.server.server, request))?.unwrap_or_else(|| {
            Err(RemoteError {
                code: ErrorCode::Cancelled,
                message: "cancelled; the job may be there already: `nephrite jobs list` says".to_owned(),
            })
        })?;
    if arguments.json {
        let mut object = json::job(&submitted);
        object["is_new"] = is_new.into();
        output::print(&if arguments.watch {
            format!("{object}\n")
        } else {
            output::json(&object)
        });
    } else {
        output::print(&format!("{}\n", submitted.id));
    }
    if !arguments.quiet {
        for note in notes(&submitted, is_new) {
            eprintln!("{note}");
        }
    }
    if !arguments.watch {
        return Ok(());
    }
    let style = Style {
        json: arguments.json,
        quiet: arguments.quiet,
    };
    watch(&arguments.server, &submitted.id, 0, style, &cancel)
}

async fn submit(server: &str, request: v1::SubmitRequest) -> Result<(v1::Job, bool), RemoteError> {
    let client = Client::connect(server).await?;
    let answer = client.submit(request).await?;
    Ok((job(answer.job)?, answer.is_new))
}

fn request(arguments: &SubmitArguments) -> Result<v1::SubmitRequest, Failure> {
    let case = arguments.case.request()?;
    Ok(v1::SubmitRequest {
        request: Some(v1::CaseServiceRunRequest::from(&case)),
        key: arguments.key.clone().unwrap_or_default(),
        priority: arguments
            .priority
            .map(|priority| v1::JobPriority::from(priority).into()),
        deadline_seconds: arguments.deadline.map(deadline).transpose()?,
        tenant: arguments.tenant.clone().unwrap_or_default(),
        capability: arguments.capability.clone().unwrap_or_default(),
        max_attempts: arguments.max_attempts,
        reuse: arguments.reuse,
    })
}

fn deadline(seconds: f64) -> Result<f64, Failure> {
    if seconds > 0.0 && seconds.is_finite() {
        Ok(seconds)
    } else {
        Err(Failure::wrong(
            "--deadline",
            &seconds.to_string(),
            "a number of seconds above 0",
        ))
    }
}

/// What is worth knowing about a job beside its id.
fn notes(job: &v1::Job, is_new: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !is_new {
        let state = json::state_name(job.state());
        notes.push(format!("the job was there already: {state}"));
    }
    if !job.reused_from.is_empty() {
        notes.push(format!("answered by the result of job {}", job.reused_from));
    }
    if !job.blocked.is_empty() {
        notes.push(format!("nobody can take it now: {}", job.blocked));
    }
    notes
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::args::{Arguments, Command};
    use super::*;

    /// What a command line would send.
    fn sent(more: &[&str]) -> Result<v1::SubmitRequest, Failure> {
        let case = [
            "nephrite",
            "submit",
            "--pipeline",
            "p.toml",
            "--scan",
            "arterial=a.nii",
            "--output",
            "out",
        ];
        match Arguments::try_parse_from([&case[..], more].concat())
            .unwrap()
            .command
        {
            Command::Submit(arguments) => request(&arguments),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_left_out_is_for_the_server_to_say() {
        let sent = sent(&[]).unwrap();
        let case = sent.request.clone().unwrap();
        assert_eq!((&*case.pipeline, &*case.output), ("p.toml", "out"));
        let rest = v1::SubmitRequest {
            request: None,
            ..sent
        };
        assert_eq!(rest, v1::SubmitRequest::default());
    }

    #[test]
    fn everything_that_is_typed_is_sent() {
        let typed =
            "--key k --priority low --deadline 1.5 --tenant t --capability cuda --max-attempts 2 --reuse";
        let sent = sent(&typed.split(' ').collect::<Vec<_>>()).unwrap();
        let expected = v1::SubmitRequest {
            request: sent.request.clone(),
            key: "k".to_owned(),
            priority: Some(v1::JobPriority::Low.into()),
            deadline_seconds: Some(1.5),
            tenant: "t".to_owned(),
            capability: "cuda".to_owned(),
            max_attempts: Some(2),
            reuse: true,
        };
        assert_eq!(sent, expected);
    }

    #[test]
    fn deadlines_lie_ahead() {
        for wrong in ["0", "inf", "nan"] {
            let failure = sent(&["--deadline", wrong]).unwrap_err();
            assert!(failure.message.contains("--deadline"), "{}", failure.message);
        }
    }

    #[test]
    fn notes_are_about_what_is_not_as_usual() {
        let usual = v1::Job {
            state: v1::JobState::Succeeded.into(),
            ..v1::Job::default()
        };
        assert!(notes(&usual, true).is_empty());
        let reused = v1::Job {
            reused_from: "17".to_owned(),
            ..usual
        };
        let expected = [
            "the job was there already: succeeded",
            "answered by the result of job 17",
        ];
        assert_eq!(notes(&reused, false), expected);
    }
}
