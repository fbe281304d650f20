//! What a pipeline will cost, from headers of scans and models.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nephrite_nnunet::ModelDescription;
use nephrite_pipeline::{ModelStep, Pipeline, Step};
use nephrite_types::{Affine, CancelToken, Geometry, Phase, Shape3, Spacing};
use nephrite_volume::{Reader, ScanHeader, World};
use serde::Serialize;

use crate::case_world::{case_world, place_scan};
use crate::estimate::{ModelEstimate, PROCESS_BYTES, Speed, estimate_model};
use crate::open_model::OpenModel;
use crate::segment::on_scan;
use crate::{Core, CoreError, ModelChoice, StepFault, WarningReport};

/// What a pipeline will cost. Figures are rough: they hold for the scans named, and for a machine that does nothing else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelineEstimate {
    /// The scans that the figures hold for.
    pub scans: Vec<ScanEstimate>,
    /// Models, in the order in which they run.
    pub steps: Vec<StepCost>,
    /// Of all networks, one after the other; reading, preprocessing, export and mask operations are not in it. `None` if
    /// not all of them can be known.
    pub seconds: Option<f64>,
    /// At the peak: the process, all scans, and the model steps that may run beside each other. `None` if not all can be known.
    pub memory_bytes: Option<u64>,
    /// What `seconds` follow from.
    pub multiply_adds_per_second: f64,
    /// `measured` in this process, or `calibrated`: guessed from one convolution.
    pub speed: &'static str,
}

/// A scan that figures hold for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScanEstimate {
    /// `None` if it stands for every phase.
    pub phase: Option<&'static str>,
    /// `None` if it is assumed.
    pub file: Option<String>,
    /// Voxels per axis, x, y, z.
    pub shape: [usize; 3],
    /// Millimetres between voxel centres, x, y, z.
    pub spacing: [f64; 3],
    /// In memory.
    pub memory_bytes: u64,
    /// What is odd about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<WarningReport>,
}

/// What a model step will cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepCost {
    /// Its name.
    pub id: String,
    /// Of the scan it would run on; `None` for the assumed scan.
    pub phase: Option<&'static str>,
    /// Why it would be left out.
    pub left_out: Option<String>,
    /// True if it looks at a part of the scan only: figures hold for all of it.
    pub at_most: bool,
    /// Places where a patch lies.
    pub tiles: u64,
    /// Runs of the network: tiles times folds times mirrorings.
    pub network_runs: u64,
    /// Of the network; `None` if the network is not built in.
    pub seconds: Option<f64>,
    /// At the peak, besides the scan; `None` if the network is not built in.
    pub memory_bytes: Option<u64>,
}

/// Stands in where no scan is named: an abdomen in thin slices.
const ASSUMED_SHAPE: [usize; 3] = [400, 512, 512];
const ASSUMED_SPACING: [f64; 3] = [1.0, 0.8, 0.8];
const ASSUMED_BYTES_PER_VOXEL: u64 = 2;

