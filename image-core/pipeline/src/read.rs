//! From TOML to steps: one function per table.

use std::collections::BTreeMap;

use nephrite_kernel::is_name;
use nephrite_types::{Phase, check_file_name};
use toml::de::{DeTable, DeValue};

use crate::read_mask::{mask_step, sample_step};
use crate::read_model::model_step;
use crate::spanned_table::{Lines, SpannedTable, flag, number, tables, text, texts};
use crate::{Fault, PipelineFault, Save, Step};

/// Bytes of a pipeline file; far more than anybody writes.
const MAX_BYTES: usize = 1 << 20;
/// Steps of a pipeline.
const MAX_STEPS: usize = 256;

/// What an `id` may be.
pub(crate) const STEP_NAME: &str =
    "a name of lower case letters, digits, _ and -, that begins with a letter and is no device of Windows";
pub(crate) const TRUE_OR_FALSE: &str = "true or false";
pub(crate) const PHASES: &str = "non_contrast, arterial, portal_venous or delayed";

/// What a file says, before steps are put in order.
pub(crate) struct Draft {
    pub(crate) reference: Option<Phase>,
    pub(crate) strict_geometry: bool,
    pub(crate) steps: Vec<(Step, usize)>,
    /// Line of every step that has a name, also of one with a fault.
    pub(crate) lines: BTreeMap<String, usize>,
    pub(crate) save: Vec<(Save, usize)>,
    pub(crate) faults: Vec<Fault>,
}

/// # Errors
/// The first fault of syntax.
pub(crate) fn draft(file: &str) -> Result<Draft, Vec<Fault>> {
    let lines = Lines::of(file);
    let syntax = |line, reason: String| {
        vec![Fault {
            line,
            fault: PipelineFault::Syntax { reason },
        }]
    };
    if file.len() > MAX_BYTES {
        return Err(syntax(
            1,
            format!("the file has {} bytes, the limit is {MAX_BYTES}", file.len()),
        ));
    }
    let parsed = DeTable::parse(file).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.line(&span));
        syntax(line, error.message().to_owned())
    })?;
    let mut draft = Draft {
        reference: None,
        strict_geometry: false,
        steps: Vec::new(),
        lines: BTreeMap::new(),
        save: Vec::new(),
        faults: Vec::new(),
    };
    let mut top = SpannedTable::new("", 1, parsed.get_ref(), &lines);
    draft.reference = top.take("reference", PHASES, &mut draft.faults, phase);
    let strict = top.take("strict_geometry", TRUE_OR_FALSE, &mut draft.faults, flag);
    draft.strict_geometry = strict.unwrap_or(false);
    let models = step_tables(&mut top, "models", &lines, &mut draft.faults);
    let masks = step_tables(&mut top, "masks", &lines, &mut draft.faults);
    let samples = step_tables(&mut top, "samples", &lines, &mut draft.faults);
    let save = step_tables(&mut top, "save", &lines, &mut draft.faults);
    top.finish(&mut draft.faults);
    for (table, line) in models {
        read_step(&mut draft, "models.", table, line, &lines, |table, id, faults| {
            model_step(table, id, &lines, faults).map(Step::Model)
        });
    }
    for (table, line) in masks {
        read_step(&mut draft, "masks.", table, line, &lines, |table, id, faults| {
            mask_step(table, id, &lines, faults).map(Step::Mask)
        });
    }
    let no_samples = samples.is_empty();
    for (table, line) in samples {
        read_step(
            &mut draft,
            "samples.",
            table,
            line,
            &lines,
            |table, id, faults| sample_step(table, id, faults).map(Step::Sample),
        );
    }
    for (table, line) in save {
        read_save(&mut draft, table, line, &lines);
    }
    let nothing = |fault| Fault { line: 1, fault };
    if draft.lines.is_empty() && draft.faults.is_empty() {
        draft.faults.push(nothing(PipelineFault::NoSteps));
    } else if draft.save.is_empty() && no_samples && draft.faults.is_empty() {
        draft.faults.push(nothing(PipelineFault::NothingSaved));
    }
    Ok(draft)
}

