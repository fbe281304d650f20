//! Descriptions and parameters of the kernel ⇄ messages.

use std::collections::{BTreeMap, HashMap};

use nephrite_proto::convert::{MAX_TEXT_BYTES, choice};
use nephrite_proto::v1::operation_output::Labels;
use nephrite_proto::v1::parameter::Kind;
use nephrite_proto::v1::parameter_value::Value;
use nephrite_proto::{ConvertError, v1};

use crate::{
    InputGeometry, InputSpec, LabelForm, Measurement, OperationDescription, OutputGeometry, OutputLabels,
    OutputSpec, ParameterKind, ParameterSpec, ParameterValue, ServiceDescription,
};

/// Operations of one service; inputs, parameters and outputs of one operation.
const MAX_ENTRIES: usize = 256;
/// Texts of a choice.
const MAX_CHOICES: usize = 4096;

pub(super) fn describe_response(service: &ServiceDescription) -> v1::DescribeResponse {
    v1::DescribeResponse {
        name: service.name.clone(),
        version: service.version.clone(),
        operations: service.operations.iter().map(operation).collect(),
    }
}

fn operation(operation: &OperationDescription) -> v1::Operation {
    let inputs = operation.inputs.iter().map(|input| v1::OperationInput {
        name: input.name.clone(),
        help: input.help.clone(),
        required: input.required,
        repeated: input.repeated,
        on_first_grid: input.geometry == InputGeometry::SameAsFirst,
    });
    let outputs = operation.outputs.iter().map(|output| v1::OperationOutput {
        name: output.name.clone(),
        help: output.help.clone(),
        on_grid_of: match &output.geometry {
            OutputGeometry::Own => String::new(),
            OutputGeometry::SameAs(input) => input.clone(),
        },
        labels: output_labels(&output.labels),
    });
    v1::Operation {
        name: operation.name.clone(),
        version: operation.version.clone(),
        help: operation.help.clone(),
        inputs: inputs.collect(),
        parameters: operation.parameters.iter().map(parameter).collect(),
        outputs: outputs.collect(),
        artefacts: operation.artefacts,
    }
}

fn parameter(spec: &ParameterSpec) -> v1::Parameter {
    v1::Parameter {
        name: spec.name.clone(),
        help: spec.help.clone(),
        unit: spec.unit.clone(),
        required: spec.required,
        default: spec.default.as_ref().map(parameter_value),
        kind: Some(match &spec.kind {
            ParameterKind::Flag => Kind::Flag(v1::FlagKind {}),
            ParameterKind::Integer { min, max } => Kind::Integer(v1::IntegerKind { min: *min, max: *max }),
            ParameterKind::Number { min, max } => Kind::Number(v1::NumberKind { min: *min, max: *max }),
            ParameterKind::Text => Kind::Text(v1::TextKind { choices: Vec::new() }),
            ParameterKind::Choice(choices) => Kind::Text(v1::TextKind {
                choices: choices.clone(),
            }),
            ParameterKind::Texts => Kind::Texts(v1::TextsKind {}),
            ParameterKind::Label { inputs } => Kind::Label(v1::LabelKind {
                inputs: inputs.clone(),
            }),
            ParameterKind::Labels { inputs, form } => Kind::Labels(v1::LabelsKind {
                inputs: inputs.clone(),
                form: Some(wire_form(*form).into()),
            }),
        }),
    }
}

fn wire_form(form: LabelForm) -> v1::LabelForm {
    match form {
        LabelForm::Name => v1::LabelForm::Name,
        LabelForm::NameId => v1::LabelForm::NameId,
        LabelForm::Joined => v1::LabelForm::Joined,
        LabelForm::Step => v1::LabelForm::Step,
    }
}

fn output_labels(labels: &OutputLabels) -> Option<Labels> {
    Some(match labels {
        OutputLabels::Unknown => return None,
        OutputLabels::Of { inputs, only } => Labels::LabelsOf(v1::InputLabels {
            inputs: inputs.clone(),
            only: only.clone().unwrap_or_default(),
        }),
        OutputLabels::Fixed(names) => Labels::FixedLabels(v1::FixedLabels { names: names.clone() }),
    })
}

pub(super) fn parameter_value(value: &ParameterValue) -> v1::ParameterValue {
    let value = match value {
        ParameterValue::Flag(flag) => Value::Flag(*flag),
        ParameterValue::Integer(number) => Value::Integer(*number),
        ParameterValue::Number(number) => Value::Number(*number),
        ParameterValue::Text(text) => Value::Text(text.clone()),
        ParameterValue::Texts(texts) => Value::Texts(v1::TextList {
            values: texts.clone(),
        }),
    };
    v1::ParameterValue { value: Some(value) }
}

