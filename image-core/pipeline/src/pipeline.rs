//! A pipeline whose steps, phases and names fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use nephrite_kernel::{ParameterValue, is_name};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::{Phase, SegmentationOptions};

use crate::{Fault, PipelineFault, order, read};

/// A pipeline that contradicts nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// The phase whose scan gives the grid that masks of all phases come together on; `None` is that of the first model.
    pub reference: Option<Phase>,
    /// Odd geometry of a scan (a header that contradicts itself, for one) is an error; a warning otherwise.
    pub strict_geometry: bool,
    /// Every step after those that it needs.
    steps: Vec<Step>,
    /// What is kept; at least one, unless there are samples.
    pub save: Vec<Save>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A model on the scan of a phase.
    Model(ModelStep),
    /// An operation on masks.
    Mask(MaskStep),
    /// The crop of a scan around labels.
    Sample(SampleStep),
}

/// A model on the scan of a phase.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelStep {
    /// Its name in the pipeline.
    pub id: String,
    /// Folder of the trained model.
    pub model: PathBuf,
    /// Folder that stands in for `model` where a first look is wanted, such as that of a lower resolution.
    pub quick_model: Option<PathBuf>,
    /// Phases that it was made for, the most wanted first; at least one.
    pub phases: Vec<Phase>,
    /// True if the step is left out where no scan has such a phase.
    pub optional: bool,
    /// Which folds are averaged.
    pub folds: FoldSelection,
    /// Which checkpoint of each fold.
    pub checkpoint: CheckpointKind,
    /// How its mask is made.
    pub options: SegmentationOptions,
    /// Apply the postprocessing file in the model's folder.
    pub postprocessing: bool,
    /// Only this part of the scan is looked at.
    pub crop: Option<Crop>,
    /// The step whose mask is that of the cascade's previous stage.
    pub previous_stage: Option<String>,
    /// Masks that are channels of the network, after the scan.
    pub channels: Vec<MaskChannel>,
}

/// Where in the scan a model looks: the box around labels of another step's mask, and a margin.
#[derive(Debug, Clone, PartialEq)]
pub struct Crop {
    /// The other step.
    pub step: String,
    /// Names of labels; all of them if empty.
    pub labels: Vec<String>,
    /// Around the box, mm; not negative.
    pub margin_mm: f64,
}

/// A label of another step's mask as a channel of the network: 1 inside, 0 outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskChannel {
    /// The other step.
    pub step: String,
    /// Name of the label.
    pub label: String,
}

/// An operation on masks.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskStep {
    /// Its name in the pipeline.
    pub id: String,
    /// Name of the operation.
    pub operation: String,
    /// Masks by name of the operation's input.
    pub inputs: Vec<MaskInput>,
    /// By name; checked against the operation when it is known.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// True if its files go to the results.
    pub artefacts: bool,
}

/// What goes into one input of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskInput {
    /// Of the operation.
    pub name: String,
    /// Steps whose masks go in, in order; at least one.
    pub steps: Vec<String>,
}

/// The scan and a mask, both cut to the box around labels, and a picture of them: files in a folder named after the step.
/// It makes no mask, so that no other step can need it.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleStep {
    /// Its name in the pipeline, and that of its folder.
    pub id: String,
    /// The step whose mask it shows.
    pub step: String,
    /// Names of labels; all of them if empty.
    pub labels: Vec<String>,
    /// Around the box, mm; not negative.
    pub margin_mm: f64,
    /// Whose scan is cut; `None` is the reference's.
    pub phase: Option<Phase>,
}

/// A mask that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Save {
    /// The step that makes it.
    pub step: String,
    /// A plain file name that ends in `.nii.gz` or `.nii`; no other mask has it.
    pub file: String,
}

impl Step {
    /// Its name in the pipeline.
    pub fn id(&self) -> &str {
        match self {
            Step::Model(step) => &step.id,
            Step::Mask(step) => &step.id,
            Step::Sample(step) => &step.id,
        }
    }

    /// The steps whose masks it needs, each once.
    pub fn needs(&self) -> Vec<&str> {
        match self {
            Step::Model(step) => step.needs(),
            Step::Mask(step) => step.needs(),
            Step::Sample(step) => step.needs(),
        }
    }
}

impl ModelStep {
    /// The steps whose masks it needs, each once.
    pub fn needs(&self) -> Vec<&str> {
        let crop = self.crop.iter().map(|crop| crop.step.as_str());
        let previous = self.previous_stage.iter().map(String::as_str);
        let channels = self.channels.iter().map(|channel| channel.step.as_str());
        each_once(crop.chain(previous).chain(channels))
    }
}

impl MaskStep {
    /// The steps whose masks it needs, each once.
    pub fn needs(&self) -> Vec<&str> {
        let inputs = self.inputs.iter();
        each_once(inputs.flat_map(|input| input.steps.iter().map(String::as_str)))
    }
}

impl SampleStep {
    /// The step whose mask it needs.
    pub fn needs(&self) -> Vec<&str> {
        vec![&self.step]
    }
}

fn each_once<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    ids.filter(|id| seen.insert(*id)).collect()
}

