//! Parameters with types, ranges and defaults, and values that were checked against them.

use std::collections::BTreeMap;

use nephrite_types::count;
use serde::{Deserialize, Serialize};

use crate::{LabelForm, OperationError, quoted};

/// One parameter that an operation takes.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterSpec {
    /// As in a request, a pipeline file and on the command line.
    pub name: String,
    /// What it may hold.
    pub kind: ParameterKind,
    /// Of its number, such as `mm`, `mm3` or `voxel`; empty if it has none.
    pub unit: String,
    /// Taken if the caller gives none; `None` then means that it is off.
    pub default: Option<ParameterValue>,
    /// True if every request must give it.
    pub required: bool,
    /// One sentence.
    pub help: String,
}

/// What a parameter may hold. Bounds are inclusive.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterKind {
    /// True or false.
    Flag,
    /// A whole number.
    Integer {
        /// Least.
        min: i64,
        /// Greatest.
        max: i64,
    },
    /// A finite number; whole numbers are taken too.
    Number {
        /// Least.
        min: f64,
        /// Greatest.
        max: f64,
    },
    /// Any text.
    Text,
    /// One of these texts.
    Choice(Vec<String>),
    /// A list of texts.
    Texts,
    /// The name of a label; its value is a text. One that no mask names is refused.
    Label {
        /// Names of the inputs whose masks must name it; all of them if empty.
        inputs: Vec<String>,
    },
    /// Names of labels; its value is a list of texts. One that no mask names is refused.
    Labels {
        /// Names of the inputs whose masks must name them; all of them if empty.
        inputs: Vec<String>,
        /// How a text names labels.
        form: LabelForm,
    },
}

/// A value that somebody gave. In reports and records it is the JSON value: true, 3, 2.5, "text", ["a", "b"].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[allow(missing_docs)] // the names say it all
pub enum ParameterValue {
    Flag(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    Texts(Vec<String>),
}

/// Checked values of all parameters that were given or have a default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters {
    values: BTreeMap<String, ParameterValue>,
}

/// Texts of a list.
const MAX_TEXTS: usize = 4096;
/// Bytes of one text.
const MAX_TEXT_BYTES: usize = 4096;

impl ParameterKind {
    /// A choice of these.
    pub fn choice(choices: &[&str]) -> ParameterKind {
        ParameterKind::Choice(choices.iter().map(|choice| (*choice).to_owned()).collect())
    }

    /// The name of a label of these inputs.
    pub fn label(inputs: &[&str]) -> ParameterKind {
        ParameterKind::Label {
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
        }
    }

    /// Names of labels of these inputs.
    pub fn labels(inputs: &[&str], form: LabelForm) -> ParameterKind {
        ParameterKind::Labels {
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            form,
        }
    }

    /// The inputs whose labels it names; `None` if it names none.
    pub(crate) fn label_inputs(&self) -> Option<&[String]> {
        match self {
            ParameterKind::Label { inputs } | ParameterKind::Labels { inputs, .. } => Some(inputs),
            _ => None,
        }
    }

    /// True if each text is one label.
    pub(crate) fn lists_labels(&self) -> bool {
        let form = match self {
            ParameterKind::Labels { form, .. } => form,
            _ => return false,
        };
        matches!(form, LabelForm::Name | LabelForm::NameId)
    }

