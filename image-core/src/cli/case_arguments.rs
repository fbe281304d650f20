//! Arguments that say what a case is, wherever and whenever it runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use nephrite_image_core::case::{BareModel, CaseError, CasePipeline, CaseRequest, PhaseChoice, Profile};
use nephrite_types::Phase;

use super::failure::Failure;
use super::object_arguments::ObjectArguments;
use super::shared_arguments::{NamedPath, Pair};

#[derive(Debug, Args)]
pub(crate) struct CaseArguments {
    #[command(flatten)]
    pub(crate) what: WhatArguments,
    /// A scan and its contrast phase: non_contrast, arterial, portal_venous or delayed; a file, a folder with one DICOM series, or
    /// DIR#UID
    #[arg(long = "scan", value_name = "PHASE=FILE|DIR[#UID]", required = true)]
    pub(crate) scans: Vec<Pair>,
    #[command(flatten)]
    pub(crate) objects: ObjectArguments,
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
    /// Refuse a scan whose DICOM tags contradict the phase that is stated for it
    #[arg(long = "check-phase")]
    pub(crate) check_phases: bool,
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

impl CaseArguments {
    /// The case, with the paths that were typed.
    pub(super) fn request(&self) -> Result<CaseRequest, Failure> {
        let pipeline = match &self.what.pipeline {
            Some(file) => {
                if !self.objects.output_type.is_empty() {
                    return Err(Failure::wrong(
                        "--output-type",
                        "given",
                        "to be in the pipeline: `formats` of [[save]], and the tables [codes] and [dicom]",
                    ));
                }
                CasePipeline::File(file.clone())
            }
            None => {
                let models = self.what.models.iter().map(|model| {
                    Ok(BareModel {
                        model: model.path.clone(),
                        phase: model.name.as_deref().map(phase).transpose()?,
                    })
                });
                CasePipeline::Models {
                    models: models.collect::<Result<_, Failure>>()?,
                    objects: (&self.objects).into(),
                }
            }
        };
        let scans = self
            .scans
            .iter()
            .map(|Pair(name, path)| Ok((phase(name)?, path.into())));
        let mut phases = choices(&self.phases, false)?;
        phases.extend(choices(&self.overrides, true)?);
        Ok(CaseRequest {
            pipeline,
            scans: scans.collect::<Result<_, Failure>>()?,
            steps: self.steps.clone(),
            profile: match self.profile {
                ProfileArgument::Full => Profile::Full,
                ProfileArgument::Quick => Profile::Quick,
            },
            phases,
            output: self.output.clone(),
            strict_geometry: self.strict_geometry,
            check_phases: self.check_phases,
        })
    }
}

fn choices(pairs: &[Pair], override_accepted: bool) -> Result<Vec<PhaseChoice>, Failure> {
    let choice = |Pair(step, name): &Pair| {
        Ok(PhaseChoice {
            step: step.clone(),
            phase: phase(name)?,
            override_accepted,
        })
    };
    pairs.iter().map(choice).collect()
}

fn phase(name: &str) -> Result<Phase, Failure> {
    Phase::from_name(name).ok_or_else(|| {
        let found = name.chars().take(64).collect();
        CaseError::UnknownPhase { found }.into()
    })
}
