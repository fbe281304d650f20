//! `nephrite jobs fsck`: result folders without a job, and jobs without a result folder.

use clap::Args;
use nephrite_proto::{Client, v1};
use nephrite_types::{ErrorCode, count};
use serde_json::{Value, json};

use super::call::{ServerArguments, call};
use super::json::text_or_null;
use super::screen;
use super::table::Table;
use crate::cli::failure::Failure;
use crate::cli::output;

#[derive(Debug, Args)]
pub(crate) struct FsckArguments {
    /// Folder beneath which result folders lie, at most eight levels down, as the server sees it
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: String,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn run(arguments: &FsckArguments) -> Result<(), Failure> {
    let found = call(&arguments.server, async |client: Client| {
        let request = v1::FindOrphansRequest {
            folder: arguments.folder.clone(),
        };
        Ok(client.find_orphans(request).await?)
    })?;
    if arguments.json {
        output::print(&output::json(&as_json(&found)));
    } else if !found.orphans.is_empty() {
        output::print(&table(&found.orphans).to_text(screen::columns()));
    }
    outcome(&arguments.folder, &found)
}

/// # Errors
/// What does not belong together, and that not all was looked at.
fn outcome(folder: &str, found: &v1::FindOrphansResponse) -> Result<(), Failure> {
    let more = "there is more beneath it than was looked at";
    let (code, what) = match (found.orphans.len(), found.incomplete) {
        (0, false) => return Ok(()),
        (0, true) => (ErrorCode::LimitExceeded, more.to_owned()),
        (n, false) => (ErrorCode::InvalidInput, count(n, "orphan")),
        (n, true) => (ErrorCode::InvalidInput, format!("{}; {more}", count(n, "orphan"))),
    };
    Err(Failure {
        code,
        message: format!("{folder}: {what}"),
    })
}

fn kind_name(kind: v1::OrphanKind) -> &'static str {
    match kind {
        v1::OrphanKind::Unspecified => "unknown",
        v1::OrphanKind::UnknownJob => "unknown_job",
        v1::OrphanKind::JobNotSucceeded => "job_not_succeeded",
        v1::OrphanKind::ResultGone => "result_gone",
        v1::OrphanKind::Unfinished => "unfinished",
    }
}

fn as_json(found: &v1::FindOrphansResponse) -> Value {
    let orphans = found.orphans.iter().map(|orphan| {
        json!({"kind": kind_name(orphan.kind()), "path": orphan.path, "job": text_or_null(&orphan.job)})
    });
    json!({"orphans": orphans.collect::<Value>(), "incomplete": found.incomplete})
}

fn table(orphans: &[v1::Orphan]) -> Table<3> {
    let mut table = Table::new(["kind", "path", "job"]);
    for orphan in orphans {
        table.row([
            kind_name(orphan.kind()).replace('_', " "),
            orphan.path.clone(),
            orphan.job.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(n: usize, incomplete: bool) -> v1::FindOrphansResponse {
        let orphan = v1::Orphan {
            kind: v1::OrphanKind::ResultGone.into(),
            path: "results/17".to_owned(),
            job: "17".to_owned(),
        };
        v1::FindOrphansResponse {
            orphans: vec![orphan; n],
            incomplete,
        }
    }

    #[test]
    fn the_exit_code_is_3_if_there_are_some_and_5_if_nobody_knows() {
        let exit_code = |n, incomplete| {
            outcome("results", &found(n, incomplete)).map_or_else(|failure| failure.code.exit_code(), |()| 0)
        };
        assert_eq!(exit_code(0, false), 0);
        assert_eq!((exit_code(2, false), exit_code(2, true)), (3, 3));
        assert_eq!(exit_code(0, true), 5);
    }

    #[test]
    fn orphans_say_their_kind_path_and_job() {
        let found = found(1, false);
        let expected = "kind         path        job\nresult gone  results/17  17\n";
        assert_eq!(table(&found.orphans).to_text(None), expected);
        let expected = json!({"orphans": [{"kind": "result_gone", "path": "results/17", "job": "17"}],
                              "incomplete": false});
        assert_eq!(as_json(&found), expected);
    }
}
