//! What a request would run, and what that would cost. Reads headers only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nephrite_pipeline::{Save, Step};
use nephrite_types::{CancelToken, Phase};
use serde::Serialize;

use super::plan::{Plan, PlannedModel, PlannedScan, PlannedStep, names};
use super::{CaseError, CaseRequest, PipelineReport, StepKind};
use crate::core::Core;
use crate::error::CoreError;
use crate::masks::StepPlace;
use crate::model::{ModelCost, Speed, SpeedSource};
use crate::place::CaseServices;
use crate::samples::SAMPLE_FILES;
use crate::segment::WarningReport;

/// What a case would cost. Figures are rough: they hold for a machine that does nothing else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseEstimate {
    /// The scans that the figures hold for.
    pub scans: Vec<ScanEstimate>,
    /// In the order in which they run.
    pub steps: Vec<StepEstimate>,
    /// Of networks: those of one process one after the other, those of others beside them. Reading, preprocessing, export
    /// and mask operations come on top. `None` if not all of them can be known.
    pub seconds: Option<f64>,
    /// Bytes at the peak, scans included; of this process and the cores together. `None` if not all can be known.
    pub memory_bytes: Option<u64>,
    /// What `seconds` follow from.
    pub multiply_adds_per_second: f64,
    /// How that is known.
    pub speed: SpeedSource,
}

/// A scan that figures hold for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScanEstimate {
    /// Its phase.
    pub phase: Phase,
    /// `None` if it is assumed.
    pub file: Option<String>,
    /// Voxels per axis, x, y, z.
    pub shape: [usize; 3],
    /// Millimeters between voxel centers, x, y, z.
    pub spacing: [f64; 3],
    /// Bytes of its voxels in memory.
    pub memory_bytes: u64,
    /// What is odd about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<WarningReport>,
}

/// What a step would cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepEstimate {
    /// Its name.
    pub step: String,
    /// What it is.
    pub kind: StepKind,
    /// Where it would run; `None` if it would be left out.
    pub place: Option<StepPlace>,
    /// Of a model or a sample: the scan's phase.
    pub phase: Option<Phase>,
    /// Why it would be left out.
    pub left_out: Option<String>,
    /// True if it looks at a part of the scan only: figures hold for all of it.
    pub at_most: bool,
    /// Places where a patch lies, those of a previous stage that is run first included.
    pub tiles: u64,
    /// Runs of the network: tiles times folds times mirrored copies.
    pub network_runs: u64,
    /// Of the network; `None` if a network is not built in. 0 for what is no model.
    pub seconds: Option<f64>,
    /// At the peak, besides the scan; `None` if a network is not built in. 0 for what is no model.
    pub memory_bytes: Option<u64>,
    /// Of a model: its folder, as named; with the quick profile, that of the quick model.
    pub model: Option<String>,
    /// Of an operation on masks: its name.
    pub operation: Option<String>,
    /// Labels of its mask; `None` for a sample, and if only a run can tell. Those of a step that is left out say
    /// `not_searched`.
    pub labels: Option<Vec<String>>,
    /// Files that will be saved, below the result folder. A name that ends in `/` is a folder for files that only the run can
    /// name.
    pub files: Vec<String>,
}

/// What a pipeline is, and what it would cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelineCheck {
    /// Its steps, before any scan is known.
    #[serde(flatten)]
    pub report: PipelineReport,
    /// For the scans of the request, or for an assumed one.
    pub estimate: CaseEstimate,
}

/// Says what [`run_case`](super::run_case) would do. The result folder is not looked at.
///
/// # Errors
/// [`CaseError`], as [`run_case`](super::run_case) before anything runs.
pub fn estimate_case(
    core: &Core,
    services: &CaseServices,
    request: &CaseRequest,
    cancel: &CancelToken,
) -> Result<CaseEstimate, CaseError> {
    let plan = Plan::new(core, services, request, cancel)?;
    estimate(core, services, &plan, cancel)
}

/// The same of a pipeline that is looked at: without scans, one of 512 × 512 × 400 voxels of 0.8 × 0.8 × 1.0 mm is assumed for
/// every phase. Paths of models start at `models`.
///
/// # Errors
/// As [`estimate_case`].
pub fn check_pipeline(
    core: &Core,
    services: &CaseServices,
    request: &CaseRequest,
    models: &Path,
    cancel: &CancelToken,
) -> Result<PipelineCheck, CaseError> {
    let plan = Plan::for_a_look(core, services, request, models, cancel)?;
    Ok(PipelineCheck {
        estimate: estimate(core, services, &plan, cancel)?,
        report: plan.report,
    })
}

