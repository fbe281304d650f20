//! DICOM JSON (PS3.18, F): only what is asked for is kept of an answer, so memory follows its rows and not its bytes.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// Most characters that a value may have which is kept.
const MAX_TEXT: usize = 128;
/// Items of a sequence within a row.
const MAX_ITEMS: usize = 100_000;

/// The first value of an element, as text; `None` if it has none, or one that is no text and no number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct First(pub(crate) Option<String>);

/// The items of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Items<T>(pub(crate) Vec<T>);

impl<T> Default for Items<T> {
    fn default() -> Self {
        Items(Vec::new())
    }
}

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut first = First(None);
        let take = |Scalar(text)| {
            first.0 = first.0.take().or(text);
            Ok(())
        };
        deserializer.deserialize_map(ElementVisitor {
            take,
            kind: PhantomData,
        })?;
        Ok(first)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut items = Vec::new();
        let take = |item| {
            items.push(item);
            match items.len() <= MAX_ITEMS {
                true => Ok(()),
                false => Err("has too many items".to_owned()),
            }
        };
        deserializer.deserialize_map(ElementVisitor {
            take,
            kind: PhantomData,
        })?;
        Ok(Items(items))
    }
}

/// Gives each object of a list in JSON to `take`, one after the other.
///
/// # Errors
/// What is wrong, in words that tell nothing of the content.
pub(crate) fn rows<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    take: impl FnMut(T) -> Result<(), String>,
) -> Result<(), D::Error> {
    let list = List {
        take,
        kind: PhantomData,
    };
    list.deserialize(deserializer)
}

/// `{"vr": "UI", "Value": [...]}`
struct ElementVisitor<T, F> {
    take: F,
    kind: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> Result<(), String>> Visitor<'de> for ElementVisitor<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a DICOM element")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(is_value) = map.next_key_seed(IsValue)? {
            if is_value {
                map.next_value_seed(List {
                    take: &mut self.take,
                    kind: PhantomData,
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Whether a key is `Value`.
struct IsValue;

impl<'de> DeserializeSeed<'de> for IsValue {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = bool;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<bool, E> {
                Ok(name == "Value")
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// A list whose entries are given away one by one.
struct List<T, F> {
    take: F,
    kind: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> Result<(), String>> DeserializeSeed<'de> for List<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> Result<(), String>> Visitor<'de> for List<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element()? {
            (self.take)(entry).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// A text or a number, as text; `None` for anything else, and for what is longer than any value that is asked for.
struct Scalar(Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                let text = text.trim_matches([' ', '\0']);
                Ok(Scalar((text.len() <= MAX_TEXT).then(|| text.to_owned())))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(Some(number.to_string())))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(Some(number.to_string())))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar(Some(number.to_string())))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Scalar, E> {
                Ok(Scalar(None))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
                Ok(Scalar(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// What is wrong with an answer, without anything that it holds: serde's messages may show values.
pub(crate) fn fault(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Io => "cannot be read again from the disk".to_owned(),
        Category::Syntax => format!("is no JSON (line {line}, column {column})"),
        Category::Data => format!("is no list of DICOM objects (line {line}, column {column})"),
        Category::Eof => "ends early".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Row {
        #[serde(rename = "0020000E", default)]
        series: First,
        #[serde(rename = "00081198", default)]
        failed: Items<Row>,
    }

    fn read(text: &str) -> Result<Vec<Row>, serde_json::Error> {
        let mut found = Vec::new();
        rows(&mut serde_json::Deserializer::from_str(text), |row| {
            found.push(row);
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn first_values_and_items_are_kept() {
        let text = r#"[{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]},
            "0020000E": {"vr": "UI", "Value": ["1.2", "3"]},
            "00081198": {"vr": "SQ", "Value": [{"0020000E": {"vr": "IS", "Value": [7]}}, {}]}},
            {"0020000E": {"vr": "UI"}}, {"0020000E": {"Value": [null, {"a": [1]}, [2]], "vr": "UI"}}]"#;
        let rows = read(text).unwrap();
        let series: Vec<Option<&str>> = rows.iter().map(|row| row.series.0.as_deref()).collect();
        assert_eq!(series, [Some("1.2"), None, None]);
        let items: Vec<Option<&str>> = rows[0]
            .failed
            .0
            .iter()
            .map(|row| row.series.0.as_deref())
            .collect();
        assert_eq!(items, [Some("7"), None]);
        let long = format!(r#"[{{"0020000E": {{"Value": ["{}"]}}}}]"#, "1".repeat(200));
        assert_eq!(read(&long).unwrap()[0].series, First(None));
    }

    #[test]
    fn faults_show_nothing_of_the_content() {
        let cases = [
            ("{\"SECRET\": 1}", "no list"),
            ("[\"SECRET\"]", "no list"),
            ("[{\"0020000E\": \"SECRET\"}]", "no list"),
            ("[{\"0020000E\": {\"Value\": \"SECRET\"}}]", "no list"),
            ("<SECRET/>", "no JSON"),
            ("[{}", "ends early"),
        ];
        for (text, expected) in cases {
            let told = fault(&read(text).unwrap_err());
            assert!(
                told.contains(expected) && !told.contains("SECRET"),
                "{text}: {told}"
            );
        }
    }
}