impl Pipeline {
    /// Reads a pipeline file.
    ///
    /// # Errors
    /// Every fault, in the order of lines. Of a text that is no TOML, the first.
    pub fn parse(text: &str) -> Result<Pipeline, Vec<Fault>> {
        let draft = read::draft(text)?;
        let mut faults = draft.faults;
        no_masks(&draft.steps, &draft.save, &mut faults);
        let steps = order::sorted(draft.steps, &draft.lines, &mut faults);
        for (save, line) in &draft.save {
            if !steps.iter().any(|step| step.id() == save.step) && !draft.lines.contains_key(&save.step) {
                faults.push(Fault {
                    line: *line,
                    fault: PipelineFault::UnknownStep {
                        key: "save.step".to_owned(),
                        step: save.step.clone(),
                    },
                });
            }
        }
        if !faults.is_empty() {
            faults.sort_by_key(|fault| fault.line);
            return Err(faults);
        }
        Ok(Pipeline {
            reference: draft.reference,
            strict_geometry: draft.strict_geometry,
            steps,
            save: draft.save.into_iter().map(|(save, _)| save).collect(),
        })
    }

    /// Models without a file. Each keeps its mask as `<id>.nii.gz`; masks come together on the grid of the first.
    ///
    /// # Errors
    /// The first fault: no model, a name that is none or is there twice, a model without phases, an unknown step, a cycle.
    pub fn from_models(models: Vec<ModelStep>) -> Result<Pipeline, PipelineFault> {
        if models.is_empty() {
            return Err(PipelineFault::NoSteps);
        }
        let mut lines = BTreeMap::new();
        let mut save = Vec::with_capacity(models.len());
        for model in &models {
            if !is_name(&model.id) {
                return Err(PipelineFault::Value {
                    key: "models.id".to_owned(),
                    found: format!("{:.64?}", model.id),
                    expected: read::STEP_NAME,
                });
            }
            if model.phases.is_empty() {
                return Err(PipelineFault::Missing {
                    key: format!("phases of step {}", model.id),
                });
            }
            if lines.insert(model.id.clone(), 1).is_some() {
                return Err(PipelineFault::StepTwice {
                    id: model.id.clone(),
                    first: None,
                });
            }
            save.push(own_file(&model.id));
        }
        let mut faults = Vec::new();
        let steps = models.into_iter().map(|model| (Step::Model(model), 1)).collect();
        let steps = order::sorted(steps, &lines, &mut faults);
        match faults.into_iter().next() {
            Some(Fault { fault, .. }) => Err(fault),
            None => Ok(Pipeline {
                reference: None,
                strict_geometry: false,
                steps,
                save,
            }),
        }
    }

    /// The same with other models: what `change` makes of each. Names and needs of steps must stay.
    ///
    /// # Errors
    /// What `change` says.
    pub fn try_map_models<E>(
        mut self,
        mut change: impl FnMut(ModelStep) -> Result<ModelStep, E>,
    ) -> Result<Pipeline, E> {
        for step in &mut self.steps {
            if let Step::Model(model) = step {
                *model = change(model.clone())?;
            }
        }
        Ok(self)
    }

    /// Every step after those that it needs; otherwise in the order of the file.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &Step> {
        self.steps.iter()
    }

    /// The step of this name.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id() == id)
    }

    /// The same with only the steps that are named and those that they need; of what is saved, only theirs. Steps that
    /// are named, have a mask and are not saved are kept as `<id>.nii.gz`.
    ///
    /// # Errors
    /// [`PipelineFault::UnknownStep`] for the first name that is no step; [`PipelineFault::FileTwice`] if another step's
    /// mask is saved under such a name; [`PipelineFault::NoSteps`] if nothing is named.
    pub fn only(&self, names: &[String]) -> Result<Pipeline, PipelineFault> {
        let mut wanted: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = Vec::new();
        for name in names {
            let step = self.step(name).ok_or_else(|| PipelineFault::UnknownStep {
                key: "steps".to_owned(),
                step: name.clone(),
            })?;
            open.push(step.id());
        }
        if names.is_empty() {
            return Err(PipelineFault::NoSteps);
        }
        while let Some(id) = open.pop() {
            if wanted.insert(id) {
                open.extend(self.step(id).map(Step::needs).unwrap_or_default());
            }
        }
        let mut save: Vec<Save> = self
            .save
            .iter()
            .filter(|save| names.contains(&save.step))
            .cloned()
            .collect();
        for name in names {
            let has_mask = !matches!(self.step(name), Some(Step::Sample(_)));
            if has_mask && !save.iter().any(|save| save.step == *name) {
                let own = own_file(name);
                if save.iter().any(|save| save.file == own.file) {
                    return Err(PipelineFault::FileTwice { file: own.file });
                }
                save.push(own);
            }
        }
        Ok(Pipeline {
            reference: self.reference,
            strict_geometry: self.strict_geometry,
            steps: self
                .steps
                .iter()
                .filter(|step| wanted.contains(step.id()))
                .cloned()
                .collect(),
            save,
        })
    }
}

fn own_file(id: &str) -> Save {
    Save {
        step: id.to_owned(),
        file: format!("{id}.nii.gz"),
    }
}

/// Faults for every use of a sample as if it had a mask.
fn no_masks(steps: &[(Step, usize)], save: &[(Save, usize)], faults: &mut Vec<Fault>) {
    let samples: BTreeSet<&str> = steps
        .iter()
        .filter(|(step, _)| matches!(step, Step::Sample(_)))
        .map(|(step, _)| step.id())
        .collect();
    let needs = steps.iter().flat_map(|(step, line)| {
        // One that needs itself is a cycle.
        let needs = step.needs().into_iter().filter(|needed| *needed != step.id());
        needs.map(move |needed| (format!("step {}", step.id()), needed, *line))
    });
    let saves = save
        .iter()
        .map(|(save, line)| ("save.step".to_owned(), save.step.as_str(), *line));
    let wrong = needs
        .chain(saves)
        .filter(|(_, needed, _)| samples.contains(needed));
    faults.extend(wrong.map(|(key, step, line)| Fault {
        line,
        fault: PipelineFault::NoMask {
            key,
            step: step.to_owned(),
        },
    }));
}