fn estimate(
    core: &Core,
    services: &CaseServices,
    plan: &Plan,
    cancel: &CancelToken,
) -> Result<CaseEstimate, CaseError> {
    let speed = core.models().speed().speed();
    let steps = plan
        .steps
        .iter()
        .map(|step| of_step(core, services, plan, step, speed, cancel));
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    let used: BTreeSet<Phase> = steps.iter().filter_map(|step| step.phase).collect();
    let scans = plan.scans.iter();
    let scans = scans.filter(|(phase, scan)| !scan.is_assumed() || used.contains(phase));
    Ok(CaseEstimate {
        scans: scans.map(|(phase, scan)| of_scan(*phase, scan)).collect(),
        seconds: seconds(&steps),
        memory_bytes: memory_bytes(core, plan, &steps),
        steps,
        multiply_adds_per_second: speed.multiply_adds_per_second,
        speed: speed.source,
    })
}

fn of_scan(phase: Phase, scan: &PlannedScan) -> ScanEstimate {
    ScanEstimate {
        phase,
        file: (!scan.is_assumed()).then(|| scan.path.display().to_string()),
        shape: scan.frame.shape.xyz(),
        spacing: scan.frame.spacing.xyz(),
        memory_bytes: scan.voxel_bytes,
        warnings: scan.warnings.iter().map(WarningReport::from).collect(),
    }
}

fn of_step(
    core: &Core,
    services: &CaseServices,
    plan: &Plan,
    step: &PlannedStep,
    speed: Speed,
    cancel: &CancelToken,
) -> Result<StepEstimate, CaseError> {
    let nothing = StepEstimate {
        step: step.id().to_owned(),
        kind: step.kind(),
        place: step.place(services),
        phase: None,
        left_out: None,
        at_most: false,
        tiles: 0,
        network_runs: 0,
        seconds: Some(0.0),
        memory_bytes: Some(0),
        model: None,
        operation: None,
        labels: plan
            .labels
            .get(step.id())
            .filter(|labels| labels.is_some())
            .map(names),
        files: files(plan, step),
    };
    let of_pipeline = plan.pipeline.step(step.id());
    let nothing = match of_pipeline {
        Some(Step::Model(model)) => StepEstimate {
            model: Some(model.model.display().to_string()),
            ..nothing
        },
        Some(Step::Mask(mask)) => StepEstimate {
            operation: Some(mask.operation.clone()),
            ..nothing
        },
        Some(Step::Sample(_)) | None => nothing,
    };
    Ok(match step {
        PlannedStep::Skipped { reason, .. } => StepEstimate {
            left_out: Some(reason.clone()),
            ..nothing
        },
        PlannedStep::Mask(_) => nothing,
        PlannedStep::Sample(sample) => StepEstimate {
            phase: Some(sample.phase),
            ..nothing
        },
        PlannedStep::Model(model) => {
            let scan = &plan.scans[&model.phase].path;
            let failed = |error: CoreError| CaseError::from(error).at(&model.step.id);
            let cost = cost(core, model, scan, cancel).map_err(failed)?;
            StepEstimate {
                phase: Some(model.phase),
                at_most: model.step.crop.is_some(),
                tiles: cost.tiles,
                network_runs: cost.network_runs,
                seconds: cost.multiply_adds.map(|n| speed.seconds(n)),
                memory_bytes: cost.multiply_adds.map(|_| cost.peak_bytes),
                ..nothing
            }
        }
    })
}

/// What a step will save: its mask under each of its names, then what it writes beside that.
fn files(plan: &Plan, step: &PlannedStep) -> Vec<String> {
    let id = step.id();
    let beside = match step {
        PlannedStep::Skipped { .. } => return Vec::new(),
        PlannedStep::Model(_) => Vec::new(),
        PlannedStep::Mask(mask) if mask.artefacts => vec![format!("{id}/")],
        PlannedStep::Mask(_) => Vec::new(),
        PlannedStep::Sample(_) => SAMPLE_FILES.iter().map(|file| format!("{id}/{file}")).collect(),
    };
    let kept = plan.pipeline.save.iter().filter(|save| save.step == id);
    kept.flat_map(Save::files)
        .map(|(_, file)| file)
        .chain(beside)
        .collect()
}

