//! `nephrite pull`: a study or a series of a DICOMweb server, as a folder.

use std::path::PathBuf;

use clap::Args;
use nephrite_dicomweb::{PulledSeries, Uid};
use nephrite_image_core::Root;
use nephrite_types::count;
use serde_json::json;

use super::progress;
use super::server::ServerArguments;
use crate::cli::failure::Failure;
use crate::cli::{output, signals};

#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// StudyInstanceUID
    #[arg(long, value_name = "UID")]
    pub(crate) study: Uid,
    /// SeriesInstanceUID [default: all series of the study]
    #[arg(long, value_name = "UID")]
    pub(crate) series: Option<Uid>,
    /// Folder to be made, with a folder for each series; it is there when all of it is
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Print what came as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

pub(crate) fn run(arguments: &PullArguments) -> Result<(), Failure> {
    let (parent, name) = Root::filesystem().open_parent(&arguments.to)?;
    let client = arguments.server.client()?;
    let cancel = signals::cancelled_by_signals();
    let progress = progress::on_stderr(arguments.quiet);
    let pulled = client.pull(
        &arguments.study,
        arguments.series.as_ref(),
        (&parent, &name),
        &*progress,
        &cancel,
    )?;
    drop(progress); // takes the bar off the terminal
    if arguments.json {
        output::print(&output::json(&report(arguments, &pulled)));
    } else if !arguments.quiet {
        for series in &pulled {
            let folder = arguments.to.join(series.uid.as_str());
            let (folder, instances) = (folder.display(), count(series.instances, "instance"));
            output::print(&format!(
                "{folder}: {} {instances}, {} MB\n",
                series.modality,
                series.bytes.div_ceil(1_000_000)
            ));
        }
    }
    Ok(())
}

fn report(arguments: &PullArguments, pulled: &[PulledSeries]) -> serde_json::Value {
    let series = pulled.iter().map(|series| {
        json!({
            "series": series.uid.as_str(),
            "modality": series.modality,
            "folder": arguments.to.join(series.uid.as_str()),
            "instances": series.instances,
            "bytes": series.bytes,
        })
    });
    json!({ "study": arguments.study.as_str(), "series": series.collect::<Vec<_>>() })
}
