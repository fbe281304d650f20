//! Reading JSON as Python writes it, and walking it with errors that name file, key and value.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::FolderError;

/// Longest excerpt of a bad value in an error message, in characters.
const MAX_SHOWN: usize = 80;
/// Values of one file, keys aside. A plans.json has some hundred, a dataset.json a few per training case; in memory a value
/// takes 30 times the two bytes that it may take in the file.
const MAX_VALUES: usize = 200_000;
/// Values within values; plans have 6.
const MAX_DEPTH: usize = 32;

/// Parses JSON as Python's `json` module writes it: a bare `NaN`, `Infinity` or `-Infinity` becomes a string of that
/// name, so that it harms only who reads that value as a number, and shows in the error message.
///
/// The number of values and their nesting are bounded while it reads; the caller bounds the size.
pub(crate) fn parse_python_json(file: &str, bytes: &[u8]) -> Result<Value, FolderError> {
    let quoted = quote_non_finite(bytes);
    let mut reader = serde_json::Deserializer::from_slice(&quoted);
    let left = Cell::new(MAX_VALUES + 1);
    let value = BoundedValue {
        left: &left,
        depth: 0,
    }
    .deserialize(&mut reader);
    let whole = value.and_then(|value| reader.end().map(|()| value));
    whole.map_err(|error| match left.get() {
        0 => FolderError::TooMany {
            file: file.to_owned(),
            what: "values",
            limit: MAX_VALUES,
        },
        _ => FolderError::Json {
            file: file.to_owned(),
            reason: error.to_string(),
        },
    })
}

/// Reads a value as `serde_json` does, but stops when there are too many or they are nested too deeply.
#[derive(Clone, Copy)]
struct BoundedValue<'a> {
    /// Values that may still come; 0 once there were too many.
    left: &'a Cell<usize>,
    depth: usize,
}

impl<'a> BoundedValue<'a> {
    fn within<E: serde::de::Error>(self) -> Result<BoundedValue<'a>, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!(
                "values are nested more than {MAX_DEPTH} deep"
            )));
        }
        Ok(BoundedValue {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for BoundedValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get().saturating_sub(1);
        self.left.set(left);
        if left == 0 {
            return Err(D::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BoundedValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let within = self.within()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(within)? {
            list.push(item);
        }
        list.shrink_to_fit();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let within = self.within()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.insert(key, entries.next_value_seed(within)?);
        }
        Ok(Value::Object(map))
    }
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

    /// The file, as errors name it.
    pub(crate) fn file(&self) -> &'a str {
        self.file
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

    /// A label id, as Python's `int()` takes it: `1`, `1.0`, `"1"`. Unlike there, `1.5` is none, nor is `true`.
    pub(crate) fn label(&self) -> Result<u16, FolderError> {
        let value = python_int(self.value).and_then(|value| u16::try_from(value).ok());
        value.ok_or_else(|| self.invalid(format!("an integer from 0 to {}", u16::MAX)))
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

/// A whole number, also where it is written with a decimal point or as text.
fn python_int(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let whole = number
                .as_f64()
                .filter(|v| v.fract() == 0.0 && v.abs() < 2f64.powi(53))?;
            Some(whole as i64) // exact below 2^53
        }),
        Value::String(text) => text_as_int(text),
        _ => None,
    }
}

/// `int(text)` of Python for decimal digits: blanks around, a sign, single underscores between digits.
pub(crate) fn text_as_int(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = digits
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    is_number.then(|| text.replace('_', "").parse().ok()).flatten()
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
    use nephrite_types::Coded;

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
    fn numbers_are_whole_as_python_takes_them() {
        let check = |value: serde_json::Value, expected: Option<u16>| {
            assert_eq!(Json::root("f", &value).label().ok(), expected, "{value}");
        };
        use serde_json::json;
        for (value, expected) in [
            (json!(3), 3),
            (json!(3.0), 3),
            (json!("3"), 3),
            (json!(" +3 "), 3),
            (json!("1_0"), 10),
            (json!("007"), 7),
            (json!(-0.0), 0),
            (json!("65535"), 65535),
        ] {
            check(value, Some(expected));
        }
        let none = [
            json!(1.5),
            json!("1.0"),
            json!("1.5"),
            json!(""),
            json!(" "),
            json!("_1"),
            json!("1__0"),
            json!("0x1"),
            json!("one"),
            json!("-1"),
            json!(-1),
            json!(65536),
            json!(1e300),
            json!("99999999999999999999"),
            json!(true),
            json!(null),
            json!([1]),
            json!({}),
            json!("NaN"),
        ];
        for value in none {
            check(value, None);
        }
    }

    #[test]
    fn many_values_and_deep_ones_are_refused_in_little_memory() {
        let many = format!("[{}0]", "[],".repeat(1_000_000));
        let error = parse_python_json("f", many.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "f: has more than 200000 values");
        assert_eq!(error.code(), nephrite_types::ErrorCode::LimitExceeded);
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_python_json("f", nested(32).as_bytes()).is_ok());
        let error = parse_python_json("f", nested(33).as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("f: is not valid JSON: values are nested more than 32 deep"),
            "{error}"
        );
        let error = parse_python_json("f", b"{} {}").unwrap_err();
        assert!(matches!(error, FolderError::Json { .. }), "{error}");
    }

    #[test]
    fn values_are_read_as_serde_json_reads_them() {
        let text = r#"{"b": [1, -2, 1.5e3, true, false, null, "\u00e9\n"], "a": {"x": {}, "y": []}, "b": 18446744073709551615}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(parse_python_json("f", text.as_bytes()).unwrap(), expected);
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