/// Estimates a pipeline that [`check_pipeline`](crate::check_pipeline) lets pass, for scans by phase, or for an assumed
/// scan of 512 × 512 × 400 voxels of 0.8 × 0.8 × 1.0 mm if there is none. Reads headers only; takes about 0.1 s to find out
/// how fast this machine is.
///
/// # Errors
/// [`CoreError`] for a scan that cannot be read; [`CoreError::PipelineStep`] with [`StepFault::MissingPhase`] for a step
/// that no scan is for, unless it is optional.
pub fn estimate_pipeline(
    core: &Core,
    pipeline: &Pipeline,
    folder: &Path,
    scans: &BTreeMap<Phase, PathBuf>,
    cancel: &CancelToken,
) -> Result<PipelineEstimate, CoreError> {
    let mut said = Vec::new();
    let headers = scan_headers(core, scans)?;
    let readers = readers(core, pipeline, folder, scans, cancel)?;
    let case = case_world(readers.iter().map(|(_, reader)| *reader));
    for (phase, (path, header)) in &headers {
        let of_scan = readers.iter().filter(|(of, _)| of == phase);
        let of_scan: Vec<Reader> = of_scan.map(|(_, reader)| *reader).collect();
        said.push(scan_estimate(*phase, path, header, case, &of_scan)?);
    }
    if scans.is_empty() {
        said.push(assumed_scan());
    }
    let speed = core.speed.speed();
    let mut steps: Vec<StepCost> = Vec::new();
    let mut left_out: BTreeSet<&str> = BTreeSet::new();
    for step in pipeline.steps() {
        let Step::Model(step) = step else { continue };
        cancel.check()?;
        let failed = |fault| CoreError::PipelineStep {
            step: step.id.clone(),
            fault,
        };
        let needs = Step::Model(step.clone());
        let without = needs.needs().into_iter().find(|id| left_out.contains(id));
        let phase = step
            .phases
            .iter()
            .copied()
            .find(|phase| scans.contains_key(phase));
        let reason = match (phase, without) {
            (_, Some(other)) => Some(format!("step {other}, which it needs, is left out")),
            (None, None) if !scans.is_empty() => {
                let fault = StepFault::MissingPhase {
                    accepted: step.phases.clone(),
                    given: scans.keys().copied().collect(),
                };
                if !step.optional {
                    return Err(failed(fault));
                }
                Some(fault.to_string())
            }
            _ => None,
        };
        if let Some(reason) = reason {
            left_out.insert(&step.id);
            steps.push(StepCost {
                id: step.id.clone(),
                phase: None,
                left_out: Some(reason),
                at_most: false,
                tiles: 0,
                network_runs: 0,
                seconds: Some(0.0),
                memory_bytes: Some(0),
            });
            continue;
        }
        let scan = phase.and_then(|phase| headers.get(&phase));
        let cost = step_cost(core, step, folder, scan, speed, cancel);
        steps.push(StepCost {
            phase: phase.map(Phase::name),
            ..cost.map_err(|error| failed(StepFault::Model(Box::new(error))))?
        });
    }
    let scan_bytes = said
        .iter()
        .fold(0u64, |n, scan| n.saturating_add(scan.memory_bytes));
    let memory = together(&steps, core.memory.capacity());
    Ok(PipelineEstimate {
        scans: said,
        seconds: steps.iter().map(|step| step.seconds).sum(),
        memory_bytes: memory.map(|bytes| bytes.saturating_add(scan_bytes).saturating_add(PROCESS_BYTES)),
        steps,
        multiply_adds_per_second: speed.multiply_adds_per_second,
        speed: speed.source,
    })
}

/// Steps run beside each other as far as their budget allows; one that is larger runs alone.
fn together(steps: &[StepCost], budget: u64) -> Option<u64> {
    let each: Vec<u64> = steps
        .iter()
        .map(|step| step.memory_bytes)
        .collect::<Option<_>>()?;
    let all = each.iter().fold(0u64, |n, bytes| n.saturating_add(*bytes));
    let largest = each.iter().copied().max().unwrap_or(0);
    Some(all.min(budget.max(largest)))
}

fn step_cost(
    core: &Core,
    step: &ModelStep,
    folder: &Path,
    scan: Option<&(PathBuf, ScanHeader)>,
    speed: Speed,
    cancel: &CancelToken,
) -> Result<StepCost, CoreError> {
    let model = OpenModel::open(core, &model_choice(step, folder), cancel)?;
    let geometry = match scan {
        Some((_, header)) => header.geometry(model.reader()?)?,
        None => assumed_geometry(),
    };
    let of = |model: &ModelDescription| -> Result<ModelEstimate, CoreError> {
        let (mirroring, step_size) = (step.options.mirroring, step.options.tile_step_size);
        let estimate = estimate_model(model, &geometry, mirroring, step_size, speed, &core.limits);
        estimate.map_err(|error| match scan {
            Some((path, _)) => on_scan(error, path),
            None => error.into(),
        })
    };
    let mut cost = of(&model.description)?;
    // Without a step that gives its mask, the previous stage runs first.
    if let (Some(stage), None) = (&model.description.previous_stage, &step.previous_stage) {
        let first = of(&model.open_beside(core, stage, cancel)?.description)?;
        cost.runs.tiles = cost.runs.tiles.saturating_add(first.runs.tiles);
        cost.runs.runs = cost.runs.runs.saturating_add(first.runs.runs);
        cost.seconds = cost.seconds.zip(first.seconds).map(|(a, b)| a + b);
        cost.memory_bytes = cost.memory_bytes.zip(first.memory_bytes).map(|(a, b)| a.max(b));
    }
    Ok(StepCost {
        id: step.id.clone(),
        phase: None,
        left_out: None,
        at_most: step.crop.is_some(),
        tiles: cost.runs.tiles,
        network_runs: cost.runs.runs,
        seconds: cost.seconds,
        memory_bytes: cost.memory_bytes,
    })
}

