//! The pipeline of a request: its file, or a list of models; all of it or some steps; as it stands, or for a first look.

use std::collections::{BTreeMap, BTreeSet};

use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_pipeline::{ModelStep, Pipeline};
use nephrite_types::{CancelToken, Phase, SegmentationOptions};

use super::scans::OpenedScan;
use super::steps::model_choice;
use crate::case::{BareModel, CaseError, CasePipeline, CaseRequest, Profile};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::{TextFile, read_small_file};
use crate::model::plain_name;

/// A pipeline, and the files that say it.
pub(super) struct OpenPipeline {
    pub(super) pipeline: Pipeline,
    /// The pipeline file.
    pub(super) file: Option<TextFile>,
    /// That of codes, of models without a pipeline file.
    pub(super) codes: Option<TextFile>,
}

pub(super) fn pipeline(
    core: &Core,
    request: &CaseRequest,
    scans: &BTreeMap<Phase, OpenedScan>,
) -> Result<OpenPipeline, CaseError> {
    match &request.pipeline {
        CasePipeline::File(path) => {
            let bytes = read_small_file(core.root(), path, core.limits().max_json_bytes)?;
            let file = TextFile::new(path, bytes).ok_or_else(|| CaseError::NotText { path: path.clone() })?;
            let pipeline = Pipeline::parse(&file.text).map_err(|faults| CaseError::Pipeline {
                path: path.clone(),
                faults,
            })?;
            Ok(OpenPipeline {
                pipeline,
                file: Some(file),
                codes: None,
            })
        }
        CasePipeline::Models { models, objects } => {
            let mut taken = BTreeSet::new();
            let steps = models.iter().map(|model| bare_step(model, scans, &mut taken));
            let steps = steps.collect::<Result<Vec<_>, _>>()?;
            let mut pipeline = Pipeline::from_models(steps).map_err(CaseError::from)?;
            let formats = objects.all_formats().map_err(CoreError::from)?;
            for save in &mut pipeline.save {
                save.formats.clone_from(&formats);
            }
            let (output, codes) = objects.read(core)?;
            pipeline.dicom = output;
            Ok(OpenPipeline {
                pipeline,
                file: None,
                codes,
            })
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
    let name = plain_name(&bare.model);
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
