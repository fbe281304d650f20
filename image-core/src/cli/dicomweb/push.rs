//! `nephrite push`: DICOM files to a DICOMweb server.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use nephrite_dicomweb::PushedFile;
use nephrite_image_core::Root;
use nephrite_types::{ErrorCode, count};
use serde_json::json;

use super::files::dicom_files;
use super::progress;
use super::server::ServerArguments;
use crate::cli::failure::Failure;
use crate::cli::{output, signals};

#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// DICOM files, and folders of them with all that lies below; what is no DICOM file in a folder is left out
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Print what became of each file as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

pub(crate) fn run(arguments: &PushArguments) -> Result<(), Failure> {
    let root = Arc::new(Root::filesystem());
    let cancel = signals::cancelled_by_signals();
    let (files, left_out) = dicom_files(&root, &arguments.files, &cancel)?;
    if !arguments.quiet && left_out > 0 {
        eprintln!("left out: {}, no DICOM", count(left_out, "file"));
    }
    let client = arguments.server.client()?;
    let progress = progress::on_stderr(arguments.quiet);
    let mut told = Vec::with_capacity(files.len());
    let pushed = client.push(&root, &files, &mut |file| told.push(file), &*progress, &cancel);
    drop(progress); // takes the bar off the terminal
    let n_stored = told.iter().filter(|file| file.outcome.is_stored()).count();
    if pushed.is_err() && told.is_empty() {
        // nothing was sent: there is nothing to print but the error
    } else if arguments.json {
        let told: Vec<_> = told.iter().map(report).collect();
        output::print(&output::json(&told));
    } else if !arguments.quiet {
        output::print(&format!(
            "{n_stored} of {} stored\n",
            count(files.len(), "instance")
        ));
    }
    pushed.map_err(|error| {
        let mut failure = Failure::from(error);
        if !told.is_empty() {
            failure
                .message
                .push_str(&format!(" ({n_stored} of {} stored before)", files.len()));
        }
        failure
    })?;
    match n_stored == files.len() {
        true => Ok(()),
        false => Err(refused(&told)),
    }
}

/// What was not stored, file by file.
fn refused(told: &[PushedFile]) -> Failure {
    let refused: Vec<&PushedFile> = told.iter().filter(|file| !file.outcome.is_stored()).collect();
    let lines = refused
        .iter()
        .map(|file| format!("\n  {}: {}", file.path.display(), file.outcome));
    Failure {
        code: ErrorCode::Environment,
        message: format!(
            "the server did not store {}:{}",
            count(refused.len(), "instance"),
            lines.collect::<String>()
        ),
    }
}

fn report(file: &PushedFile) -> serde_json::Value {
    json!({
        "file": file.path,
        "instance": file.instance.as_str(),
        "series": file.series.as_str(),
        "study": file.study.as_str(),
        "is_stored": file.outcome.is_stored(),
        "outcome": file.outcome.to_string(),
    })
}