    /// From a text, as the command line gives it; a list is separated by commas.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(&self, text: &str) -> Result<ParameterValue, String> {
        let value = match self {
            ParameterKind::Flag => text.parse().ok().map(ParameterValue::Flag),
            ParameterKind::Integer { .. } => text.parse().ok().map(ParameterValue::Integer),
            ParameterKind::Number { .. } => text.parse().ok().map(ParameterValue::Number),
            ParameterKind::Text | ParameterKind::Choice(_) | ParameterKind::Label { .. } => {
                Some(ParameterValue::Text(text.to_owned()))
            }
            ParameterKind::Texts | ParameterKind::Labels { .. } => {
                let entries = text.split(',').map(|entry| entry.trim().to_owned());
                Some(ParameterValue::Texts(
                    entries.filter(|entry| !entry.is_empty()).collect(),
                ))
            }
        };
        value.ok_or_else(|| self.expected())
    }

    /// What it may hold, in words.
    pub fn expected(&self) -> String {
        match self {
            ParameterKind::Flag => "true or false".to_owned(),
            ParameterKind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            ParameterKind::Number { min, max } => format!("a number from {min} to {max}"),
            ParameterKind::Text => "a text of at most 4096 bytes".to_owned(),
            ParameterKind::Choice(choices) => format!("one of {}", choices.join(", ")),
            ParameterKind::Texts => "a list of at most 4096 texts, each of at most 4096 bytes".to_owned(),
            ParameterKind::Label { .. } => "the name of a label, of at most 4096 bytes".to_owned(),
            ParameterKind::Labels { .. } => {
                "a list of at most 4096 names of labels, each of at most 4096 bytes".to_owned()
            }
        }
    }

    /// The value as this kind holds it; `None` if it cannot.
    fn accept(&self, value: &ParameterValue) -> Option<ParameterValue> {
        let accepted = match (self, value) {
            (ParameterKind::Flag, ParameterValue::Flag(_)) => true,
            (ParameterKind::Integer { min, max }, ParameterValue::Integer(n)) => (min..=max).contains(&n),
            (ParameterKind::Number { min, max }, ParameterValue::Integer(n)) => {
                let number = *n as f64; // exact for every number that fits a sensible range
                let inside = (*min..=*max).contains(&number);
                return inside.then_some(ParameterValue::Number(number));
            }
            // NaN is in no range.
            (ParameterKind::Number { min, max }, ParameterValue::Number(x)) => {
                x.is_finite() && (min..=max).contains(&x)
            }
            (ParameterKind::Text | ParameterKind::Label { .. }, ParameterValue::Text(text)) => {
                text.len() <= MAX_TEXT_BYTES
            }
            (ParameterKind::Choice(choices), ParameterValue::Text(text)) => choices.contains(text),
            (ParameterKind::Texts | ParameterKind::Labels { .. }, ParameterValue::Texts(texts)) => {
                texts.len() <= MAX_TEXTS && texts.iter().all(|text| text.len() <= MAX_TEXT_BYTES)
            }
            _ => false,
        };
        accepted.then(|| value.clone())
    }
}

/// In words, with its type, for errors: `the whole number 3`, `a list of 6 texts`.
impl std::fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ParameterValue::Flag(flag) => write!(f, "{flag}"),
            ParameterValue::Integer(n) => write!(f, "the whole number {n}"),
            ParameterValue::Number(x) => write!(f, "the number {x}"),
            ParameterValue::Text(text) => write!(f, "the text {}", quoted(text)),
            ParameterValue::Texts(texts) => write!(f, "a list of {}", count(texts.len(), "text")),
        }
    }
}

impl ParameterSpec {
    /// A parameter that is off unless it is given.
    pub fn new(name: &str, kind: ParameterKind, help: &str) -> ParameterSpec {
        ParameterSpec {
            name: name.to_owned(),
            kind,
            unit: String::new(),
            default: None,
            required: false,
            help: help.to_owned(),
        }
    }

    /// The same, with a unit.
    pub fn unit(mut self, unit: &str) -> ParameterSpec {
        self.unit = unit.to_owned();
        self
    }

    /// The same, with a default.
    pub fn default(mut self, value: ParameterValue) -> ParameterSpec {
        self.default = Some(value);
        self
    }

    /// The same, but every request must give it.
    pub fn required(mut self) -> ParameterSpec {
        self.required = true;
        self
    }

