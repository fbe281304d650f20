//! The tables of models.

use std::path::PathBuf;

use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::Phase;
use toml::de::DeValue;

use crate::read::{TRUE_OR_FALSE, labels, margin_mm, phase};
use crate::spanned_table::{Lines, SpannedTable, flag, integer, number, text, texts};
use crate::{Crop, Fault, MaskChannel, ModelOptions, ModelStep, Numerics, PipelineFault};

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
        model: model?,
        quick_model,
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
