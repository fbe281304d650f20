//! How a text of a parameter names labels.

use crate::LabelStep;

/// How a text of a parameter names labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LabelForm {
    /// The text is the name of a label.
    #[default]
    Name,
    /// `name=id`: a label, and the value that it gets in the outputs; the last `=` separates.
    NameId,
    /// One name, or several joined by `+`. A text that is a name is that name.
    Joined,
    /// [`LabelStep`]: two labels, and a third one that they give. Later texts may name it, and other parameters too.
    Step,
}

/// What a text names.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct NamedLabels {
    /// Labels that must be there.
    pub(crate) used: Vec<String>,
    /// The value that the label gets.
    pub(crate) id: Option<u16>,
    /// A label that is there from now on.
    pub(crate) given: Option<String>,
}

impl LabelForm {
    /// As descriptions print it.
    pub fn name(self) -> &'static str {
        match self {
            LabelForm::Name => "name",
            LabelForm::NameId => "name=id",
            LabelForm::Joined => "name+name",
            LabelForm::Step => "step",
        }
    }

    /// What a text names; `is_known` tells which names there are.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn read(self, text: &str, is_known: impl Fn(&str) -> bool) -> Result<NamedLabels, String> {
        let one = |name: &str| NamedLabels {
            used: vec![name.to_owned()],
            ..NamedLabels::default()
        };
        Ok(match self {
            LabelForm::Name => one(text),
            LabelForm::Joined if is_known(text) => one(text),
            LabelForm::Joined => NamedLabels {
                used: text.split('+').map(|name| name.trim().to_owned()).collect(),
                ..NamedLabels::default()
            },
            LabelForm::NameId => {
                let parts = text.rsplit_once('=');
                let parts = parts.and_then(|(name, id)| Some((name.trim(), id.trim().parse().ok()?)));
                match parts {
                    Some((name, id)) if !name.is_empty() && id > 0 => NamedLabels {
                        id: Some(id),
                        ..one(name)
                    },
                    _ => return Err("expected name=id with an id from 1 to 65535".to_owned()),
                }
            }
            LabelForm::Step => {
                let step = LabelStep::parse(text).map_err(|fault| fault.to_string())?;
                NamedLabels {
                    used: vec![step.left, step.right],
                    id: None,
                    given: Some(step.target),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: LabelForm, text: &str) -> Result<NamedLabels, String> {
        form.read(text, |name| name == "a+b")
    }

    fn used(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_form_names_its_labels() {
        assert_eq!(read(LabelForm::Name, "a=1").unwrap().used, used(&["a=1"]));
        assert_eq!(read(LabelForm::Joined, "a+b").unwrap().used, used(&["a+b"]));
        assert_eq!(read(LabelForm::Joined, "a + c").unwrap().used, used(&["a", "c"]));
        let with_id = read(LabelForm::NameId, " x=y = 7").unwrap();
        assert_eq!((with_id.used, with_id.id), (used(&["x=y"]), Some(7)));
        let step = read(LabelForm::Step, "t = a union b grown 2").unwrap();
        assert_eq!((step.used, step.given), (used(&["a", "b"]), Some("t".to_owned())));
        for text in ["a", "a=0", "a=65536", "=1", "a=x"] {
            assert!(read(LabelForm::NameId, text).is_err(), "{text}");
        }
        assert!(read(LabelForm::Step, "t = a").is_err());
    }
}
