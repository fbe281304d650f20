//! The steps of a case, each with its place; and what is left out.

use std::collections::BTreeMap;

use nephrite_kernel::ExpectedLabels;
use nephrite_nnunet::LabelDescription;
use nephrite_pipeline::{MaskStep, ModelStep, Pipeline, SampleStep, Step};
use nephrite_types::{CancelToken, Geometry, Phase};
use nephrite_volume::Reader;

use super::StepKind;
use super::phases::Chosen;
use super::scans::{OpenedScan, PlannedScan};
use super::step_labels::StepLabels;
use crate::case::CaseError;
use crate::core::Core;
use crate::masks::StepPlace;
use crate::memory::ScanIdentity;
use crate::model::{ModelChoice, OpenModel};
use crate::place::{CaseServices, Place};
use crate::segment::{ModelRun, PostprocessingChoice, PreviousStage, ScanInput};

/// One step, with its place.
#[derive(Clone)]
pub(in crate::case) enum PlannedStep {
    Model(Box<PlannedModel>),
    Mask(MaskStep),
    Sample(PlannedSample),
    Skipped {
        id: String,
        kind: StepKind,
        reason: String,
        /// That its mask would have had, as far as they are known.
        labels: Vec<LabelDescription>,
    },
}

/// A model on a scan.
#[derive(Clone)]
pub(in crate::case) struct PlannedModel {
    /// As the pipeline has it, but for the profile.
    pub(in crate::case) step: ModelStep,
    pub(in crate::case) phase: Phase,
    /// That its plans name.
    pub(in crate::case) reader: Reader,
    /// The scan as this reader sees it.
    pub(in crate::case) grid: Geometry,
    /// Without what other steps have to give.
    pub(in crate::case) run: ModelRun,
    pub(in crate::case) place: Place,
}

/// The crop of a scan around labels.
#[derive(Clone)]
pub(in crate::case) struct PlannedSample {
    pub(in crate::case) step: SampleStep,
    pub(in crate::case) phase: Phase,
    /// That of the first model on the scan, which is in memory then.
    pub(in crate::case) reader: Reader,
    pub(in crate::case) place: Place,
}

impl PlannedStep {
    pub(in crate::case) fn id(&self) -> &str {
        match self {
            PlannedStep::Model(model) => &model.step.id,
            PlannedStep::Mask(step) => &step.id,
            PlannedStep::Sample(sample) => &sample.step.id,
            PlannedStep::Skipped { id, .. } => id,
        }
    }

    /// Steps whose masks it waits for.
    pub(in crate::case) fn needs(&self) -> Vec<&str> {
        match self {
            PlannedStep::Model(model) => model.step.needs(),
            PlannedStep::Mask(step) => step.needs(),
            PlannedStep::Sample(sample) => sample.step.needs(),
            PlannedStep::Skipped { .. } => Vec::new(),
        }
    }

    pub(in crate::case) fn kind(&self) -> StepKind {
        match self {
            PlannedStep::Model(_) => StepKind::Model,
            PlannedStep::Mask(_) => StepKind::Mask,
            PlannedStep::Sample(_) => StepKind::Sample,
            PlannedStep::Skipped { kind, .. } => *kind,
        }
    }

    /// Where it runs; `None` if it is left out.
    pub(in crate::case) fn place(&self, services: &CaseServices) -> Option<StepPlace> {
        match self {
            PlannedStep::Model(model) => Some(model.place.stated()),
            PlannedStep::Mask(step) => Some(services.operations().place(&step.operation)),
            PlannedStep::Sample(sample) => Some(sample.place.stated()),
            PlannedStep::Skipped { .. } => None,
        }
    }
}

/// A step while the plan is made: where a sample is taken is known when all models are placed.
pub(super) enum Placed {
    Planned(PlannedStep),
    Sample(SampleStep),
}

