//! The tables of mask operations and of samples.

use std::collections::BTreeMap;

use nephrite_kernel::{ParameterValue, is_name};
use toml::de::{DeTable, DeValue};

use crate::read::{PHASES, TRUE_OR_FALSE, labels, margin_mm, phase};
use crate::spanned_table::{Lines, SpannedTable, flag, integer, number, text, texts};
use crate::{Fault, MaskInput, MaskStep, PipelineFault, SampleStep};

/// Around the labels of a sample that says nothing else, mm.
const SAMPLE_MARGIN_MM: f64 = 5.0;

pub(crate) fn mask_step(
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

pub(crate) fn sample_step(
    table: &mut SpannedTable<'_, '_>,
    id: String,
    faults: &mut Vec<Fault>,
) -> Option<SampleStep> {
    let step = table.require("step", "the name of a step", faults, text);
    let labels = labels(table, faults);
    let margin = margin_mm(table, faults);
    let phase = table.take("phase", PHASES, faults, phase);
    Some(SampleStep {
        id,
        step: step?,
        labels,
        margin_mm: margin.unwrap_or(SAMPLE_MARGIN_MM),
        phase,
    })
}
