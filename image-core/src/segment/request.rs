//! What a run of a model is asked for.

use std::path::PathBuf;
use std::sync::Arc;

use nephrite_kernel::Mask;
use nephrite_nnunet::ModelDescription;
use nephrite_types::{Geometry, SegmentationOptions};
use nephrite_volume::{Reader, World};

use super::{PostprocessingChoice, PreviousStage, WorldBox};
use crate::memory::ScanFile;
use crate::model::{ModelChoice, ModelOnScan};

/// A model on a scan.
#[derive(Debug, Clone)]
pub(crate) struct ModelRun {
    pub(crate) model: ModelChoice,
    /// One file per channel of the model, in its order; channels that are masks come after them.
    pub(crate) scans: Vec<ScanInput>,
    /// Labels of masks that are channels, on any grid.
    pub(crate) masks: Vec<(Arc<Mask>, String)>,
    pub(crate) previous_stage: PreviousStage,
    pub(crate) options: SegmentationOptions,
    pub(crate) postprocessing: PostprocessingChoice,
    /// Look only here; all of the scan if `None`.
    pub(crate) crop: Option<WorldBox>,
    /// Places the first scan among other files: its frame in this world is what masks and boxes lie on. That of the model's
    /// reader if `None`.
    pub(crate) world: Option<World>,
    /// Make probabilities too.
    pub(crate) probabilities: bool,
    /// Scans and network input stay in memory for other runs, and the files of the model are hashed for a record.
    pub(crate) is_step: bool,
}

/// A scan of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScanInput {
    pub(crate) path: PathBuf,
    /// Size of its file as the process that runs the case sees it.
    pub(crate) bytes: Option<u64>,
}

impl ModelRun {
    /// What it costs is asked of this; the bytes of scans are for the caller to fill in.
    pub(crate) fn on_grid<'a>(
        &self,
        model: &'a ModelDescription,
        previous: Option<&'a ModelDescription>,
        grid: &'a Geometry,
    ) -> ModelOnScan<'a> {
        ModelOnScan {
            model,
            previous,
            grid,
            scan_bytes: 0,
            scan_stays: self.is_step,
            options: self.options,
            probabilities: self.probabilities,
        }
    }
}

impl ScanInput {
    pub(super) fn file(&self, reader: Reader) -> ScanFile<'_> {
        ScanFile {
            path: &self.path,
            reader,
            expected_bytes: self.bytes,
        }
    }
}
