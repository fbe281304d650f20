//! Reading JSON as Python writes it, and walking it with errors that name file, key and value.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::FolderError;

/// Longest excerpt of a bad value in an error message, in characters.
const MAX_SHOWN: usize = 80;

/// Parses JSON as Python's `json` module writes it: a bare `NaN`, `Infinity` or `-Infinity` becomes a string of that
/// name, so that it harms only who reads that value as a number, and shows in the error message.
///
/// Nesting is bounded by `serde_json` (128 levels); the caller bounds the size.
pub(crate) fn parse_python_json(file: &str, bytes: &[u8]) -> Result<Value, FolderError> {
    serde_json::from_slice(&quote_non_finite(bytes)).map_err(|error| FolderError::Json {
        file: file.to_owned(),
        reason: error.to_string(),
    })
}

fn quote_non_finite(bytes: &[u8]) -> Cow<'_, [u8]> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut quoted: Option<Vec<u8>> = None; // most files have none
    let mut in_string = false;
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        let mut len = 1;
        let mut is_word = false;
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => len = 2,
            b'-' | b'I' | b'N' if !in_string => {
                if let Some(word) = WORDS.into_iter().find(|word| bytes[i..].starts_with(word)) {
                    (len, is_word) = (word.len(), true);
                }
            }
            _ => {}
        }
        let end = (i + len).min(bytes.len());
        if is_word {
            let out = quoted.get_or_insert_with(|| bytes[..i].to_vec());
            out.push(b'"');
            out.extend_from_slice(&bytes[i..end]);
            out.push(b'"');
        } else if let Some(out) = &mut quoted {
            out.extend_from_slice(&bytes[i..end]);
        }
        i = end;
    }
    quoted.map_or(Cow::Borrowed(bytes), Cow::Owned)
}

/// A JSON value, with the file and the dotted key path that lead to it.
#[derive(Debug, Clone)]
pub(crate) struct Json<'a> {
    file: &'a str,
    key: String,
    value: &'a Value,
}

impl<'a> Json<'a> {
    pub(crate) fn root(file: &'a str, value: &'a Value) -> Self {
        Json {
            file,
            key: String::new(),
            value,
        }
    }

    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// The error that this value should have been something else.
    pub(crate) fn invalid(&self, expected: impl Into<String>) -> FolderError {
        FolderError::InvalidValue {
            file: self.file.to_owned(),
            key: self.shown_key(),
            expected: expected.into(),
            found: shorten(self.value),
        }
    }

    /// The error that this value is a name without an implementation.
    pub(crate) fn unknown_name(&self, found: &str, known: &[&str]) -> FolderError {
        FolderError::UnknownName {
            file: self.file.to_owned(),
            key: self.shown_key(),
            found: found.chars().take(MAX_SHOWN).collect(),
            known: known.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// The value under `key`, if there is one and it is not null.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Json<'a>>, FolderError> {
        Ok(self.get_or_null(key)?.filter(|value| !value.is_null()))
    }

    /// The value under `key`, if there is one; null is a value.
    pub(crate) fn get_or_null(&self, key: &str) -> Result<Option<Json<'a>>, FolderError> {
        Ok(self.object()?.get(key).map(|value| self.child(key, value)))
    }

