//! From TOML to steps, with the names that they have among each other.

use std::collections::BTreeMap;

use nephrite_kernel::is_name;
use nephrite_settings::kind::{choice, flag, list, one_of, text};
use nephrite_settings::{Document, Section};
use nephrite_types::{OutputFormat, Phase, check_file_name, has_volume_ending};

use crate::dicom_output::{DicomOutput, dicom_output};
use crate::fault::{Fault, PipelineFault};
use crate::keys::{STEP_NAME, any, phase};
use crate::read_mask::{mask_step, sample_step};
use crate::read_model::model_step;
use crate::step::{Save, Step};

/// Steps of a table.
const MAX_STEPS: usize = 256;

/// What a file says, before steps are put in order.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) reference: Option<Phase>,
    pub(crate) strict_geometry: bool,
    pub(crate) steps: Vec<(Step, usize)>,
    /// Line of every step that has a name, also of one with a fault.
    pub(crate) lines: BTreeMap<String, usize>,
    pub(crate) save: Vec<(Save, usize)>,
    pub(crate) dicom: DicomOutput,
    pub(crate) faults: Vec<Fault>,
}

/// A step as it was read.
struct Named {
    id: Option<String>,
    line: usize,
    /// `None` if something is missing.
    step: Option<Step>,
}

/// # Errors
/// The faults of syntax.
pub(crate) fn draft(file: &str) -> Result<Draft, Vec<Fault>> {
    let document =
        Document::parse(file.as_bytes()).map_err(|faults| of_settings(faults).collect::<Vec<_>>())?;
    let (mut draft, faults) = document.read(draft_of);
    draft.faults.extend(of_settings(faults));
    if draft.faults.is_empty() {
        let no_samples = !draft
            .steps
            .iter()
            .any(|(step, _)| matches!(step, Step::Sample(_)));
        if draft.steps.is_empty() {
            draft.fault(1, PipelineFault::NoSteps);
        } else if draft.save.is_empty() && no_samples {
            draft.fault(1, PipelineFault::NothingSaved);
        }
    }
    Ok(draft)
}

fn of_settings(faults: Vec<nephrite_settings::Fault>) -> impl Iterator<Item = Fault> {
    faults.into_iter().map(Fault::from)
}

/// All keys of a file.
pub(crate) fn draft_of(top: &mut Section<'_>) -> Draft {
    let help = "phase whose scan gives the grid that masks come together on";
    let reference = top.option("reference", phase(), "phase of the first model", help);
    let help = "odd geometry of a scan is an error, not a warning";
    let strict_geometry = top.get("strict_geometry", flag(), false, help);
    let models = top.tables("models", MAX_STEPS, "a model on the scan of a phase", |table| {
        read_step(table, |table, id| model_step(table, id).map(Step::Model))
    });
    let masks = top.tables("masks", MAX_STEPS, "an operation on masks", |table| {
        read_step(table, |table, id| mask_step(table, id).map(Step::Mask))
    });
    let help = "scan and mask cut to the box around labels, and a picture of them";
    let samples = top.tables("samples", MAX_STEPS, help, |table| {
        read_step(table, |table, id| sample_step(table, id).map(Step::Sample))
    });
    let save = top.tables("save", MAX_STEPS, "a mask that is kept", read_save);
    let mut draft = Draft {
        reference,
        strict_geometry,
        dicom: dicom_output(top),
        ..Draft::default()
    };
    models
        .into_iter()
        .chain(masks)
        .chain(samples)
        .for_each(|step| draft.add_step(step));
    save.into_iter()
        .flatten()
        .for_each(|(save, line)| draft.add_save(save, line));
    draft
}

impl Draft {
    fn fault(&mut self, line: usize, fault: PipelineFault) {
        self.faults.push(Fault { line, fault });
    }

    fn add_step(&mut self, Named { id, line, step }: Named) {
        let Some(id) = id else { return };
        if let Some(&first) = self.lines.get(&id) {
            let first = Some(first);
            return self.fault(line, PipelineFault::StepTwice { id, first });
        }
        self.lines.insert(id, line);
        self.steps.extend(step.map(|step| (step, line)));
    }

    fn add_save(&mut self, save: Save, line: usize) {
        if let Err(fault) = OutputFormat::check(&save.formats) {
            let file = save.file.clone();
            self.fault(line, PipelineFault::Formats { file, fault });
        }
        let taken = |file: &String| {
            self.save
                .iter()
                .any(|(other, _)| other.files().any(|(_, taken)| taken == *file))
        };
        if let Some(file) = save.files().map(|(_, file)| file).find(taken) {
            self.fault(line, PipelineFault::FileTwice { file });
        }
        self.save.push((save, line));
    }
}

/// A step's name, and whatever `rest` makes of its table.
fn read_step(table: &mut Section<'_>, rest: impl FnOnce(&mut Section<'_>, String) -> Option<Step>) -> Named {
    // Also the name of the folder of its files.
    let name = text(STEP_NAME, |id| {
        (is_name(id) && check_file_name(id).is_ok()).then(|| id.to_owned())
    });
    let id = table.require(
        "id",
        name,
        "unique among all steps; a sample's is the name of its folder",
    );
    // Without a name of its own, the rest is still looked at, for its own faults.
    let step = rest(table, id.clone().unwrap_or_default());
    let line = table.line();
    Named { id, line, step }
}

fn read_save(table: &mut Section<'_>) -> Option<(Save, usize)> {
    let step = table.require("step", any("the name of a step"), "whose mask it is");
    let expected = "a plain file name that ends in .nii.gz, .nii, .nrrd, .mha, .nhdr or .mhd, without invisible characters and those that turn the text";
    let file = text(expected, |file| {
        let plain = check_file_name(file).is_ok() && !file.starts_with('.') && file.len() <= 200;
        (plain && has_volume_ending(file)).then(|| file.to_owned())
    });
    let file = table.require("file", file, "unique among what is saved");
    let names = OutputFormat::ALL.map(|format| (format.name(), format));
    let expected = format!("of {}", one_of(&names.map(|(name, _)| name)));
    let formats = list(choice(&names), 1, expected);
    let help = "what is written; DICOM objects lie beside the file, and need a scan that is a DICOM series";
    let formats = table.option("formats", formats, r#"["nifti"]"#, help);
    let formats = formats.unwrap_or_else(|| vec![OutputFormat::Nifti]);
    let (step, file) = (step?, file?);
    Some((Save { step, file, formats }, table.line()))
}