type Tables<'a, 't> = Vec<(&'a DeTable<'t>, usize)>;

fn step_tables<'a, 't>(
    top: &mut SpannedTable<'a, 't>,
    key: &'static str,
    lines: &Lines,
    faults: &mut Vec<Fault>,
) -> Tables<'a, 't> {
    let Some((value, line)) = top.get(key) else {
        return Vec::new();
    };
    match tables(value, lines).filter(|tables| tables.len() <= MAX_STEPS) {
        Some(tables) => tables,
        None => {
            faults.push(Fault {
                line,
                fault: PipelineFault::Value {
                    key: key.to_owned(),
                    found: "something else".to_owned(),
                    expected: "at most 256 tables, each under a heading in double brackets",
                },
            });
            Vec::new()
        }
    }
}

/// A step's name, and whatever `rest` makes of its table.
fn read_step<'a, 't>(
    draft: &mut Draft,
    name: &str,
    table: &'a DeTable<'t>,
    line: usize,
    lines: &'a Lines,
    rest: impl FnOnce(&mut SpannedTable<'a, 't>, String, &mut Vec<Fault>) -> Option<Step>,
) {
    let mut table = SpannedTable::new(name, line, table, lines);
    let id = table.require("id", STEP_NAME, &mut draft.faults, |value| {
        // Also the name of the folder of its files.
        text(value).filter(|id| is_name(id) && check_file_name(id).is_ok())
    });
    // Without a name of its own, the rest is still looked at, for its own faults.
    let mut own_name = id.is_some();
    if let Some(id) = &id {
        match draft.lines.get(id) {
            Some(&first) => {
                own_name = false;
                draft.faults.push(Fault {
                    line,
                    fault: PipelineFault::StepTwice {
                        id: id.clone(),
                        first: Some(first),
                    },
                });
            }
            None => {
                draft.lines.insert(id.clone(), line);
            }
        }
    }
    let step = rest(&mut table, id.unwrap_or_default(), &mut draft.faults);
    table.finish(&mut draft.faults);
    if let Some(step) = step.filter(|_| own_name) {
        draft.steps.push((step, line));
    }
}

fn read_save(draft: &mut Draft, table: &DeTable<'_>, line: usize, lines: &Lines) {
    let mut table = SpannedTable::new("save.", line, table, lines);
    let step = table.require("step", "the name of a step", &mut draft.faults, text);
    let expected = "a plain file name that ends in .nii.gz or .nii, without characters that are not seen or turn the text";
    let file = table.require("file", expected, &mut draft.faults, |value| {
        text(value).filter(|file| {
            let plain = check_file_name(file).is_ok() && !file.starts_with('.') && file.len() <= 200;
            plain && (file.ends_with(".nii.gz") || file.ends_with(".nii"))
        })
    });
    let line = table.line();
    table.finish(&mut draft.faults);
    let (Some(step), Some(file)) = (step, file) else {
        return;
    };
    if draft.save.iter().any(|(save, _)| save.file == file) {
        draft.faults.push(Fault {
            line,
            fault: PipelineFault::FileTwice { file: file.clone() },
        });
    }
    draft.save.push((Save { step, file }, line));
}

pub(crate) fn phase(value: &DeValue<'_>) -> Option<Phase> {
    Phase::from_name(value.as_str()?)
}

/// Names of labels; all of them if empty.
pub(crate) fn labels(table: &mut SpannedTable<'_, '_>, faults: &mut Vec<Fault>) -> Vec<String> {
    let labels = table.take("labels", "a list of names", faults, texts);
    labels.unwrap_or_default()
}

pub(crate) fn margin_mm(table: &mut SpannedTable<'_, '_>, faults: &mut Vec<Fault>) -> Option<f64> {
    table.take("margin_mm", "a number from 0 to 10000", faults, |value| {
        number(value).filter(|mm| (0.0..=10_000.0).contains(mm))
    })
}
