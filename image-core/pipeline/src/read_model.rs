//! The tables of models.

use nephrite_settings::Section;
use nephrite_settings::kind::{Kind, choice, flag, list, number, one_of, path, text};
use nephrite_types::{OptionKind, Phase, SegmentationOptions};

use crate::keys::{any, labels, margin_mm, phase};
use crate::model_keys::{checkpoint, folds, precision};
use crate::step::{Crop, MaskChannel, ModelStep};

pub(crate) fn model_step(table: &mut Section<'_>, id: String) -> Option<ModelStep> {
    let folder = || path("the folder of a trained model");
    let model = table.require("model", folder(), "beneath the root");
    let help = "stands in where the profile `quick` is asked for, such as that of the low resolution";
    let quick_model = table.option("quick_model", folder(), "`model`", help);
    let phases = table.require("phases", phases(), "what it was made for, the most wanted first");
    let help = "the step may be left out where no scan has such a phase";
    let optional = table.get("optional", flag(), false, help);
    let folds = folds(table);
    let checkpoint = checkpoint(table);
    let precision = precision(table);
    let options = options(table);
    let help = "apply the postprocessing file in the model's folder";
    let postprocessing = table.get("postprocessing", flag(), false, help);
    let crop = table.optional_table(
        "crop",
        "{ step = \"locate\", labels = [\"kidney\"], margin_mm = 20 }",
        "the whole scan",
        "look only at the box around labels of another step's mask",
        read_crop,
    );
    let help = "step whose mask is that of the cascade's previous stage";
    let previous_stage = table.option("previous_stage", any("the name of a step"), "none", help);
    let help = "labels of other masks that are channels after the scan";
    let channels = table.option(
        "channels",
        list(channel(), 0, "a list of texts STEP:LABEL"),
        "none",
        help,
    );
    Some(ModelStep {
        id,
        model: model?,
        quick_model,
        phases: phases?,
        optional,
        folds,
        checkpoint,
        precision,
        options,
        postprocessing,
        crop: match crop {
            None => None,
            Some(crop) => Some(crop.flatten()?),
        },
        previous_stage,
        channels: channels.unwrap_or_default(),
    })
}

/// At least one, each once.
fn phases() -> Kind<Vec<Phase>> {
    let expected = format!(
        "a list of at least one of {}",
        one_of(&Phase::ALL.map(Phase::name))
    );
    list(phase(), 1, expected).and_then(|phases| {
        let mut rest = phases.iter().enumerate();
        rest.all(|(idx, phase)| !phases[..idx].contains(phase))
            .then_some(phases.clone())
    })
}

fn channel() -> Kind<MaskChannel> {
    text("STEP:LABEL", |entry| {
        let (step, label) = entry.split_once(':').filter(|(_, label)| !label.is_empty())?;
        Some(MaskChannel {
            step: step.to_owned(),
            label: label.to_owned(),
        })
    })
}

fn options(table: &mut Section<'_>) -> SegmentationOptions {
    let mut options = SegmentationOptions::default();
    for key in SegmentationOptions::KEYS {
        match key.kind {
            OptionKind::Switch(set) => set(&mut options, table.get(key.name, flag(), false, key.help)),
            OptionKind::Number { range, set, get, .. } => {
                let default = get(&options);
                set(
                    &mut options,
                    table.get(key.name, number(range), default, key.help),
                );
            }
            OptionKind::Choice { words, .. } => {
                let indices: Vec<_> = words.iter().map(|(word, _)| *word).zip(0..).collect();
                let index: usize = table.get(key.name, choice(&indices), 0, key.help);
                words[index].1(&mut options);
            }
        }
    }
    options
}

fn read_crop(table: &mut Section<'_>) -> Option<Crop> {
    let step = table.require("step", any("the name of a step"), "whose mask it is");
    let labels = labels(table);
    let margin_mm = margin_mm(table, 0.0);
    Some(Crop {
        step: step?,
        labels,
        margin_mm,
    })
}
