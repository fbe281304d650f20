//! `nephrite run`: a case, here or at a server.

use std::path::Path;

use clap::Args;
use nephrite_image_core::WantedObjects;
use nephrite_image_core::case::{BareModel, CasePipeline, CaseRequest, run_case};

use super::case_arguments::CaseArguments;
use super::case_place::CasePlace;
use super::case_summary::CaseSummary;
use super::failure::Failure;
use super::output;
use super::shared_arguments::{CasePlaceArguments, RuntimeArguments};
use super::{case_progress, run_at_server, signals};

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) case: CaseArguments,
    /// Send the request to this server, such as http://127.0.0.1:7443; paths are then as the server sees them
    #[arg(
        long,
        value_name = "URL",
        conflicts_with_all = [
            "config",
            "root",
            "provider",
            "threads",
            "precision",
            "instructions",
            "pin_threads",
            "dicom_spacing_tolerance",
            "dicom_tilt",
            "dicom_duplicates",
            "max_memory_bytes",
            "onnxruntime",
        ]
    )]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) place: CasePlaceArguments,
    #[command(flatten)]
    pub(crate) runtime: RuntimeArguments,
    /// Print nothing but errors and warnings
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

pub(crate) fn run(arguments: RunArguments) -> Result<(), Failure> {
    let request = arguments.case.request()?;
    let cancel = signals::cancelled_by_signals();
    let events = case_progress::on_stderr(arguments.quiet);
    let done = match &arguments.server {
        Some(url) => run_at_server::run(url, &request, &*events, &cancel)?,
        None => {
            let named = arguments.place.config.is_some();
            let place = CasePlace::new(arguments.place, arguments.runtime)?;
            let request = with_core_paths(&place, request)?;
            let report = run_case(&place.core, &place.services, &request, &*events, &cancel);
            let report = report.map_err(|error| {
                let is_unknown = error.is_unknown_operation();
                super::place::failure(error, is_unknown && !named)
            })?;
            CaseSummary::new(&request.output, report)
        }
    };
    drop(events); // takes the bars off the terminal
    if !arguments.quiet {
        output::print(&done.to_text());
    }
    Ok(())
}

/// The request with the paths that were typed as the core must have them.
fn with_core_paths(place: &CasePlace, request: CaseRequest) -> Result<CaseRequest, Failure> {
    let core_path = |path: &Path| place.core_path(path);
    let pipeline = match &request.pipeline {
        CasePipeline::File(file) => CasePipeline::File(core_path(file)?),
        CasePipeline::Models { models, objects } => {
            let models = models.iter().map(|bare| {
                Ok(BareModel {
                    model: core_path(&bare.model)?,
                    phase: bare.phase,
                })
            });
            let codes = objects.codes.as_deref().map(core_path).transpose()?;
            CasePipeline::Models {
                models: models.collect::<Result<_, Failure>>()?,
                objects: WantedObjects {
                    codes,
                    ..objects.clone()
                },
            }
        }
    };
    let scans = request
        .scans
        .iter()
        .map(|(phase, path)| Ok((*phase, core_path(path)?)));
    Ok(CaseRequest {
        pipeline,
        scans: scans.collect::<Result<_, Failure>>()?,
        output: core_path(&request.output)?,
        ..request
    })
}