    /// What contradicts itself.
    pub(crate) fn fault(&self) -> Option<String> {
        let bounds = match &self.kind {
            ParameterKind::Integer { min, max } => min <= max,
            ParameterKind::Number { min, max } => min <= max, // also false for NaN
            ParameterKind::Choice(choices) => !choices.is_empty(),
            _ => true,
        };
        if !bounds {
            return Some(format!("parameter {} has an empty range", self.name));
        }
        if self.required && self.default.is_some() {
            return Some(format!("parameter {} is required and has a default", self.name));
        }
        let default = self.default.as_ref()?;
        let refused = self.kind.accept(default).is_none();
        refused.then(|| format!("the default of parameter {} is outside of its range", self.name))
    }
}

impl Parameters {
    /// Checks what was given against what an operation takes, and adds the defaults.
    ///
    /// # Errors
    /// [`OperationError::UnknownParameter`], [`OperationError::ParameterValue`], [`OperationError::MissingParameter`].
    pub fn check(
        specs: &[ParameterSpec],
        given: &BTreeMap<String, ParameterValue>,
    ) -> Result<Parameters, OperationError> {
        if let Some(name) = given
            .keys()
            .find(|name| !specs.iter().any(|spec| spec.name == **name))
        {
            return Err(OperationError::UnknownParameter {
                name: name.chars().take(64).collect(),
                known: specs.iter().map(|spec| spec.name.clone()).collect(),
            });
        }
        let mut values = BTreeMap::new();
        for spec in specs {
            let value = match given.get(&spec.name) {
                Some(value) => {
                    Some(
                        spec.kind
                            .accept(value)
                            .ok_or_else(|| OperationError::ParameterValue {
                                name: spec.name.clone(),
                                found: value.to_string(),
                                expected: spec.kind.expected(),
                            })?,
                    )
                }
                None if spec.required => {
                    return Err(OperationError::MissingParameter {
                        name: spec.name.clone(),
                    });
                }
                // A default may be written as a whole number, too.
                None => spec.default.as_ref().and_then(|value| spec.kind.accept(value)),
            };
            values.extend(value.map(|value| (spec.name.clone(), value)));
        }
        Ok(Parameters { values })
    }

    /// All values, by name.
    pub fn values(&self) -> &BTreeMap<String, ParameterValue> {
        &self.values
    }

