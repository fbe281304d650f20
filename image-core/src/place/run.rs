//! Where one step runs.

use std::sync::Arc;

use nephrite_kernel::Artefacts;
use nephrite_types::{CancelToken, Progress};

use super::remote_core::{RemoteCore, in_cores};
use crate::core::Core;
use crate::error::CoreError;
use crate::masks::StepPlace;
use crate::samples::{SampleOutcome, SampleStep, run_sample_step};
use crate::segment::{ModelRun, ModelStepOutcome, run_model_step};

/// Where a step runs.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In this process.
    Here,
    /// In the first of these cores that can; at least one.
    Cores(Vec<Arc<RemoteCore>>),
}

impl Place {
    pub(super) fn of(cores: Vec<Arc<RemoteCore>>) -> Place {
        match cores.is_empty() {
            true => Place::Here,
            false => Place::Cores(cores),
        }
    }

    pub(crate) fn is_here(&self) -> bool {
        matches!(self, Place::Here)
    }

    /// As it is stated; of several cores the preferred.
    pub(crate) fn stated(&self) -> StepPlace {
        match self {
            Place::Here => StepPlace::InProcess,
            Place::Cores(cores) => cores[0].place(),
        }
    }

    /// Runs a model. Says where, too.
    pub(crate) fn run_model(
        &self,
        core: &Core,
        run: &ModelRun,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<(StepPlace, ModelStepOutcome), CoreError> {
        match self {
            Place::Here => Ok((StepPlace::InProcess, run_model_step(core, run, progress, cancel)?)),
            Place::Cores(cores) => in_cores(cores, cancel, |remote| remote.run(core, run, progress, cancel)),
        }
    }

    /// Takes a sample. Says where, too.
    pub(crate) fn take_sample(
        &self,
        core: &Core,
        sample: &SampleStep,
        folder: &Artefacts,
        cancel: &CancelToken,
    ) -> Result<(StepPlace, SampleOutcome), CoreError> {
        match self {
            Place::Here => Ok((
                StepPlace::InProcess,
                run_sample_step(core, sample, folder, cancel)?,
            )),
            Place::Cores(cores) => in_cores(cores, cancel, |remote| {
                remote.sample(core, sample, folder.path(), cancel)
            }),
        }
    }
}