    pub(crate) fn require(&self, key: &str) -> Result<Json<'a>, FolderError> {
        self.get_or_null(key)?.ok_or_else(|| FolderError::MissingKey {
            file: self.file.to_owned(),
            key: self.join(key),
        })
    }

    pub(crate) fn object(&self) -> Result<&'a Map<String, Value>, FolderError> {
        self.value.as_object().ok_or_else(|| self.invalid("an object"))
    }

    /// Entries of an object in file order.
    pub(crate) fn entries(&self) -> Result<Vec<(&'a str, Json<'a>)>, FolderError> {
        Ok(self
            .object()?
            .iter()
            .map(|(key, value)| (key.as_str(), self.child(key, value)))
            .collect())
    }

    /// Elements of a list of at most `limit`.
    pub(crate) fn list(&self, limit: usize) -> Result<Vec<Json<'a>>, FolderError> {
        let list = self.value.as_array().ok_or_else(|| self.invalid("a list"))?;
        if list.len() > limit {
            return Err(self.invalid(format!("a list of at most {limit}")));
        }
        Ok(list
            .iter()
            .enumerate()
            .map(|(i, value)| self.child(&i.to_string(), value))
            .collect())
    }

    pub(crate) fn text(&self) -> Result<&'a str, FolderError> {
        self.value.as_str().ok_or_else(|| self.invalid("a string"))
    }

    pub(crate) fn flag(&self) -> Result<bool, FolderError> {
        self.value.as_bool().ok_or_else(|| self.invalid("true or false"))
    }

    /// A finite number.
    pub(crate) fn number(&self) -> Result<f64, FolderError> {
        self.value
            .as_f64()
            .filter(|v| v.is_finite())
            .ok_or_else(|| self.invalid("a finite number"))
    }

    /// A whole number within a range.
    pub(crate) fn integer(&self, range: std::ops::RangeInclusive<u64>) -> Result<u64, FolderError> {
        self.value
            .as_u64()
            .filter(|v| range.contains(v))
            .ok_or_else(|| self.invalid(format!("an integer from {} to {}", range.start(), range.end())))
    }

    /// A whole number within a range, as an array index or length.
    pub(crate) fn index(&self, range: std::ops::RangeInclusive<usize>) -> Result<usize, FolderError> {
        let value = self.integer(*range.start() as u64..=*range.end() as u64)?;
        usize::try_from(value).map_err(|_| self.invalid("an index"))
    }

    /// A label id.
    pub(crate) fn label(&self) -> Result<u16, FolderError> {
        let value = self.integer(0..=u64::from(u16::MAX))?;
        u16::try_from(value).map_err(|_| self.invalid("a label"))
    }

    fn child(&self, key: &str, value: &'a Value) -> Json<'a> {
        Json {
            file: self.file,
            key: self.join(key),
            value,
        }
    }

    fn join(&self, key: &str) -> String {
        let key: String = key.chars().take(MAX_SHOWN).collect();
        if self.key.is_empty() {
            key
        } else {
            format!("{}.{key}", self.key)
        }
    }

    fn shown_key(&self) -> String {
        if self.key.is_empty() {
            "the whole file".to_owned()
        } else {
            self.key.clone()
        }
    }
}

/// A value as an error message shows it.
fn shorten(value: &Value) -> String {
    match value {
        Value::Array(list) if list.len() <= 8 && list.iter().all(|v| !v.is_array() && !v.is_object()) => {
            format!("[{}]", list.iter().map(shorten).collect::<Vec<_>>().join(", "))
        }
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(map) => format!("an object of {}", map.len()),
        Value::String(text) => format!("{:?}", text.chars().take(MAX_SHOWN).collect::<String>()),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_number_words_become_strings_outside_of_strings_only() {
        let json = br#"{"a": NaN, "b": [-Infinity, Infinity, -1], "NaN \" NaN": "Infinity\\"}"#;
        let value = parse_python_json("f", json).unwrap();
        assert_eq!(value["a"], "NaN");
        assert_eq!(value["b"], serde_json::json!(["-Infinity", "Infinity", -1]));
        assert_eq!(value["NaN \" NaN"], "Infinity\\");
        let error = Json::root("f", &value)
            .require("a")
            .unwrap()
            .number()
            .unwrap_err();
        assert_eq!(error.to_string(), "f: a must be a finite number, found \"NaN\"");
    }

    #[test]
    fn broken_and_deeply_nested_json_is_refused() {
        for bytes in [&b"{"[..], b"", b"\\", b"\"\\", &[b'['; 100_000], b"{\"a\": nan}"] {
            assert!(matches!(
                parse_python_json("f", bytes),
                Err(FolderError::Json { .. })
            ));
        }
    }

    #[test]
    fn long_values_are_shortened_in_messages() {
        let value = serde_json::json!({ "a": "x".repeat(10_000), "b": vec![1; 10_000] });
        let json = Json::root("f", &value);
        for key in ["a", "b"] {
            let message = json.require(key).unwrap().flag().unwrap_err().to_string();
            assert!(message.len() < 200, "{message}");
        }
    }
}
