//! Values that a parameter must not take.

use nephrite_kernel::{LabelForm, ParameterKind, ParameterValue};

/// Of another type, with words for them.
pub(crate) fn of_another_type(kind: &ParameterKind) -> Vec<ParameterValue> {
    use ParameterValue::*;
    let text = || Text("1".to_owned());
    let texts = || Texts(vec!["label_1".to_owned()]);
    match kind {
        ParameterKind::Flag => vec![Integer(1), Number(1.0), text(), texts()],
        ParameterKind::Integer { min, .. } => vec![Number(*min as f64), Flag(true), text(), texts()],
        ParameterKind::Number { .. } => vec![Flag(true), text(), texts()],
        ParameterKind::Text | ParameterKind::Label { .. } => {
            vec![Flag(true), Integer(1), Number(1.0), texts()]
        }
        ParameterKind::Choice(choices) => vec![Flag(true), Integer(0), Number(0.0), Texts(choices.clone())],
        ParameterKind::Texts | ParameterKind::Labels { .. } => {
            vec![Flag(true), Integer(1), Number(1.0), Text("label_1".to_owned())]
        }
    }
}

/// Of the right type, out of range.
pub(crate) fn out_of_range(kind: &ParameterKind) -> Vec<ParameterValue> {
    use ParameterValue::*;
    match kind {
        ParameterKind::Integer { min, max } => {
            let outside = [min.checked_sub(1), max.checked_add(1)];
            outside.into_iter().flatten().map(Integer).collect()
        }
        ParameterKind::Number { min, max } => {
            let step = |bound: f64| bound.abs().max(1.0) * 1e-6;
            let outside = [
                min - step(*min),
                max + step(*max),
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
            ];
            outside.into_iter().map(Number).collect()
        }
        ParameterKind::Choice(_) => vec![Text("no such choice".to_owned()), Text(String::new())],
        ParameterKind::Flag
        | ParameterKind::Text
        | ParameterKind::Texts
        | ParameterKind::Label { .. }
        | ParameterKind::Labels { .. } => Vec::new(),
    }
}

/// Of the right type, with a label that no mask of the kit names.
pub(crate) fn of_unknown_labels(kind: &ParameterKind) -> Option<ParameterValue> {
    const NAME: &str = "no such label";
    let one = |text: String| ParameterValue::Texts(vec![text]);
    Some(match kind {
        ParameterKind::Label { .. } => ParameterValue::Text(NAME.to_owned()),
        ParameterKind::Labels { form, .. } => one(match form {
            LabelForm::Name => NAME.to_owned(),
            LabelForm::NameId => format!("{NAME}=1"),
            LabelForm::Joined => format!("label_1+{NAME}"),
            LabelForm::Step => format!("label_1 = label_1 union \"{NAME}\""),
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nephrite_kernel::{ParameterSpec, Parameters};

    use super::*;

    #[test]
    fn the_kernel_refuses_all_of_them() {
        for kind in [
            ParameterKind::Flag,
            ParameterKind::Integer {
                min: i64::MIN,
                max: 5,
            },
            ParameterKind::Integer { min: 1, max: 5 },
            ParameterKind::Number { min: 0.0, max: 1e9 },
            ParameterKind::Number {
                min: -2.5,
                max: f64::MAX,
            },
            ParameterKind::Text,
            ParameterKind::choice(&["a", "b"]),
            ParameterKind::Texts,
            ParameterKind::label(&[]),
            ParameterKind::labels(&[], LabelForm::Step),
        ] {
            let specs = [ParameterSpec::new("p", kind.clone(), "")];
            for value in of_another_type(&kind).into_iter().chain(out_of_range(&kind)) {
                let given = BTreeMap::from([("p".to_owned(), value.clone())]);
                assert!(Parameters::check(&specs, &given).is_err(), "{kind:?} {value:?}");
            }
        }
    }
}