fn scan_headers(
    core: &Core,
    scans: &BTreeMap<Phase, PathBuf>,
) -> Result<BTreeMap<Phase, (PathBuf, ScanHeader)>, CoreError> {
    let header = |(phase, path): (&Phase, &PathBuf)| {
        let file = core.root.open_file(path)?;
        let header = ScanHeader::read(file, &path.to_string_lossy(), &core.limits)?;
        Ok((*phase, (path.clone(), header)))
    };
    scans.iter().map(header).collect()
}

/// The readers of the models that would run, with the phases of their scans. What a step lacks is for others to say.
fn readers(
    core: &Core,
    pipeline: &Pipeline,
    folder: &Path,
    scans: &BTreeMap<Phase, PathBuf>,
    cancel: &CancelToken,
) -> Result<Vec<(Phase, Reader)>, CoreError> {
    let mut readers = Vec::new();
    for step in pipeline.steps() {
        let Step::Model(step) = step else { continue };
        let mut phases = step.phases.iter().copied();
        let Some(phase) = phases.find(|phase| scans.contains_key(phase)) else {
            continue;
        };
        let model = OpenModel::open(core, &model_choice(step, folder), cancel);
        let reader = model.and_then(|model| model.reader());
        let failed = |error| CoreError::PipelineStep {
            step: step.id.clone(),
            fault: StepFault::Model(Box::new(error)),
        };
        readers.push((phase, reader.map_err(failed)?));
    }
    Ok(readers)
}

fn model_choice(step: &ModelStep, folder: &Path) -> ModelChoice {
    ModelChoice {
        folder: folder.join(&step.model),
        folds: step.folds.clone(),
        checkpoint: step.checkpoint,
    }
}

fn scan_estimate(
    phase: Phase,
    path: &Path,
    header: &ScanHeader,
    case: World,
    readers: &[Reader],
) -> Result<ScanEstimate, CoreError> {
    let place = place_scan(header, &path.to_string_lossy(), case, readers)?;
    let Geometry { shape, spacing, .. } = place.frame;
    let stored = header.voxel_type()?;
    Ok(ScanEstimate {
        phase: Some(phase.name()),
        file: Some(path.display().to_string()),
        shape: shape.xyz(),
        spacing: spacing.xyz(),
        memory_bytes: (shape.n_voxels() as u64).saturating_mul(stored.n_bytes() as u64),
        warnings: place.warnings.iter().map(WarningReport::from).collect(),
    })
}

fn assumed_scan() -> ScanEstimate {
    let Geometry { shape, spacing, .. } = assumed_geometry();
    ScanEstimate {
        phase: None,
        file: None,
        shape: shape.xyz(),
        spacing: spacing.xyz(),
        memory_bytes: shape.n_voxels() as u64 * ASSUMED_BYTES_PER_VOXEL,
        warnings: Vec::new(),
    }
}

fn assumed_geometry() -> Geometry {
    let spacing = Spacing::new(ASSUMED_SPACING).expect("positive");
    Geometry {
        shape: Shape3::new(ASSUMED_SHAPE).expect("not empty"),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(memory_bytes: Option<u64>) -> StepCost {
        StepCost {
            id: "a".to_owned(),
            phase: None,
            left_out: None,
            at_most: false,
            tiles: 1,
            network_runs: 1,
            seconds: Some(1.0),
            memory_bytes,
        }
    }

    #[test]
    fn steps_share_the_budget_and_one_that_is_larger_has_its_own() {
        let check = |bytes: &[u64], budget, expected| {
            let steps: Vec<StepCost> = bytes.iter().map(|n| step(Some(*n))).collect();
            assert_eq!(together(&steps, budget), Some(expected), "{bytes:?}");
        };
        check(&[3, 4], 100, 7);
        check(&[3, 4, 5], 8, 8);
        check(&[3, 40], 8, 40);
        check(&[], 8, 0);
        assert_eq!(together(&[step(Some(1)), step(None)], 8), None);
    }

    #[test]
    fn the_assumed_scan_is_what_the_documentation_says() {
        let scan = assumed_scan();
        assert_eq!((scan.shape, scan.spacing), ([512, 512, 400], [0.8, 0.8, 1.0]));
        assert_eq!(scan.memory_bytes, 512 * 512 * 400 * 2);
    }
}
