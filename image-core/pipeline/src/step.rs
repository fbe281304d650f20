//! Steps of a pipeline: what each does, and which others it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use nephrite_kernel::ParameterValue;
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::{OutputFormat, Phase, Precision, SegmentationOptions};

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
    /// In what its networks compute; what the process that runs it says if `None`.
    pub precision: Option<Precision>,
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
    /// A plain file name that ends in `.nii.gz`, `.nii`, `.nrrd`, `.mha`, `.nhdr` or `.mhd`; no other mask has it.
    pub file: String,
    /// What is written; the label map is always among them.
    pub formats: Vec<OutputFormat>,
}

impl Save {
    /// The files that are written, in the order of [`OutputFormat::ALL`].
    pub fn files(&self) -> impl Iterator<Item = (OutputFormat, String)> {
        let wanted = |format: &OutputFormat| self.formats.contains(format);
        let formats = OutputFormat::ALL.into_iter().filter(wanted);
        formats.map(|format| (format, format.file_beside(&self.file)))
    }

    /// Whether DICOM objects are written.
    pub fn has_objects(&self) -> bool {
        self.formats.iter().any(|format| format.is_object())
    }
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
