//! A TOML table that is emptied key by key, so that what nobody knows is noticed.

use toml::{Table, Value};

/// Something wrong in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigFault {
    /// Not TOML.
    #[error("{reason}")]
    Syntax {
        /// What and where.
        reason: String,
    },
    /// No such key.
    #[error("{key}: unknown key")]
    UnknownKey {
        /// With the tables it lies in.
        key: String,
    },
    /// A key that must be there.
    #[error("{key}: missing")]
    Missing {
        /// With the tables it lies in.
        key: String,
    },
    /// A value that cannot be.
    #[error("{key}: {found}, expected {expected}")]
    Value {
        /// With the tables it lies in.
        key: String,
        /// As it stands in the file.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl ConfigFault {
    /// The key it is about; empty for a fault of syntax.
    pub fn key(&self) -> &str {
        match self {
            ConfigFault::Syntax { .. } => "",
            ConfigFault::UnknownKey { key }
            | ConfigFault::Missing { key }
            | ConfigFault::Value { key, .. } => key,
        }
    }
}

/// One table, emptied key by key; faults are collected, and what is left over at the end is unknown.
#[derive(Debug)]
pub struct Section<'a> {
    prefix: String,
    table: Table,
    faults: &'a mut Vec<ConfigFault>,
    /// Keys with a fault of their own are not missing too.
    seen: Vec<String>,
}

impl<'a> Section<'a> {
    /// A table; `prefix` names it in faults, and ends in a dot unless it is empty.
    pub fn new(prefix: &str, table: Table, faults: &'a mut Vec<ConfigFault>) -> Self {
        Section {
            prefix: prefix.to_owned(),
            table,
            faults,
            seen: Vec::new(),
        }
    }

    /// A table inside this one.
    pub fn within(&mut self, prefix: &str, table: Table) -> Section<'_> {
        Section::new(prefix, table, self.faults)
    }

    /// The converted value; `None` if the key is not there, or its value cannot be, which is noted.
    pub fn take<T>(
        &mut self,
        key: &str,
        expected: &'static str,
        convert: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.table.remove(key)?;
        self.seen.push(key.to_owned());
        let converted = convert(&value);
        if converted.is_none() {
            let fault = ConfigFault::Value {
                key: format!("{}{key}", self.prefix),
                found: value.to_string(),
                expected,
            };
            self.faults.push(fault);
        }
        converted
    }

    /// Replaces a default, if the key is there.
    pub fn set<T>(
        &mut self,
        key: &str,
        expected: &'static str,
        convert: impl FnOnce(&Value) -> Option<T>,
        target: &mut T,
    ) {
        if let Some(value) = self.take(key, expected, convert) {
            *target = value;
        }
    }

    /// Notes that a key is missing, unless it was there with a value that cannot be.
    pub fn require(&mut self, key: &str) {
        if !self.seen.iter().any(|seen| seen == key) {
            let key = format!("{}{key}", self.prefix);
            self.faults.push(ConfigFault::Missing { key });
        }
    }

    /// `[key]`
    pub fn table(&mut self, key: &str) -> Option<Table> {
        self.take(key, "a table", |value| value.as_table().cloned())
    }

    /// `[[key]]`
    pub fn tables(&mut self, key: &str, max: usize) -> Vec<Table> {
        let tables = self.take(key, "a list of tables", |value| {
            let tables = value.as_array().filter(|tables| tables.len() <= max)?;
            tables.iter().map(|table| table.as_table().cloned()).collect()
        });
        tables.unwrap_or_default()
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for key in self.table.keys() {
            let key = format!("{}{key}", self.prefix);
            self.faults.push(ConfigFault::UnknownKey { key });
        }
    }
}

/// A text.
pub fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

/// A list of texts.
pub fn strings(value: &Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter();
    texts.map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A whole number of at least 0.
pub fn count(value: &Value) -> Option<u64> {
    u64::try_from(value.as_integer()?).ok()
}

/// Any number.
pub fn float(value: &Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_integer().map(|number| number as f64))
}
