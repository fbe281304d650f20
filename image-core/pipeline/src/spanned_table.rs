//! A TOML table that knows its lines, emptied key by key; what is left over is unknown.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Fault, PipelineFault};

/// Turns positions into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    pub(crate) fn of(text: &str) -> Lines {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Lines {
            starts: std::iter::once(0).chain(ends.map(|(idx, _)| idx + 1)).collect(),
        }
    }

    /// Counted from 1.
    pub(crate) fn line(&self, span: &Range<usize>) -> usize {
        self.starts.partition_point(|start| *start <= span.start)
    }
}

/// One table on its way into a checked value.
pub(crate) struct SpannedTable<'a, 't> {
    /// Names the table in faults; ends in a dot unless it is the file.
    name: String,
    line: usize,
    table: &'a DeTable<'t>,
    known: Vec<&'static str>,
    lines: &'a Lines,
}

impl<'a, 't> SpannedTable<'a, 't> {
    pub(crate) fn new(name: &str, line: usize, table: &'a DeTable<'t>, lines: &'a Lines) -> Self {
        SpannedTable {
            name: name.to_owned(),
            line,
            table,
            known: Vec::new(),
            lines,
        }
    }

    pub(crate) fn line(&self) -> usize {
        self.line
    }

    pub(crate) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.name)
    }

    /// The value of a key and its line; from now on the key is known.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<(&'a DeValue<'t>, usize)> {
        self.known.push(key);
        let found = self.table.iter().find(|(name, _)| name.get_ref() == key);
        found.map(|(_, value)| (value.get_ref(), self.lines.line(&value.span())))
    }

    /// The converted value; `None` if the key is not there, or its value cannot be, which is noted.
    pub(crate) fn take<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        faults: &mut Vec<Fault>,
        convert: impl FnOnce(&DeValue<'t>) -> Option<T>,
    ) -> Option<T> {
        let (value, line) = self.get(key)?;
        let converted = convert(value);
        if converted.is_none() {
            faults.push(Fault {
                line,
                fault: PipelineFault::Value {
                    key: self.key(key),
                    found: shown(value),
                    expected,
                },
            });
        }
        converted
    }

    /// The same for a key that must be there.
    pub(crate) fn require<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        faults: &mut Vec<Fault>,
        convert: impl FnOnce(&DeValue<'t>) -> Option<T>,
    ) -> Option<T> {
        if !self.table.iter().any(|(name, _)| name.get_ref() == key) {
            self.known.push(key);
            faults.push(Fault {
                line: self.line,
                fault: PipelineFault::Missing { key: self.key(key) },
            });
            return None;
        }
        self.take(key, expected, faults, convert)
    }

    /// Notes the keys that nobody asked for.
    pub(crate) fn finish(self, faults: &mut Vec<Fault>) {
        let unknown = self
            .table
            .iter()
            .filter(|(name, _)| !self.known.contains(&name.get_ref().as_ref()));
        faults.extend(unknown.map(|(name, _)| Fault {
            line: self.lines.line(&name.span()),
            fault: PipelineFault::UnknownKey {
                key: self.key(name.get_ref()),
                known: self.known.clone(),
            },
        }));
    }
}

/// Tables of `[[key]]`, with their lines.
pub(crate) fn tables<'a, 't>(value: &'a DeValue<'t>, lines: &Lines) -> Option<Vec<(&'a DeTable<'t>, usize)>> {
    let array = value.as_array()?;
    let table = |entry: &'a Spanned<DeValue<'t>>| {
        let line = lines.line(&entry.span());
        entry.get_ref().as_table().map(|table| (table, line))
    };
    array.iter().map(table).collect()
}

pub(crate) fn text(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(crate) fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    value
        .as_array()?
        .iter()
        .map(|entry| text(entry.get_ref()))
        .collect()
}

pub(crate) fn flag(value: &DeValue<'_>) -> Option<bool> {
    value.as_bool()
}

pub(crate) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Finite; whole numbers count too.
pub(crate) fn number(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        DeValue::Float(float) => float.as_str().parse().ok()?,
        other => integer(other)? as f64, // exact for every sensible value
    };
    Some(number).filter(|number: &f64| number.is_finite())
}

/// A value as messages show it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{:.64?}", text),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(array) => format!("a list of {}", array.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