/// What the service says of itself; whether it makes sense is for
/// [`OperationDescription::faults`] to say.
pub(super) fn service_description(wire: v1::DescribeResponse) -> Result<ServiceDescription, ConvertError> {
    bounded("operations", wire.operations.len(), MAX_ENTRIES)?;
    let operations = wire.operations.into_iter().map(operation_description);
    let mut operations = operations.collect::<Result<Vec<_>, _>>()?;
    operations.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(ServiceDescription {
        name: text("name", wire.name)?,
        version: text("version", wire.version)?,
        operations,
    })
}

fn operation_description(wire: v1::Operation) -> Result<OperationDescription, ConvertError> {
    bounded("inputs", wire.inputs.len(), MAX_ENTRIES)?;
    bounded("parameters", wire.parameters.len(), MAX_ENTRIES)?;
    bounded("outputs", wire.outputs.len(), MAX_ENTRIES)?;
    let inputs = wire.inputs.into_iter().map(|input| {
        Ok(InputSpec {
            name: text("input.name", input.name)?,
            help: text("input.help", input.help)?,
            required: input.required,
            repeated: input.repeated,
            geometry: if input.on_first_grid {
                InputGeometry::SameAsFirst
            } else {
                InputGeometry::Any
            },
        })
    });
    let outputs = wire.outputs.into_iter().map(|output| {
        Ok(OutputSpec {
            name: text("output.name", output.name)?,
            help: text("output.help", output.help)?,
            geometry: if output.on_grid_of.is_empty() {
                OutputGeometry::Own
            } else {
                OutputGeometry::SameAs(text("output.on_grid_of", output.on_grid_of)?)
            },
            labels: match output.labels {
                None => OutputLabels::Unknown,
                Some(Labels::LabelsOf(of)) => OutputLabels::Of {
                    inputs: texts("output.labels_of.inputs", of.inputs, MAX_ENTRIES)?,
                    only: (!of.only.is_empty())
                        .then(|| text("output.labels_of.only", of.only))
                        .transpose()?,
                },
                Some(Labels::FixedLabels(fixed)) => {
                    OutputLabels::Fixed(texts("output.fixed_labels.names", fixed.names, MAX_CHOICES)?)
                }
            },
        })
    });
    let parameters = wire.parameters.into_iter().map(parameter_spec);
    Ok(OperationDescription {
        name: text("operation.name", wire.name)?,
        version: text("operation.version", wire.version)?,
        help: text("operation.help", wire.help)?,
        inputs: inputs.collect::<Result<_, ConvertError>>()?,
        parameters: parameters.collect::<Result<_, ConvertError>>()?,
        outputs: outputs.collect::<Result<_, ConvertError>>()?,
        artefacts: wire.artefacts,
    })
}

fn parameter_spec(wire: v1::Parameter) -> Result<ParameterSpec, ConvertError> {
    let kind = match wire.kind {
        None => {
            return Err(ConvertError::Missing {
                field: "parameter.kind",
            });
        }
        Some(Kind::Flag(_)) => ParameterKind::Flag,
        Some(Kind::Integer(v1::IntegerKind { min, max })) => ParameterKind::Integer { min, max },
        Some(Kind::Number(v1::NumberKind { min, max })) => ParameterKind::Number { min, max },
        Some(Kind::Text(v1::TextKind { choices })) if choices.is_empty() => ParameterKind::Text,
        Some(Kind::Text(v1::TextKind { choices })) => {
            ParameterKind::Choice(texts("parameter.choices", choices, MAX_CHOICES)?)
        }
        Some(Kind::Texts(_)) => ParameterKind::Texts,
        Some(Kind::Label(v1::LabelKind { inputs })) => ParameterKind::Label {
            inputs: texts("parameter.label.inputs", inputs, MAX_ENTRIES)?,
        },
        Some(Kind::Labels(v1::LabelsKind { inputs, form })) => ParameterKind::Labels {
            inputs: texts("parameter.labels.inputs", inputs, MAX_ENTRIES)?,
            form: match choice("parameter.labels.form", form)? {
                None | Some(v1::LabelForm::Unspecified | v1::LabelForm::Name) => LabelForm::Name,
                Some(v1::LabelForm::NameId) => LabelForm::NameId,
                Some(v1::LabelForm::Joined) => LabelForm::Joined,
                Some(v1::LabelForm::Step) => LabelForm::Step,
            },
        },
    };
    Ok(ParameterSpec {
        name: text("parameter.name", wire.name)?,
        kind,
        unit: text("parameter.unit", wire.unit)?,
        default: wire.default.map(value).transpose()?,
        required: wire.required,
        help: text("parameter.help", wire.help)?,
    })
}

fn value(wire: v1::ParameterValue) -> Result<ParameterValue, ConvertError> {
    Ok(match wire.value {
        None => {
            return Err(ConvertError::Missing {
                field: "parameters.value",
            });
        }
        Some(Value::Flag(flag)) => ParameterValue::Flag(flag),
        Some(Value::Integer(number)) => ParameterValue::Integer(number),
        Some(Value::Number(number)) => ParameterValue::Number(number),
        Some(Value::Text(text)) => ParameterValue::Text(text),
        Some(Value::Texts(v1::TextList { values })) => ParameterValue::Texts(values),
    })
}