    /// True if the parameter was given or has a default.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// False if it is off.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(ParameterValue::Flag(true)))
    }

    /// `None` if it is off.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.values.get(name)? {
            ParameterValue::Integer(n) => Some(*n),
            _ => None,
        }
    }

    /// `None` if it is off.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.values.get(name)? {
            ParameterValue::Number(x) => Some(*x),
            _ => None,
        }
    }

    /// `None` if it is off.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name)? {
            ParameterValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Empty if it is off.
    ///
    /// # Errors
    /// [`OperationError::Internal`] if the operation's own description says that it is not a list.
    pub fn texts(&self, name: &str) -> Result<&[String], OperationError> {
        match self.values.get(name) {
            None => Ok(&[]),
            Some(ParameterValue::Texts(texts)) => Ok(texts),
            Some(_) => Err(OperationError::Internal {
                what: format!("parameter {name} is not a list"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs() -> Vec<ParameterSpec> {
        vec![
            ParameterSpec::new("radius_mm", ParameterKind::Number { min: 0.0, max: 100.0 }, "").unit("mm"),
            ParameterSpec::new("k", ParameterKind::Integer { min: 1, max: 9 }, "")
                .default(ParameterValue::Integer(1)),
            ParameterSpec::new("mode", ParameterKind::choice(&["a", "b"]), ""),
            ParameterSpec::new("all", ParameterKind::Flag, ""),
            ParameterSpec::new("labels", ParameterKind::labels(&[], LabelForm::Name), ""),
            ParameterSpec::new("near", ParameterKind::label(&[]), ""),
            ParameterSpec::new("notes", ParameterKind::Texts, ""),
        ]
    }

    fn check(name: &str, value: ParameterValue) -> Result<Parameters, OperationError> {
        Parameters::check(&specs(), &BTreeMap::from([(name.to_owned(), value)]))
    }

    #[test]
    fn values_are_typed_and_in_range_and_known() {
        use ParameterValue::*;
        assert_eq!(
            check("radius_mm", Integer(3)).unwrap().number("radius_mm"),
            Some(3.0)
        );
        assert_eq!(
            check("all", Flag(true)).unwrap().integer("k"),
            Some(1),
            "the default"
        );
        assert!(check("all", Flag(true)).unwrap().flag("all"));
        for (name, value) in [
            ("radius_mm", Number(f64::NAN)),
            ("radius_mm", Number(f64::INFINITY)),
            ("radius_mm", Number(-0.1)),
            ("radius_mm", Integer(101)),
            ("radius_mm", Text("3".into())),
            ("k", Integer(0)),
            ("k", Number(1.0)),
            ("mode", Text("c".into())),
            ("all", Integer(1)),
            ("labels", Text("a".into())),
            ("labels", Texts(vec!["x".repeat(5000)])),
            ("notes", Texts(vec!["x".repeat(5000)])),
            ("near", Texts(vec!["a".into()])),
            ("near", Integer(1)),
        ] {
            let found = check(name, value.clone());
            assert!(
                matches!(found, Err(OperationError::ParameterValue { .. })),
                "{name} {value:?}: {found:?}"
            );
        }
        let unknown = check("radius", Number(1.0));
        assert!(
            matches!(unknown, Err(OperationError::UnknownParameter { .. })),
            "{unknown:?}"
        );
        let needed = [ParameterSpec::new("x", ParameterKind::Flag, "").required()];
        let missing = Parameters::check(&needed, &BTreeMap::new());
        assert!(
            matches!(missing, Err(OperationError::MissingParameter { .. })),
            "{missing:?}"
        );
    }

    #[test]
    fn a_value_is_told_with_its_type() {
        let told = |value: ParameterValue| check("k", value).unwrap_err().to_string();
        let expected = "expected a whole number from 1 to 9";
        use ParameterValue::*;
        assert_eq!(
            told(Number(1.0)),
            format!("parameter k is the number 1, {expected}")
        );
        assert_eq!(
            told(Number(f64::NAN)),
            format!("parameter k is the number NaN, {expected}")
        );
        assert_eq!(
            told(Integer(0)),
            format!("parameter k is the whole number 0, {expected}")
        );
        assert_eq!(told(Flag(true)), format!("parameter k is true, {expected}"));
        assert_eq!(
            told(Text("a\n\"".into())),
            format!(r#"parameter k is the text "a\n\"", {expected}"#)
        );
        assert_eq!(
            told(Texts(vec![String::new()])),
            format!("parameter k is a list of 1 text, {expected}")
        );
    }

    #[test]
    fn a_value_is_itself_in_json() {
        use ParameterValue::*;
        let check = |value: ParameterValue, json: &str| {
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(serde_json::from_str::<ParameterValue>(json).unwrap(), value);
        };
        check(Flag(true), "true");
        check(Integer(-3), "-3");
        check(Number(3.0), "3.0");
        check(Number(0.1), "0.1");
        check(Text("true".into()), "\"true\"");
        check(Text("x".repeat(100)), &format!("\"{}\"", "x".repeat(100)));
        check(Texts(vec!["a".into(), "b=1".into()]), r#"["a","b=1"]"#);
    }

    #[test]
    fn texts_become_values() {
        let kinds = specs();
        assert_eq!(kinds[0].kind.parse("2.5"), Ok(ParameterValue::Number(2.5)));
        assert_eq!(kinds[1].kind.parse("2"), Ok(ParameterValue::Integer(2)));
        assert!(kinds[1].kind.parse("2.5").is_err());
        assert!(kinds[3].kind.parse("yes").is_err());
        let list = ParameterValue::Texts(vec!["a".into(), "b".into()]);
        assert_eq!(kinds[4].kind.parse("a, b,"), Ok(list));
    }
}
