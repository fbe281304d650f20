//! What a request would run, and what that would cost. Reads headers only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nephrite_types::{CancelToken, Phase, Warning};
use nephrite_volume::inspect;

use super::plan::{Plan, PlannedStep, at};
use super::{CaseRequest, CaseServices};
use crate::estimate::PROCESS_BYTES;
use crate::segment::on_scan;
use crate::{Core, CoreError, SegmentOptions, estimate_model, inspect_model};

/// What a case would cost.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseEstimate {
    /// In the order in which they run.
    pub steps: Vec<StepEstimate>,
    /// Of networks; those of one process one after the other. Reading, export and mask operations come on top, and a crop
    /// makes it less.
    pub seconds: f64,
    /// Bytes at the peak, scans included; of this process and the cores together.
    pub memory_bytes: u64,
    /// `measured` on runs of this process, or `calibrated` by a short computation.
    pub speed: &'static str,
    /// What is odd about the scans.
    pub warnings: Vec<Warning>,
}

/// What a step would cost.
#[derive(Debug, Clone, PartialEq)]
pub struct StepEstimate {
    /// Its name.
    pub step: String,
    /// `model`, `mask` or `sample`.
    pub kind: &'static str,
    /// Where it would run.
    pub place: String,
    /// Of a model: the scan's phase.
    pub phase: Option<&'static str>,
    /// Of a model: runs of the network.
    pub tiles: u64,
    /// 0 for what is not estimated.
    pub seconds: f64,
    /// Besides the scan.
    pub memory_bytes: u64,
    /// Why it would be left out.
    pub skipped: Option<String>,
}

/// Says what [`run_case`](super::run_case) would do. The result folder is not looked at.
///
/// # Errors
/// [`CoreError`], as [`run_case`](super::run_case) before anything runs.
pub fn estimate_case(
    core: &Core,
    services: &CaseServices,
    request: &CaseRequest,
    cancel: &CancelToken,
) -> Result<CaseEstimate, CoreError> {
    let plan = Plan::new(core, services, request, cancel)?;
    let speed = core.speed.speed();
    let mut steps = Vec::new();
    // by place: its scans, and what its model steps need
    let mut places: BTreeMap<String, (BTreeSet<Phase>, Vec<u64>)> = BTreeMap::new();
    for step in &plan.steps {
        let mut estimate = StepEstimate {
            step: step.id().to_owned(),
            kind: "model",
            place: step.place(services),
            phase: None,
            tiles: 0,
            seconds: 0.0,
            memory_bytes: 0,
            skipped: None,
        };
        match step {
            PlannedStep::Skipped { reason, .. } => estimate.skipped = Some(reason.clone()),
            PlannedStep::Mask(_) => estimate.kind = "mask",
            PlannedStep::Sample(sample) => {
                estimate.kind = "sample";
                estimate.phase = Some(sample.phase.name());
                places
                    .entry(estimate.place.clone())
                    .or_default()
                    .0
                    .insert(sample.phase);
            }
            PlannedStep::Model(model) => {
                let SegmentOptions {
                    mirroring,
                    tile_step_size,
                    ..
                } = model.request.options;
                let description = inspect_model(core, &model.request.model, cancel)?;
                let cost = estimate_model(
                    &description,
                    &model.grid,
                    mirroring,
                    tile_step_size,
                    speed,
                    &core.limits,
                );
                let scan = &plan.scans[&model.phase].path;
                let cost = cost.map_err(|error| at(&model.step.id, on_scan(error, scan)))?;
                estimate.phase = Some(model.phase.name());
                estimate.tiles = cost.runs.runs;
                estimate.seconds = cost.seconds.unwrap_or(0.0);
                estimate.memory_bytes = cost.memory_bytes.unwrap_or(0);
                let place = places.entry(estimate.place.clone()).or_default();
                place.0.insert(model.phase);
                place.1.push(estimate.memory_bytes);
            }
        }
        steps.push(estimate);
    }
    let mut memory_bytes = 0;
    for (phases, needs) in places.values() {
        memory_bytes += PROCESS_BYTES;
        for phase in phases {
            memory_bytes += scan_bytes(core, &plan.scans[phase].path)?;
        }
        let largest = needs.iter().copied().max().unwrap_or(0);
        let together: u64 = needs.iter().sum();
        memory_bytes += together.min(core.memory.capacity().max(largest));
    }
    Ok(CaseEstimate {
        // networks of one process run one after the other, those of other cores beside them
        seconds: by_place(&steps).into_values().fold(0.0, f64::max),
        steps,
        memory_bytes,
        speed: speed.source,
        warnings: plan.warnings,
    })
}

fn by_place(steps: &[StepEstimate]) -> BTreeMap<&str, f64> {
    let mut seconds = BTreeMap::new();
    for step in steps {
        *seconds.entry(step.place.as_str()).or_default() += step.seconds;
    }
    seconds
}

/// Of the voxels in memory.
fn scan_bytes(core: &Core, path: &Path) -> Result<u64, CoreError> {
    let info = inspect(core.root.open_file(path)?, &path.to_string_lossy(), &core.limits)?;
    let voxels = info.dims.iter().take(3).product::<u64>();
    Ok(voxels.saturating_mul(info.voxel_type.n_bytes() as u64))
}