/// What a request gives; types and ranges are checked against the description.
pub(super) fn parameter_values(
    wire: HashMap<String, v1::ParameterValue>,
) -> Result<BTreeMap<String, ParameterValue>, ConvertError> {
    let values = wire.into_iter().map(|(name, wire)| Ok((name, value(wire)?)));
    values.collect()
}

pub(super) fn wire_measurement(measurement: Measurement) -> v1::Measurement {
    let Measurement {
        label,
        name,
        unit,
        value,
    } = measurement;
    v1::Measurement {
        label,
        name,
        unit,
        value,
    }
}

/// Whether it is finite is checked with the rest of the outcome.
pub(super) fn measurement(wire: v1::Measurement) -> Result<Measurement, ConvertError> {
    Ok(Measurement {
        label: text("measurement.label", wire.label)?,
        name: text("measurement.name", wire.name)?,
        unit: text("measurement.unit", wire.unit)?,
        value: wire.value,
    })
}

/// A text of bounded length.
pub(super) fn text(field: &'static str, text: String) -> Result<String, ConvertError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ConvertError::TooLong {
            field,
            limit: MAX_TEXT_BYTES,
            found: text.len(),
        });
    }
    Ok(text)
}

/// Texts of bounded length, so many at most.
fn texts(field: &'static str, texts: Vec<String>, limit: usize) -> Result<Vec<String>, ConvertError> {
    bounded(field, texts.len(), limit)?;
    texts.into_iter().map(|entry| text(field, entry)).collect()
}

fn bounded(field: &'static str, found: usize, limit: usize) -> Result<(), ConvertError> {
    if found > limit {
        return Err(ConvertError::TooMany { field, limit, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_comes_back_from_the_wire() {
        let mut operation = OperationDescription::new("a", "1", "help");
        operation.inputs = vec![
            InputSpec::required("mask", "m").repeated(),
            InputSpec::required("other", "o").optional().on_first_grid(),
        ];
        let kinds = [
            ParameterKind::Flag,
            ParameterKind::Integer { min: -1, max: 9 },
            ParameterKind::Number { min: 0.5, max: 2.5 },
            ParameterKind::Text,
            ParameterKind::choice(&["x", "y"]),
            ParameterKind::Texts,
            ParameterKind::label(&["other"]),
            ParameterKind::labels(&[], LabelForm::Name),
            ParameterKind::labels(&["mask", "other"], LabelForm::NameId),
            ParameterKind::labels(&[], LabelForm::Joined),
            ParameterKind::labels(&[], LabelForm::Step),
        ];
        let list = || ParameterValue::Texts(vec!["u".to_owned()]);
        let defaults = [
            ParameterValue::Flag(true),
            ParameterValue::Integer(3),
            ParameterValue::Number(1.5),
            ParameterValue::Text("t".to_owned()),
            ParameterValue::Text("y".to_owned()),
            list(),
            ParameterValue::Text("l".to_owned()),
            list(),
            list(),
            list(),
            list(),
        ];
        for (idx, (kind, default)) in kinds.into_iter().zip(defaults).enumerate() {
            let spec = ParameterSpec::new(&format!("p{idx}"), kind, "p").unit("mm");
            operation.parameters.push(spec.default(default));
        }
        operation
            .parameters
            .push(ParameterSpec::new("q", ParameterKind::Flag, "q").required());
        operation.outputs = vec![
            OutputSpec::like_input("mask", "mask", "m").labels_of(&["mask"]),
            OutputSpec::on_own_grid("small", "s").labels_named_in(&[], "p7"),
            OutputSpec::on_own_grid("fixed", "f").fixed_labels(&["line"]),
            OutputSpec::on_own_grid("free", "f"),
        ];
        operation.artefacts = true;
        assert_eq!(operation.faults(), Vec::<String>::new());
        let service = ServiceDescription {
            name: "s".to_owned(),
            version: "2".to_owned(),
            operations: vec![operation],
        };
        assert_eq!(service_description(describe_response(&service)).unwrap(), service);

        let mut wire = describe_response(&service);
        wire.operations[0].parameters[0].kind = None;
        assert!(service_description(wire).is_err());
        let mut wire = describe_response(&service);
        wire.operations[0].help = "x".repeat(5000);
        assert!(service_description(wire).is_err());
        let mut wire = describe_response(&service);
        wire.operations = vec![wire.operations[0].clone(); 300];
        assert!(service_description(wire).is_err());
        let mut wire = describe_response(&service);
        if let Some(Kind::Labels(kind)) = &mut wire.operations[0].parameters[7].kind {
            kind.form = Some(9);
        }
        assert!(service_description(wire).is_err());
        let empty = HashMap::from([("p".to_owned(), v1::ParameterValue { value: None })]);
        assert!(parameter_values(empty).is_err());
    }
}
