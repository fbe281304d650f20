//! The pipeline of a request: its file, or a list of models; all of it or some steps; as it stands, or for a first look.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_pipeline::{ModelStep, Pipeline};
use nephrite_types::{CancelToken, Phase, SegmentationOptions};
use nephrite_volume::FileHash;

use super::scans::OpenedScan;
use super::steps::model_choice;
use crate::case::{BareModel, CaseError, CasePipeline, CaseRequest, Profile};
use crate::core::Core;
use crate::memory::read_small_file;

/// A pipeline file as it was read.
pub(in crate::case) struct PipelineFile {
    pub(in crate::case) path: PathBuf,
    pub(in crate::case) text: String,
    pub(in crate::case) sha256: String,
}

pub(super) fn pipeline(
    core: &Core,
    request: &CaseRequest,
    scans: &BTreeMap<Phase, OpenedScan>,
) -> Result<(Pipeline, Option<PipelineFile>), CaseError> {
    match &request.pipeline {
        CasePipeline::File(path) => {
            let bytes = read_small_file(core.root(), path, core.limits().max_json_bytes)?;
            let sha256 = FileHash::of(&bytes).to_string();
            let text = String::from_utf8(bytes).map_err(|_| CaseError::NotText { path: path.clone() })?;
            let pipeline = Pipeline::parse(&text).map_err(|faults| CaseError::Pipeline {
                path: path.clone(),
                faults,
            })?;
            let file = PipelineFile {
                path: path.clone(),
                text,
                sha256,
            };
            Ok((pipeline, Some(file)))
        }
        CasePipeline::Models(models) => {
            let mut taken = BTreeSet::new();
            let steps = models.iter().map(|model| bare_step(model, scans, &mut taken));
            let steps = steps.collect::<Result<Vec<_>, _>>()?;
            Ok((Pipeline::from_models(steps).map_err(CaseError::from)?, None))
        }
    }
}

/// A model by itself is a step that accepts the phase it is given.
fn bare_step(
    bare: &BareModel,
    scans: &BTreeMap<Phase, OpenedScan>,
    taken: &mut BTreeSet<String>,
) -> Result<ModelStep, CaseError> {
    let given: Vec<Phase> = scans.keys().copied().collect();
    let phase = match (bare.phase, given.as_slice()) {
        (Some(phase), _) => phase,
        (None, [only]) => *only,
        (None, _) => {
            return Err(CaseError::ModelPhase {
                model: bare.model.clone(),
                given,
            });
        }
    };
    let name = bare_name(&bare.model);
    let mut id = name.clone();
    let mut n = 2;
    while !taken.insert(id.clone()) {
        id = format!("{name}-{n}");
        n += 1;
    }
    Ok(ModelStep {
        id,
        model: bare.model.clone(),
        quick_model: None,
        phases: vec![phase],
        optional: false,
        folds: FoldSelection::Available,
        checkpoint: CheckpointKind::Final,
        precision: None,
        options: SegmentationOptions::default(),
        postprocessing: false,
        crop: None,
        previous_stage: None,
        channels: Vec::new(),
    })
}

/// `Dataset902_DemoKidney/nnUNetTrainer__nnUNetPlans__3d_fullres` is `demokidney`.
fn bare_name(model: &Path) -> String {
    let parts: Vec<String> = model
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let dataset = parts
        .iter()
        .rev()
        .find_map(|part| part.strip_prefix("Dataset")?.split_once('_'));
    let name = dataset.map_or_else(
        || parts.last().cloned().unwrap_or_default(),
        |(_, name)| name.to_owned(),
    );
    let plain: String = name
        .to_ascii_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(48)
        .collect();
    if plain.is_empty() {
        "model".to_owned()
    } else {
        plain
    }
}

/// The same pipeline for a first look.
pub(super) fn quick(core: &Core, pipeline: &Pipeline, cancel: &CancelToken) -> Result<Pipeline, CaseError> {
    pipeline.clone().try_map_models(|mut step| {
        if let Some(model) = step.quick_model.take() {
            step.model = model;
            step.folds = FoldSelection::Available;
        }
        let model = (core.models().open(&model_choice(&step), cancel))
            .map_err(|error| CaseError::from(error).at(&step.id))?;
        let first = model.description.folds.first().and_then(|fold| {
            let name = fold.strip_prefix("fold_")?;
            name.parse().ok()
        });
        if let Some(fold) = first {
            step.folds = FoldSelection::List(vec![fold]);
        }
        step.options.mirroring = false;
        step.options.tile_step_size = step.options.tile_step_size.max(Profile::QUICK_TILE_STEP);
        Ok(step)
    })
}
