//! A pipeline that can run, as far as its file can say.

use std::collections::{BTreeMap, BTreeSet};

use nephrite_kernel::is_name;
use nephrite_settings::{FaultKind, Reference};
use nephrite_types::{OutputFormat, Phase};

use crate::dicom_output::DicomOutput;
use crate::fault::{Fault, PipelineFault};
use crate::keys::STEP_NAME;
use crate::order;
use crate::read;
use crate::step::{ModelStep, Save, Step};

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
    /// How DICOM objects are written.
    pub dicom: DicomOutput,
}

impl Pipeline {
    /// Reads a pipeline file.
    ///
    /// # Errors
    /// Every fault, in the order of lines. Of a text that is no TOML, those of its form.
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
            dicom: draft.dicom,
        })
    }

    /// All keys of a pipeline file.
    pub fn reference() -> Reference {
        let about = "What `nephrite run --pipeline FILE` and `nephrite pipeline check FILE` read.";
        Reference::of("Pipeline", about, read::draft_of)
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
                return Err(PipelineFault::Setting(FaultKind::Range {
                    key: "models.id".to_owned(),
                    found: format!("{:.64?}", model.id),
                    expected: STEP_NAME.to_owned(),
                }));
            }
            if model.phases.is_empty() {
                return Err(PipelineFault::Setting(FaultKind::Missing {
                    key: format!("phases of step {}", model.id),
                }));
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
                dicom: DicomOutput::default(),
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
            dicom: self.dicom.clone(),
        })
    }
}

fn own_file(id: &str) -> Save {
    Save {
        step: id.to_owned(),
        file: format!("{id}.nii.gz"),
        formats: vec![OutputFormat::Nifti],
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
