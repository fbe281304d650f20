//! One value of a file: what it is, and how messages show it.

use toml::de::{DeArray, DeValue};

/// One value as it stands in a file.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a>(pub(crate) &'a DeValue<'a>);

impl<'a> Value<'a> {
    /// A text.
    pub fn text(self) -> Option<&'a str> {
        self.0.as_str()
    }

    /// A whole number.
    pub fn whole(self) -> Option<i64> {
        let integer = self.0.as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    /// A finite number; whole ones count too.
    pub fn number(self) -> Option<f64> {
        let number = match self.0 {
            DeValue::Float(float) => float.as_str().parse().ok()?,
            _ => self.whole()? as f64, // exact up to 2^53
        };
        Some(number).filter(|number: &f64| number.is_finite())
    }

    /// True or false.
    pub fn flag(self) -> Option<bool> {
        self.0.as_bool()
    }

    /// The entries of a list.
    pub fn list(self) -> Option<impl ExactSizeIterator<Item = Value<'a>>> {
        let entries = self.0.as_array()?.iter();
        Some(entries.map(|entry| Value(entry.get_ref())))
    }

    /// An integer, even one that does not fit into 64 bits.
    pub(crate) fn is_integer(self) -> bool {
        self.0.as_integer().is_some()
    }

    /// A float, even one that is no finite number.
    pub(crate) fn is_float(self) -> bool {
        self.0.as_float().is_some()
    }

    /// As messages show it: no longer than a line, without characters that steer a terminal.
    pub(crate) fn shown(self) -> String {
        match self.0 {
            DeValue::Array(array) => shown_list(array),
            _ => self.shown_in_list(),
        }
    }

    fn shown_in_list(self) -> String {
        match self.0 {
            DeValue::String(text) => shown_text(text),
            DeValue::Integer(integer) => format!("{:.64}", integer.to_string()),
            DeValue::Float(float) => format!("{:.64}", float.to_string()),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(array) => format!("a list of {}", array.len()),
            DeValue::Table(table) if table.is_empty() => "{}".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }
}

/// In quotes, of the first characters only.
pub(crate) fn shown_text(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

/// A name as it may stand in a file: in quotes unless it is plain.
pub(crate) fn shown_key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        name.to_owned()
    } else {
        shown_text(name)
    }
}

fn shown_list(array: &DeArray<'_>) -> String {
    if array.len() > 4 {
        return format!("a list of {}", array.len());
    }
    let entries: Vec<String> = array
        .iter()
        .map(|entry| Value(entry.get_ref()).shown_in_list())
        .collect();
    format!("[{}]", entries.join(", "))
}