impl Placed {
    fn id(&self) -> &str {
        match self {
            Placed::Planned(step) => step.id(),
            Placed::Sample(step) => &step.id,
        }
    }

    /// Of a model: the phase of its scan, and what reads it.
    pub(super) fn reader(&self) -> Option<(Phase, Reader)> {
        match self {
            Placed::Planned(PlannedStep::Model(model)) => Some((model.phase, model.reader)),
            _ => None,
        }
    }

    fn is_left_out(&self) -> bool {
        matches!(self, Placed::Planned(PlannedStep::Skipped { .. }))
    }
}

pub(super) fn model_choice(step: &ModelStep) -> ModelChoice {
    ModelChoice {
        folder: step.model.clone(),
        folds: step.folds.clone(),
        checkpoint: step.checkpoint,
        precision: step.precision,
    }
}

/// Places models and operations, and leaves out what has no scan or nothing to work on.
pub(super) fn place_steps(
    core: &Core,
    services: &CaseServices,
    pipeline: &Pipeline,
    labels: &StepLabels,
    chosen: &BTreeMap<String, Chosen>,
    scans: &BTreeMap<Phase, OpenedScan>,
    cancel: &CancelToken,
) -> Result<Vec<Placed>, CaseError> {
    let mut steps: Vec<Placed> = Vec::new();
    for step in pipeline.steps() {
        let left_out = |id: &str| steps.iter().any(|step| step.is_left_out() && step.id() == id);
        let planned = match step {
            Step::Model(step) => {
                let model = || {
                    let opened = core.models().open(&model_choice(step), cancel);
                    opened.map_err(|error| CaseError::from(error).at(&step.id))
                };
                let phase = chosen.get(&step.id).and_then(|chosen| chosen.phase);
                let without = step.needs().into_iter().find(|id| left_out(id));
                match (phase, without) {
                    (None, _) => skipped(step, reason_phase(step), model()?.description.labels.clone()),
                    (Some(_), Some(other)) => {
                        let reason = format!("step {other}, which it needs, is left out");
                        if !step.optional {
                            let nothing = CaseError::NothingToRun {
                                reasons: vec![reason],
                            };
                            return Err(nothing.at(&step.id));
                        }
                        skipped(step, reason, model()?.description.labels.clone())
                    }
                    (Some(phase), None) => planned_model(core, services, step, phase, &*model()?, scans)?,
                }
            }
            Step::Mask(step) => {
                let mut inputs = step.inputs.iter().flat_map(|input| &input.steps);
                if inputs.all(|id| left_out(id)) {
                    let reason = "all steps that it needs are left out".to_owned();
                    PlannedStep::Skipped {
                        id: step.id.clone(),
                        kind: StepKind::Mask,
                        reason,
                        labels: not_made(labels.get(&step.id)),
                    }
                } else {
                    PlannedStep::Mask(step.clone())
                }
            }
            Step::Sample(step) if left_out(&step.step) => PlannedStep::Skipped {
                id: step.id.clone(),
                kind: StepKind::Sample,
                reason: format!("step {}, which it needs, is left out", step.step),
                labels: Vec::new(),
            },
            Step::Sample(step) => {
                steps.push(Placed::Sample(step.clone()));
                continue;
            }
        };
        steps.push(Placed::Planned(planned));
    }
    if steps.iter().all(Placed::is_left_out) {
        let reasons = steps.iter().filter_map(|step| match step {
            Placed::Planned(PlannedStep::Skipped { id, reason, .. }) => Some(format!("{id}: {reason}")),
            _ => None,
        });
        return Err(CaseError::NothingToRun {
            reasons: reasons.collect(),
        });
    }
    Ok(steps)
}

/// The labels of a mask that is not made, as later steps name them.
fn not_made(labels: Option<&ExpectedLabels>) -> Vec<LabelDescription> {
    let labels = labels.into_iter().flatten().flatten();
    let labels = labels.map(|label| LabelDescription {
        id: label.id,
        name: label.name.clone(),
    });
    labels.collect()
}

