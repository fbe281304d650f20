//! From TOML to steps: one function per table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::Phase;
use toml::de::{DeTable, DeValue};

use crate::spanned_table::{Lines, SpannedTable, flag, integer, number, tables, text, texts};
use crate::{
    Crop, Fault, MaskChannel, MaskInput, MaskStep, ModelOptions, ModelStep, Numerics, ParameterValue,
    PipelineFault, Save, Step,
};

/// Bytes of a pipeline file; far more than anybody writes.
const MAX_BYTES: usize = 1 << 20;
/// Steps of a pipeline.
const MAX_STEPS: usize = 256;

/// What a file says, before steps are put in order.
pub(crate) struct Draft {
    pub(crate) reference: Option<Phase>,
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
        steps: Vec::new(),
        lines: BTreeMap::new(),
        save: Vec::new(),
        faults: Vec::new(),
    };
    let mut top = SpannedTable::new("", 1, parsed.get_ref(), &lines);
    draft.reference = top.take("reference", PHASES, &mut draft.faults, phase);
    let models = step_tables(&mut top, "models", &lines, &mut draft.faults);
    let masks = step_tables(&mut top, "masks", &lines, &mut draft.faults);
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
    for (table, line) in save {
        read_save(&mut draft, table, line, &lines);
    }
    let nothing = |fault| Fault { line: 1, fault };
    if draft.lines.is_empty() && draft.faults.is_empty() {
        draft.faults.push(nothing(PipelineFault::NoSteps));
    } else if draft.save.is_empty() && draft.faults.is_empty() {
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
    let expected = "a name of lower case letters, digits, _ and -, that begins with a letter";
    let id = table.require("id", expected, &mut draft.faults, |value| {
        text(value).filter(|id| is_name(id))
    });
    if let Some(id) = &id {
        match draft.lines.get(id) {
            Some(&first) => draft.faults.push(Fault {
                line,
                fault: PipelineFault::StepTwice {
                    id: id.clone(),
                    first,
                },
            }),
            None => {
                draft.lines.insert(id.clone(), line);
            }
        }
    }
    // Without a name, the rest is still looked at, for its own faults.
    let named = id.is_some();
    let step = rest(&mut table, id.unwrap_or_default(), &mut draft.faults);
    table.finish(&mut draft.faults);
    if let Some(step) = step.filter(|_| named) {
        draft.steps.push((step, line));
    }
}

const PHASES: &str = "non_contrast, arterial, portal_venous or delayed";

fn model_step(
    table: &mut SpannedTable<'_, '_>,
    id: String,
    lines: &Lines,
    faults: &mut Vec<Fault>,
) -> Option<ModelStep> {
    let folder = "the folder of a trained model";
    let model = table.require("model", folder, faults, |value| {
        text(value).filter(|text| !text.is_empty())
    });
    let phases = table.require(
        "phases",
        "a list of at least one of non_contrast, arterial, portal_venous, delayed",
        faults,
        |value| {
            let phases: Vec<Phase> = value
                .as_array()?
                .iter()
                .map(|entry| phase(entry.get_ref()))
                .collect::<Option<_>>()?;
            let once = phases
                .iter()
                .enumerate()
                .all(|(idx, phase)| !phases[..idx].contains(phase));
            (once && !phases.is_empty()).then_some(phases)
        },
    );
    let optional = table
        .take("optional", TRUE_OR_FALSE, faults, flag)
        .unwrap_or(false);
    let folds = table
        .take("folds", "a list of numbers, or of \"all\"", faults, folds)
        .unwrap_or(FoldSelection::Available);
    let checkpoint = table.take("checkpoint", "final or best", faults, |value| {
        match value.as_str()? {
            "final" => Some(CheckpointKind::Final),
            "best" => Some(CheckpointKind::Best),
            _ => None,
        }
    });
    let options = model_options(table, faults);
    // `Some(None)` has a fault.
    let crop = match table.get("crop") {
        None => None,
        Some((DeValue::Table(crop), line)) => {
            let mut crop = SpannedTable::new("models.crop.", line, crop, lines);
            let read = read_crop(&mut crop, faults);
            crop.finish(faults);
            Some(read)
        }
        Some((_, line)) => {
            faults.push(Fault {
                line,
                fault: PipelineFault::Value {
                    key: table.key("crop"),
                    found: "no table".to_owned(),
                    expected: "a table such as { step = \"locate\", labels = [\"kidney\"], margin_mm = 20 }",
                },
            });
            Some(None)
        }
    };
    let previous_stage = table.take("previous_stage", "the name of a step", faults, text);
    let channels = table.take("channels", "a list of texts STEP:LABEL", faults, |value| {
        let channel = |entry: String| {
            let (step, label) = entry.split_once(':')?;
            (!label.is_empty()).then(|| MaskChannel {
                step: step.to_owned(),
                label: label.to_owned(),
            })
        };
        texts(value)?.into_iter().map(channel).collect::<Option<Vec<_>>>()
    });
    Some(ModelStep {
        id,
        model: PathBuf::from(model?),
        phases: phases?,
        optional,
        folds,
        checkpoint: checkpoint.unwrap_or(CheckpointKind::Final),
        options,
        crop: match crop {
            None => None,
            Some(crop) => Some(crop?),
        },
        previous_stage,
        channels: channels.unwrap_or_default(),
    })
}

const TRUE_OR_FALSE: &str = "true or false";

