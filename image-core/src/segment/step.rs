//! Scans and masks in, a mask in memory out: a run as a step of a case, here or for another process.

use std::sync::Arc;

use nephrite_engine::Provider;
use nephrite_kernel::Mask;
use nephrite_types::Precision;
use nephrite_types::{CancelToken, Progress, Warning};
use nephrite_volume::FileHash;

use super::grid::{label_table, mask_error};
use super::model_run::OpenRun;
use super::request::ModelRun;
use super::warnings::warn;
use super::{StageClock, StageSeconds};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::{Counters, peak_rss_bytes};
use crate::model::FileRecord;

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct ModelStepOutcome {
    /// On the frame of the scan.
    pub(crate) mask: Arc<Mask>,
    /// What was odd.
    pub(crate) warnings: Vec<Warning>,
    pub(crate) stages: StageSeconds,
    /// Tile positions over folds; mirrored copies not counted.
    pub(crate) tiles: u64,
    pub(crate) provider: Provider,
    pub(crate) precision: Precision,
    pub(crate) threads: usize,
    pub(crate) counters: Counters,
    pub(crate) scan: FileHash,
    pub(crate) model_files: Vec<FileRecord>,
    pub(crate) folds: Vec<String>,
    pub(crate) versions: Vec<(String, String)>,
    pub(crate) peak_rss_bytes: u64,
}

/// A model step, in this process. Waits until its memory and the network are free.
pub(crate) fn run_model_step(
    core: &Core,
    run: &ModelRun,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<ModelStepOutcome, CoreError> {
    let clock = StageClock::new(progress);
    let outcome = run_open(core, run, &clock, cancel);
    core.models().trim(); // what this step used is idle again, whatever came of it
    core.volumes().trim();
    let mut outcome = outcome?;
    outcome.stages = clock.stop();
    outcome.peak_rss_bytes = peak_rss_bytes();
    outcome.warnings = clock.warnings();
    Ok(outcome)
}

fn run_open(
    core: &Core,
    run: &ModelRun,
    clock: &StageClock<'_>,
    cancel: &CancelToken,
) -> Result<ModelStepOutcome, CoreError> {
    let open = OpenRun::new(core, run, cancel)?;
    for warning in &open.oddities {
        warn(warning, core.strict_geometry(), clock)?;
    }
    let admission = open.admit(cancel)?;
    let found = open.predict(&admission, clock, cancel)?;
    cancel.check()?;
    let runs = open.part.whole_mask(found.prediction.labels, core.limits())?;
    let description = &open.model.description;
    let mask = Mask::new(runs, label_table(&description.labels)?).map_err(mask_error)?;
    let runtime = core.models().runtime();
    let versions = core.versions(open.models()).into_iter();
    Ok(ModelStepOutcome {
        mask: Arc::new(mask),
        warnings: Vec::new(),
        stages: StageSeconds::default(),
        tiles: found.tiles,
        provider: runtime.provider(),
        precision: found.precision,
        threads: runtime.n_threads(),
        counters: found.counters,
        scan: found.scan,
        model_files: found.model_files,
        folds: description.folds.clone(),
        versions: versions
            .map(|(name, version)| (name.to_owned(), version))
            .collect(),
        peak_rss_bytes: 0,
    })
}

/// Refuses a step that this process can never run: too many tiles, more memory than there is. Reads headers only. What looks
/// at a part of the scan passes: how large that is comes out later.
pub(crate) fn check_model_step(core: &Core, run: &ModelRun, cancel: &CancelToken) -> Result<(), CoreError> {
    if run.crop.is_some() {
        return Ok(());
    }
    OpenRun::new(core, run, cancel)?.check_memory()
}
