//! The tables of mask operations and of samples.

use nephrite_kernel::{ParameterValue, is_name};
use nephrite_settings::kind::{Kind, either, flag, text};
use nephrite_settings::{Section, Value};

use crate::keys::{any, labels, margin_mm, phase};
use crate::step::{MaskInput, MaskStep, SampleStep};

/// Around the labels of a sample that says nothing else, mm.
const SAMPLE_MARGIN_MM: f64 = 5.0;

pub(crate) fn mask_step(table: &mut Section<'_>, id: String) -> Option<MaskStep> {
    let name = text("the name of an operation", |name| {
        is_name(name).then(|| name.to_owned())
    });
    let operation = table.require("operation", name, "`nephrite plugin list` lists them");
    let inputs = table.entries(
        "inputs",
        steps(),
        1,
        "{ mask = \"kidneys\" } or { masks = [\"kidneys\", \"vessels\"] }",
        "required",
        "steps whose masks go in, by name of the operation's input",
    );
    let parameters = table.entries(
        "parameters",
        parameter(),
        0,
        "{ keep_largest = 2 }",
        "the operation's",
        "`nephrite plugin describe OPERATION` lists them",
    );
    let artefacts = table.get("artefacts", flag(), false, "its files go to the results");
    let input = |(name, steps)| MaskInput { name, steps };
    Some(MaskStep {
        id,
        operation: operation?,
        inputs: inputs?.into_iter().map(input).collect(),
        parameters: parameters.into_iter().flatten().collect(),
        artefacts,
    })
}

/// One step or a list of at least one.
fn steps() -> Kind<Vec<String>> {
    either("text or list", "the name of a step, or a list of them", |value| {
        let steps = value
            .text()
            .map(|step| vec![step.to_owned()])
            .or_else(|| texts(value))?;
        (!steps.is_empty()).then_some(steps)
    })
}

fn parameter() -> Kind<ParameterValue> {
    let expected = "true or false, a finite number, a text or a list of texts";
    either("any", expected, |value| {
        let flag = value.flag().map(ParameterValue::Flag);
        let number = || {
            Some(
                value
                    .whole()
                    .map_or(ParameterValue::Number(value.number()?), ParameterValue::Integer),
            )
        };
        let text = || Some(ParameterValue::Text(value.text()?.to_owned()));
        flag.or_else(number)
            .or_else(text)
            .or_else(|| texts(value).map(ParameterValue::Texts))
    })
}

fn texts(value: Value<'_>) -> Option<Vec<String>> {
    value
        .list()?
        .map(|entry| entry.text().map(str::to_owned))
        .collect()
}

pub(crate) fn sample_step(table: &mut Section<'_>, id: String) -> Option<SampleStep> {
    let step = table.require("step", any("the name of a step"), "whose mask it shows");
    let labels = labels(table);
    let margin_mm = margin_mm(table, SAMPLE_MARGIN_MM);
    let phase = table.option("phase", phase(), "`reference`", "whose scan is cut");
    Some(SampleStep {
        id,
        step: step?,
        labels,
        margin_mm,
        phase,
    })
}
