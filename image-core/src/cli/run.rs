//! `nephrite run`: a case, here or at a server.

use std::path::Path;

use nephrite_image_core::case::{
    BareModel, CaseError, CasePipeline, CaseRequest, PhaseChoice, Profile, run_case,
};
use nephrite_types::Phase;

use super::case_place::CasePlace;
use super::case_summary::CaseSummary;
use super::failure::Failure;
use super::output;
use super::shared_arguments::{CasePlaceArguments, NamedPath, Pair, RuntimeArguments};
use super::{case_progress, run_at_server, signals};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) what: WhatArguments,
    /// A scan and its contrast phase: non_contrast, arterial, portal_venous or delayed
    #[arg(long = "scan", value_name = "PHASE=FILE", required = true)]
    pub(crate) scans: Vec<Pair>,
    /// Result folder; it must not exist, the folder above must
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Only these steps, and those that they need
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub(crate) steps: Vec<String>,
    /// `quick` is for a first look: one fold, no mirroring, coarser tiles
    #[arg(long, value_enum, default_value = "full")]
    pub(crate) profile: ProfileArgument,
    /// Run a step on the scan of this phase [default: the first that it accepts]
    #[arg(long = "phase", value_name = "STEP=PHASE")]
    pub(crate) phases: Vec<Pair>,
    /// The same, even if the step does not accept that phase; goes into the record
    #[arg(long = "override-phase", value_name = "STEP=PHASE")]
    pub(crate) overrides: Vec<Pair>,
    /// Odd geometry is an error, not a warning: channels that do not lie where the first one lies, headers that contradict
    /// themselves
    #[arg(long)]
    pub(crate) strict_geometry: bool,
    /// Send the request to this server, such as http://127.0.0.1:7443; paths are then as the server sees them
    #[arg(
        long,
        value_name = "URL",
        conflicts_with_all = ["config", "root", "provider", "threads", "max_memory_bytes", "onnxruntime"]
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

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct WhatArguments {
    /// Pipeline file (TOML)
    #[arg(long, value_name = "FILE", conflicts_with = "models")]
    pub(crate) pipeline: Option<PathBuf>,
    /// Folder of a trained model, without a pipeline; several run beside each other. PHASE is needed if there are
    /// several scans
    #[arg(long = "model", id = "models", value_name = "[PHASE=]DIR")]
    pub(crate) models: Vec<NamedPath>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ProfileArgument {
    Full,
    Quick,
}

pub(crate) fn run(arguments: RunArguments) -> Result<(), Failure> {
    let request = request(&arguments)?;
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

fn request(arguments: &RunArguments) -> Result<CaseRequest, Failure> {
    let pipeline = match &arguments.what.pipeline {
        Some(file) => CasePipeline::File(file.clone()),
        None => {
            let models = arguments.what.models.iter().map(|model| {
                Ok(BareModel {
                    model: model.path.clone(),
                    phase: model.name.as_deref().map(phase).transpose()?,
                })
            });
            CasePipeline::Models(models.collect::<Result<_, Failure>>()?)
        }
    };
    let scans = arguments
        .scans
        .iter()
        .map(|Pair(name, path)| Ok((phase(name)?, path.into())));
    let choices = |pairs: &[Pair], override_accepted| {
        let choice = |Pair(step, name): &Pair| {
            Ok(PhaseChoice {
                step: step.clone(),
                phase: phase(name)?,
                override_accepted,
            })
        };
        pairs.iter().map(choice).collect::<Result<Vec<_>, Failure>>()
    };
    let mut phases = choices(&arguments.phases, false)?;
    phases.extend(choices(&arguments.overrides, true)?);
    Ok(CaseRequest {
        pipeline,
        scans: scans.collect::<Result<_, Failure>>()?,
        steps: arguments.steps.clone(),
        profile: match arguments.profile {
            ProfileArgument::Full => Profile::Full,
            ProfileArgument::Quick => Profile::Quick,
        },
        phases,
        output: arguments.output.clone(),
        strict_geometry: arguments.strict_geometry,
    })
}

fn phase(name: &str) -> Result<Phase, Failure> {
    Phase::from_name(name).ok_or_else(|| {
        let found = name.chars().take(64).collect();
        CaseError::UnknownPhase { found }.into()
    })
}

/// The request with the paths that were typed as the core must have them.
fn with_core_paths(place: &CasePlace, request: CaseRequest) -> Result<CaseRequest, Failure> {
    let core_path = |path: &Path| place.core_path(path);
    let pipeline = match &request.pipeline {
        CasePipeline::File(file) => CasePipeline::File(core_path(file)?),
        CasePipeline::Models(models) => {
            let models = models.iter().map(|bare| {
                Ok(BareModel {
                    model: core_path(&bare.model)?,
                    phase: bare.phase,
                })
            });
            CasePipeline::Models(models.collect::<Result<_, Failure>>()?)
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