fn reason_phase(step: &ModelStep) -> String {
    let phases: Vec<&str> = step.phases.iter().map(|phase| phase.name()).collect();
    format!("no scan of {}", phases.join(" or "))
}

fn skipped(step: &ModelStep, reason: String, labels: Vec<LabelDescription>) -> PlannedStep {
    PlannedStep::Skipped {
        id: step.id.clone(),
        kind: StepKind::Model,
        reason,
        labels,
    }
}

fn planned_model(
    core: &Core,
    services: &CaseServices,
    step: &ModelStep,
    phase: Phase,
    model: &OpenModel,
    scans: &BTreeMap<Phase, OpenedScan>,
) -> Result<PlannedStep, CaseError> {
    let scan = &scans[&phase]; // chosen among them
    let reader = model
        .reader()
        .map_err(|error| CaseError::from(error).at(&step.id))?;
    let grid = scan.header.geometry(reader);
    let grid = grid.map_err(|error| CaseError::from(error).at(&step.id))?;
    let input = ScanInput {
        path: scan.path.clone(),
        bytes: scan.identity.as_ref().map(ScanIdentity::size),
    };
    let run = ModelRun {
        model: model_choice(step),
        scans: vec![input],
        masks: Vec::new(),
        previous_stage: PreviousStage::Model,
        options: step.options,
        postprocessing: match step.postprocessing {
            true => PostprocessingChoice::FromModel,
            false => PostprocessingChoice::None,
        },
        crop: None,
        world: None, // known once all models of the case are
        probabilities: false,
        is_step: true,
    };
    Ok(PlannedStep::Model(Box::new(PlannedModel {
        place: services.of_model(core.root(), &step.model),
        step: step.clone(),
        phase,
        reader,
        grid,
        run,
    })))
}

/// The pipeline's phase, or that of the first model that runs.
pub(super) fn reference(
    pipeline: &Pipeline,
    steps: &[Placed],
    scans: &BTreeMap<Phase, PlannedScan>,
) -> Result<Phase, CaseError> {
    if let Some(phase) = pipeline.reference {
        return if scans.contains_key(&phase) {
            Ok(phase)
        } else {
            Err(CaseError::NoReference { phase })
        };
    }
    let first = steps.iter().find_map(|step| match step {
        Placed::Planned(PlannedStep::Model(model)) => Some(model.phase),
        _ => None,
    });
    first.ok_or_else(|| CaseError::NothingToRun {
        reasons: vec!["no model runs".to_owned()],
    })
}

/// Places samples: each is taken where its scan is in memory, in the core that segments it, if there is one.
pub(super) fn place_samples(
    steps: Vec<Placed>,
    reference: Phase,
    scans: &BTreeMap<Phase, PlannedScan>,
) -> Result<Vec<PlannedStep>, CaseError> {
    let models = steps.iter().rev().filter_map(|step| match step {
        // the first model of a phase wins
        Placed::Planned(PlannedStep::Model(model)) => {
            Some((model.phase, (model.reader, model.place.clone())))
        }
        _ => None,
    });
    let owners: BTreeMap<Phase, (Reader, Place)> = models.collect();
    let placed = steps.into_iter().map(|step| match step {
        Placed::Planned(step) => Ok(step),
        Placed::Sample(step) => {
            let phase = step.phase.unwrap_or(reference);
            let Some(scan) = scans.get(&phase) else {
                return Err(CaseError::MissingPhase {
                    step: step.id,
                    accepted: vec![phase],
                    given: scans.keys().copied().collect(),
                });
            };
            let owner = owners.get(&phase).cloned();
            let (reader, place) = owner.unwrap_or((scan.world.plain_reader(), Place::Here));
            Ok(PlannedStep::Sample(PlannedSample {
                step,
                phase,
                reader,
                place,
            }))
        }
    });
    placed.collect()
}
