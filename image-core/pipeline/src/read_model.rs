//! The tables of models.

use std::ops::Bound;

use nephrite_settings::Section;
use nephrite_settings::kind::{Kind, choice, flag, list, number, one_of, path, text};
use nephrite_types::Phase;

use crate::keys::{any, labels, margin_mm, phase};
use crate::model_keys::{checkpoint, folds};
use crate::step::{Crop, MaskChannel, ModelOptions, ModelStep, Numerics};

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
    let options = model_options(table);
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
        options,
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

fn model_options(table: &mut Section<'_>) -> ModelOptions {
    let default = ModelOptions::default();
    let help = "do not average over mirrored copies: several times faster, slightly less exact";
    let no_mirroring = table.get("no_mirroring", flag(), !default.mirroring, help);
    let no_gaussian = table.get(
        "no_gaussian",
        flag(),
        !default.gaussian,
        "weigh all voxels of a tile alike",
    );
    let fraction = number((Bound::Excluded(0.0), Bound::Included(1.0)));
    let help = "distance of tiles as a fraction of the patch";
    let tile_step_size = table.get("tile_step_size", fraction, default.tile_step_size, help);
    let rounding = choice(&[("fast", Numerics::Fast), ("reference", Numerics::Reference)]);
    let help = "how sums are rounded: in single precision, or to half precision wherever nnU-Net does";
    let numerics = table.get("numerics", rounding, default.numerics, help);
    let help = "apply the postprocessing file in the model's folder";
    let postprocessing = table.get("postprocessing", flag(), default.postprocessing, help);
    ModelOptions {
        mirroring: !no_mirroring,
        tile_step_size,
        gaussian: !no_gaussian,
        numerics,
        postprocessing,
    }
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