/// Besides the scan.
fn cost(core: &Core, step: &PlannedModel, scan: &Path, cancel: &CancelToken) -> Result<ModelCost, CoreError> {
    let model = core.models().open(&step.run.model, cancel)?;
    // without a step that gives its mask, the previous stage runs first
    let previous = match (&model.description.previous_stage, &step.step.previous_stage) {
        (Some(stage), None) => Some(core.models().open_beside(&model, stage, cancel)?),
        _ => None,
    };
    let previous = previous.as_ref().map(|model| &model.description);
    let on_scan = step.run.on_grid(&model.description, previous, &step.grid);
    let cost = on_scan.cost(core.models().runtime().n_threads(), core.limits());
    cost.map_err(|error| CoreError::of_network(error, scan))
}

/// What this process will hold at its peak; `None` if not all of it can be known.
///
/// # Errors
/// [`CaseError`] of a model that cannot be opened.
pub(super) fn memory_here(core: &Core, plan: &Plan, cancel: &CancelToken) -> Result<Option<u64>, CaseError> {
    let (mut phases, mut needs) = (BTreeSet::new(), Vec::new());
    for step in &plan.steps {
        let PlannedStep::Model(model) = step else { continue };
        if !model.place.is_here() {
            continue;
        }
        let scan = &plan.scans[&model.phase].path;
        let failed = |error: CoreError| CaseError::from(error).at(&model.step.id);
        let cost = cost(core, model, scan, cancel).map_err(failed)?;
        if cost.multiply_adds.is_none() {
            return Ok(None); // a network of which the size is not known
        }
        phases.insert(model.phase);
        needs.push(cost.peak_bytes);
    }
    Ok(Some(of_process(core, plan, &phases, &needs)))
}

/// Scans, and what steps hold beside each other as far as the budget allows.
fn of_process(core: &Core, plan: &Plan, phases: &BTreeSet<Phase>, needs: &[u64]) -> u64 {
    let scans = phases.iter().map(|phase| plan.scans[phase].voxel_bytes);
    let scans = scans.fold(core.process_bytes(), u64::saturating_add);
    scans.saturating_add(together(needs, core.memory().capacity()))
}

/// Of the place that takes longest.
fn seconds(steps: &[StepEstimate]) -> Option<f64> {
    let mut by_place: BTreeMap<Option<&StepPlace>, f64> = BTreeMap::new();
    for step in steps {
        *by_place.entry(step.place.as_ref()).or_default() += step.seconds?;
    }
    Some(by_place.into_values().fold(0.0, f64::max))
}

/// Of all processes that hold scans: each with its scans, and what its steps hold beside each other as far as its budget
/// allows. One step that is larger than the budget runs alone.
fn memory_bytes(core: &Core, plan: &Plan, steps: &[StepEstimate]) -> Option<u64> {
    let mut by_place: BTreeMap<Option<&StepPlace>, (BTreeSet<Phase>, Vec<u64>)> = BTreeMap::new();
    for step in steps {
        let Some(phase) = step.phase else { continue };
        let (phases, needs) = by_place.entry(step.place.as_ref()).or_default();
        phases.insert(phase);
        needs.push(step.memory_bytes?);
    }
    let of_place = |(phases, needs): (BTreeSet<Phase>, Vec<u64>)| of_process(core, plan, &phases, &needs);
    Some(by_place.into_values().map(of_place).fold(0, u64::saturating_add))
}

fn together(needs: &[u64], budget: u64) -> u64 {
    let all = needs.iter().copied().fold(0, u64::saturating_add);
    let largest = needs.iter().copied().max().unwrap_or(0);
    all.min(budget.max(largest))
}

impl CaseEstimate {
    /// Of all scans, in order.
    pub fn warnings(&self) -> impl Iterator<Item = &WarningReport> {
        self.scans.iter().flat_map(|scan| &scan.warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_share_the_budget_and_one_that_is_larger_has_its_own() {
        assert_eq!(together(&[3, 4], 100), 7);
        assert_eq!(together(&[3, 4, 5], 8), 8);
        assert_eq!(together(&[3, 40], 8), 40);
        assert_eq!(together(&[], 8), 0);
    }
}
