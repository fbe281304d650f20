//! The tables of models.

use std::path::PathBuf;

use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::{OptionKind, Phase, SegmentationOptions};
use toml::de::DeValue;

use crate::read::{TRUE_OR_FALSE, labels, margin_mm, phase};
use crate::spanned_table::{Lines, SpannedTable, flag, integer, number, text, texts};
use crate::{Crop, Fault, MaskChannel, ModelStep, PipelineFault};

pub(crate) fn model_step(
    table: &mut SpannedTable<'_, '_>,
    id: String,
    lines: &Lines,
    faults: &mut Vec<Fault>,
) -> Option<ModelStep> {
    let folder = "the folder of a trained model";
    let path = |value: &DeValue<'_>| text(value).filter(|text| !text.is_empty()).map(PathBuf::from);
    let model = table.require("model", folder, faults, path);
    let quick_model = table.take("quick_model", folder, faults, path);
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
    let options = options(table, faults);
    let postprocessing = table
        .take("postprocessing", TRUE_OR_FALSE, faults, flag)
        .unwrap_or(false);
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
        model: model?,
        quick_model,
        phases: phases?,
        optional,
        folds,
        checkpoint: checkpoint.unwrap_or(CheckpointKind::Final),
        options,
        postprocessing,
        crop: match crop {
            None => None,
            Some(crop) => Some(crop?),
        },
        previous_stage,
        channels: channels.unwrap_or_default(),
    })
}

fn options(table: &mut SpannedTable<'_, '_>, faults: &mut Vec<Fault>) -> SegmentationOptions {
    let mut options = SegmentationOptions::default();
    for key in SegmentationOptions::KEYS {
        match key.kind {
            OptionKind::Switch(set) => {
                let on = table.take(key.name, TRUE_OR_FALSE, faults, flag);
                on.into_iter().for_each(|on| set(&mut options, on));
            }
            OptionKind::Number {
                expected,
                is_right,
                set,
                ..
            } => {
                let found = table.take(key.name, expected, faults, |value| {
                    number(value).filter(|found| is_right(*found))
                });
                found.into_iter().for_each(|found| set(&mut options, found));
            }
            OptionKind::Choice { expected, words } => {
                let set = table.take(key.name, expected, faults, |value| {
                    let found = value.as_str()?;
                    words.iter().find(|(word, _)| *word == found).map(|(_, set)| set)
                });
                set.into_iter().for_each(|set| set(&mut options));
            }
        }
    }
    options
}

fn read_crop(table: &mut SpannedTable<'_, '_>, faults: &mut Vec<Fault>) -> Option<Crop> {
    let step = table.require("step", "the name of a step", faults, text);
    let labels = labels(table, faults);
    let margin = margin_mm(table, faults);
    Some(Crop {
        step: step?,
        labels,
        margin_mm: margin.unwrap_or(0.0),
    })
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
