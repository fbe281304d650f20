//! Where one step runs.

use std::sync::Arc;

use nephrite_kernel::Artefacts;
use nephrite_types::{CancelToken, Progress};

use super::remote_core::{RemoteCore, in_cores};
use crate::core::Core;
use crate::error::CoreError;
use crate::masks::IN_PROCESS;
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

    /// For people: `in process`, or the preferred core.
    pub(crate) fn label(&self) -> String {
        match self {
            Place::Here => IN_PROCESS.to_owned(),
            Place::Cores(cores) => cores[0].label(),
        }
    }

    /// Runs a model. Gives the label of the core that did, too.
    pub(crate) fn run_model(
        &self,
        core: &Core,
        run: &ModelRun,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<(String, ModelStepOutcome), CoreError> {
        match self {
            Place::Here => Ok((self.label(), run_model_step(core, run, progress, cancel)?)),
            Place::Cores(cores) => in_cores(cores, cancel, |remote| remote.run(core, run, progress, cancel)),
        }
    }

    /// Takes a sample. Gives the label of the core that did, too.
    pub(crate) fn take_sample(
        &self,
        core: &Core,
        sample: &SampleStep,
        folder: &Artefacts,
        cancel: &CancelToken,
    ) -> Result<(String, SampleOutcome), CoreError> {
        match self {
            Place::Here => Ok((self.label(), run_sample_step(core, sample, folder, cancel)?)),
            Place::Cores(cores) => in_cores(cores, cancel, |remote| {
                remote.sample(core, sample, folder.path(), cancel)
            }),
        }
    }
}