fn model_options(table: &mut SpannedTable<'_, '_>, faults: &mut Vec<Fault>) -> ModelOptions {
    let default = ModelOptions::default();
    let no_mirroring = table.take("no_mirroring", TRUE_OR_FALSE, faults, flag);
    let no_gaussian = table.take("no_gaussian", TRUE_OR_FALSE, faults, flag);
    let step_size = table.take(
        "tile_step_size",
        "a number above 0 and up to 1",
        faults,
        |value| number(value).filter(|size| *size > 0.0 && *size <= 1.0),
    );
    let numerics = table.take("numerics", "fast or reference", faults, |value| {
        match value.as_str()? {
            "fast" => Some(Numerics::Fast),
            "reference" => Some(Numerics::Reference),
            _ => None,
        }
    });
    let postprocessing = table.take("postprocessing", TRUE_OR_FALSE, faults, flag);
    ModelOptions {
        mirroring: no_mirroring.map_or(default.mirroring, |no| !no),
        tile_step_size: step_size.unwrap_or(default.tile_step_size),
        gaussian: no_gaussian.map_or(default.gaussian, |no| !no),
        numerics: numerics.unwrap_or(default.numerics),
        postprocessing: postprocessing.unwrap_or(default.postprocessing),
    }
}

fn read_crop(table: &mut SpannedTable<'_, '_>, faults: &mut Vec<Fault>) -> Option<Crop> {
    let step = table.require("step", "the name of a step", faults, text);
    let labels = table.take("labels", "a list of names", faults, texts);
    let margin = table.take("margin_mm", "a number from 0 to 10000", faults, |value| {
        number(value).filter(|mm| (0.0..=10_000.0).contains(mm))
    });
    Some(Crop {
        step: step?,
        labels: labels.unwrap_or_default(),
        margin_mm: margin.unwrap_or(0.0),
    })
}

fn mask_step(
    table: &mut SpannedTable<'_, '_>,
    id: String,
    lines: &Lines,
    faults: &mut Vec<Fault>,
) -> Option<MaskStep> {
    let operation = table.require("operation", "the name of an operation", faults, |value| {
        text(value).filter(|name| is_name(name))
    });
    let named_steps = "a table such as { mask = \"kidneys\" } or { masks = [\"kidneys\", \"vessels\"] }";
    let inputs = table.require("inputs", named_steps, faults, |value| {
        let entries = value.as_table()?.iter().map(|(name, value)| {
            let value = value.get_ref();
            let steps = text(value).map(|step| vec![step]).or_else(|| texts(value))?;
            (!steps.is_empty()).then(|| MaskInput {
                name: name.get_ref().clone().into_owned(),
                steps,
            })
        });
        let inputs = entries.collect::<Option<Vec<_>>>()?;
        (!inputs.is_empty()).then_some(inputs)
    });
    let parameters = match table.get("parameters") {
        None => BTreeMap::new(),
        Some((DeValue::Table(given), _)) => parameters(given, lines, faults),
        Some((_, line)) => {
            faults.push(Fault {
                line,
                fault: PipelineFault::Value {
                    key: table.key("parameters"),
                    found: "no table".to_owned(),
                    expected: "a table of parameters",
                },
            });
            BTreeMap::new()
        }
    };
    let artefacts = table.take("artefacts", TRUE_OR_FALSE, faults, flag);
    Some(MaskStep {
        id,
        operation: operation?,
        inputs: inputs?,
        parameters,
        artefacts: artefacts.unwrap_or(false),
    })
}

fn parameters(
    given: &DeTable<'_>,
    lines: &Lines,
    faults: &mut Vec<Fault>,
) -> BTreeMap<String, ParameterValue> {
    let mut values = BTreeMap::new();
    for (name, value) in given {
        match parameter(value.get_ref()) {
            Some(parameter) => {
                values.insert(name.get_ref().clone().into_owned(), parameter);
            }
            None => faults.push(Fault {
                line: lines.line(&value.span()),
                fault: PipelineFault::Value {
                    key: format!("masks.parameters.{}", name.get_ref()),
                    found: "something else".to_owned(),
                    expected: "true or false, a finite number, a text or a list of texts",
                },
            }),
        }
    }
    values
}

fn parameter(value: &DeValue<'_>) -> Option<ParameterValue> {
    match value {
        DeValue::Boolean(flag) => Some(ParameterValue::Flag(*flag)),
        DeValue::Integer(_) => integer(value).map(ParameterValue::Integer),
        DeValue::Float(_) => number(value).map(ParameterValue::Number),
        DeValue::String(text) => Some(ParameterValue::Text(text.clone().into_owned())),
        DeValue::Array(_) => texts(value).map(ParameterValue::Texts),
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn read_save(draft: &mut Draft, table: &DeTable<'_>, line: usize, lines: &Lines) {
    let mut table = SpannedTable::new("save.", line, table, lines);
    let step = table.require("step", "the name of a step", &mut draft.faults, text);
    let expected = "a plain file name that ends in .nii.gz or .nii";
    let file = table.require("file", expected, &mut draft.faults, |value| {
        text(value).filter(|file| {
            let plain = !file.contains(['/', '\\', '\0']) && !file.starts_with('.') && file.len() <= 200;
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

fn phase(value: &DeValue<'_>) -> Option<Phase> {
    Phase::from_name(value.as_str()?)
}

/// `[0, 1]`, `["0", "1"]` or `["all"]`.
fn folds(value: &DeValue<'_>) -> Option<FoldSelection> {
    let entries = value.as_array()?.iter().map(|entry| match entry.get_ref() {
        DeValue::String(name) => name.parse().ok(),
        number => integer(number)?.to_string().parse().ok(),
    });
    let names = entries.collect::<Option<Vec<_>>>()?;
    (!names.is_empty()).then_some(FoldSelection::List(names))
}

/// As names of operations: they stand beside each other in records and file names.
fn is_name(name: &str) -> bool {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(rest)
}
