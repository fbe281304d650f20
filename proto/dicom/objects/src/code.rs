//! Coded meanings of labels, and the table in which users write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A code of a terminology, written `SCT:64033007:Kidney`: scheme, value, meaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code {
    /// Coding scheme designator, 1 to 16 characters: `SCT`, `DCM`, `UCUM`, `99LOCAL`.
    pub scheme: String,
    /// Code value, 1 to 16 characters.
    pub value: String,
    /// Code meaning, 1 to 64 characters.
    pub meaning: String,
}

/// What is wrong with the text of a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("code {text:?}: {reason}")]
pub struct CodeFault {
    /// As written, cut to 100 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Code {
    /// A code that this source file knows to be right.
    pub(crate) fn known(scheme: &str, value: &str, meaning: &str) -> Code {
        Code {
            scheme: scheme.to_owned(),
            value: value.to_owned(),
            meaning: meaning.to_owned(),
        }
    }

    /// `SCT:85756007:Tissue`, which stands for a label without a code.
    pub fn tissue() -> Code {
        Code::known("SCT", "85756007", "Tissue")
    }
}

/// The number of characters of a text that goes into an element: none of control, no backslash, no space at an end.
fn has_form(text: &str, max_chars: usize) -> bool {
    let n_chars = text.chars().count();
    (1..=max_chars).contains(&n_chars)
        && text.trim() == text
        && !text.chars().any(|c| c.is_control() || c == '\\')
}

impl FromStr for Code {
    type Err = CodeFault;

    /// Reads `SCHEME:VALUE:MEANING`; the meaning may hold colons.
    fn from_str(text: &str) -> Result<Code, CodeFault> {
        let fault = |reason| {
            let text = text.chars().take(100).collect();
            Err(CodeFault { text, reason })
        };
        let mut parts = text.splitn(3, ':');
        let (Some(scheme), Some(value), Some(meaning)) = (parts.next(), parts.next(), parts.next()) else {
            return fault("expected SCHEME:VALUE:MEANING, as in \"SCT:64033007:Kidney\"");
        };
        if !has_form(scheme, 16) {
            return fault("the scheme has 1 to 16 characters, as \"SCT\"");
        }
        if !has_form(value, 16) {
            return fault("the value has 1 to 16 characters, as \"64033007\"");
        }
        if !has_form(meaning, 64) {
            return fault("the meaning has 1 to 64 characters, as \"Kidney\"");
        }
        Ok(Code::known(scheme, value, meaning))
    }
}

impl TryFrom<String> for Code {
    type Error = CodeFault;

    fn try_from(text: String) -> Result<Code, CodeFault> {
        text.parse()
    }
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        code.to_string()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.scheme, self.value, self.meaning)
    }
}

/// What a label means: a row of the table `codes`.
///
/// `{ category = "SCT:123037004:Anatomical Structure", type = "SCT:64033007:Kidney", modifier = "SCT:7771000:Left" }`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelCodes {
    /// What kind of thing: anatomical structure, morphologically abnormal structure …
    pub category: Code,
    /// Which thing.
    #[serde(rename = "type")]
    pub property_type: Code,
    /// Which side, or what else tells it from others of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modifier: Option<Code>,
}

impl LabelCodes {
    /// Of a label that nobody coded.
    pub fn tissue() -> LabelCodes {
        LabelCodes {
            category: Code::tissue(),
            property_type: Code::tissue(),
            modifier: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_they_are_written() {
        for text in [
            "SCT:64033007:Kidney",
            "DCM:125040:Background",
            "99X:a:b: c",
            "SCT:1:Nierenkörper",
        ] {
            let code: Code = text.parse().unwrap();
            assert_eq!(code.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let long = format!("SCT:1:{}", "x".repeat(65));
        for wrong in [
            "",
            "SCT",
            "SCT:1",
            ":1:a",
            "SCT::a",
            "SCT:1:",
            "SCT:12345678901234567:a",
            "SCT:1:a\\b",
            "SCT:1: a",
            "SCT:1:a\n",
            long.as_str(),
        ] {
            let fault = wrong.parse::<Code>().unwrap_err();
            assert!(fault.text.len() <= 100, "{fault}");
        }
    }
}
