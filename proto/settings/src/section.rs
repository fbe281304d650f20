//! One table of a file on its way into checked values. Whoever reads a key declares it: what it is called, what it may be,
//! what holds without it, and what it is for.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::entry::Entry;
use crate::faults::Faults;
use crate::kind::{Kind, Mismatch};
use crate::lines::Lines;
use crate::value::{Value, shown_key};
use crate::{Fault, FaultKind};

/// What all tables of a file share.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    lines: &'a Lines<'a>,
    faults: RefCell<Faults>,
    /// Nothing is read: the keys are asked for, to be described.
    pub(crate) describing: bool,
    entries: RefCell<Vec<Entry>>,
}

impl<'a> Reading<'a> {
    pub(crate) fn of(lines: &'a Lines<'a>, faults: Faults) -> Self {
        Reading {
            lines,
            faults: RefCell::new(faults),
            describing: false,
            entries: RefCell::default(),
        }
    }

    pub(crate) fn of_keys(lines: &'a Lines<'a>) -> Self {
        Reading {
            describing: true,
            ..Reading::of(lines, Faults::default())
        }
    }

    pub(crate) fn into_faults(self) -> Faults {
        self.faults.into_inner()
    }

    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries.into_inner()
    }
}

/// One table, key by key; what nobody asked for is unknown.
#[derive(Debug)]
pub struct Section<'a> {
    /// Ahead of its keys in faults: empty for the file, otherwise with a dot at the end.
    pub(crate) within: String,
    /// In the reference: empty for the file, `[limits]` or `[[models]]`.
    heading: String,
    /// Ahead of its keys in the reference, beneath the heading.
    nested: String,
    /// `None` for one that is not there.
    table: Option<&'a DeTable<'a>>,
    /// Where it begins.
    start: usize,
    known: Vec<&'static str>,
    pub(crate) reading: &'a Reading<'a>,
}

impl<'a> Section<'a> {
    pub(crate) fn top(table: &'a DeTable<'a>, reading: &'a Reading<'a>) -> Self {
        Section {
            within: String::new(),
            heading: String::new(),
            nested: String::new(),
            table: Some(table),
            start: 0,
            known: Vec::new(),
            reading,
        }
    }

    /// Reads all of it; the keys that are left are faults.
    pub(crate) fn run<T>(mut self, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let value = read(&mut self);
        let left = self.table.into_iter().flatten();
        for (name, _) in left.filter(|(name, _)| !self.known.contains(&name.get_ref().as_ref())) {
            self.fault(
                name.span().start,
                FaultKind::unknown(&self.within, name.get_ref(), &self.known),
            );
        }
        value
    }

    /// Line of its heading, counted from 1.
    pub fn line(&self) -> usize {
        self.reading.lines.place(self.start).0
    }

    /// Declares a key that has a default.
    pub fn get<T: 'static>(&mut self, key: &'static str, kind: Kind<T>, default: T, help: &'static str) -> T {
        let shown = if self.reading.describing {
            kind.write(&default)
        } else {
            String::new()
        };
        self.take(key, &kind, &shown, help).unwrap_or(default)
    }

    /// Declares a key that may be missing; `otherwise` says in words what holds then. `None` if it is, or has a fault.
    pub fn option<T: 'static>(
        &mut self,
        key: &'static str,
        kind: Kind<T>,
        otherwise: &str,
        help: &'static str,
    ) -> Option<T> {
        self.take(key, &kind, otherwise, help)
    }

    /// Declares a key that must be there. `None` if it is not, or has a fault.
    pub fn require<T: 'static>(&mut self, key: &'static str, kind: Kind<T>, help: &'static str) -> Option<T> {
        self.missing(key);
        self.take(key, &kind, "required", help)
    }

    /// Declares a table of keys with defaults, which hold if it is not there.
    pub fn table<T>(
        &mut self,
        key: &'static str,
        help: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let found = self.find(key);
        let table = found.and_then(|value| self.as_table(key, value, "a table"));
        self.describe(&format!("[{key}]"), "", "table", String::new(), "", help);
        self.child(key, &format!("[{key}]"), table).run(read)
    }

    /// Declares a table that is there as a whole or not at all; `example` shows one, and `otherwise` says what holds without
    /// it. The outer `None` is for one that is not there, the inner for one that is no table.
    pub fn optional_table<T>(
        &mut self,
        key: &'static str,
        example: &str,
        otherwise: &str,
        help: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<Option<T>> {
        let found = self.find(key);
        self.describe("", key, "table", format!("such as {example}"), otherwise, help);
        if self.reading.describing {
            self.child(key, "", None).run(read);
            return None;
        }
        let table = self.as_table(key, found?, &format!("a table such as {example}"));
        Some(table.map(|table| self.child(key, "", Some(table)).run(read)))
    }

    /// Declares a list of tables, `[[key]]`.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        n_at_most: usize,
        help: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        let heading = format!("[[{key}]]");
        let found = self.find(key);
        self.describe(
            &heading,
            "",
            "list of tables",
            format!("up to {n_at_most}"),
            "none",
            help,
        );
        if self.reading.describing {
            self.child(key, &heading, None).run(&mut read);
        }
        let Some(value) = found else { return Vec::new() };
        let expected = format!("at most {n_at_most} tables, each under a heading in double brackets");
        let tables = value.get_ref().as_array().and_then(|entries| {
            let table =
                |entry: &'a Spanned<DeValue<'a>>| Some((entry.get_ref().as_table()?, entry.span().start));
            entries.iter().map(table).collect::<Option<Vec<_>>>()
        });
        let mismatch = match tables {
            None => Mismatch::Type,
            Some(tables) if tables.len() <= n_at_most => {
                let read_one = |table| self.child(key, &heading, Some(table)).run(&mut read);
                return tables.into_iter().map(read_one).collect();
            }
            Some(_) => Mismatch::Range,
        };
        self.value_fault(key, value, mismatch, &expected);
        Vec::new()
    }

    /// Declares a table whose names are free, each with a value of one kind; `example` shows it. It must be there if it must
    /// have entries. `None` if it is not there or has a fault, its own or that of an entry.
    pub fn entries<T: 'static>(
        &mut self,
        key: &'static str,
        kind: Kind<T>,
        n_at_least: usize,
        example: &str,
        otherwise: &str,
        help: &'static str,
    ) -> Option<Vec<(String, T)>> {
        if n_at_least > 0 {
            self.missing(key);
        }
        let found = self.find(key);
        self.describe("", key, "table", format!("such as {example}"), otherwise, help);
        let expected = format!("a table such as {example}");
        let (table, _) = self.as_table(key, found?, &expected)?;
        if table.len() < n_at_least {
            self.value_fault(key, found?, Mismatch::Range, &expected);
            return None;
        }
        let mut entries = Some(Vec::with_capacity(table.len()));
        for (name, value) in table {
            let full = format!("{}{key}.{}", self.within, shown_key(name.get_ref()));
            let value = self.convert(&full, &kind, value);
            entries = entries.zip(value).map(|(mut entries, value)| {
                entries.push((name.get_ref().clone().into_owned(), value));
                entries
            });
        }
        entries
    }

    /// The value of a key, which is known from now on.
    pub(crate) fn find(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table?.get(key)
    }

    fn take<T: 'static>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
        otherwise: &str,
        help: &'static str,
    ) -> Option<T> {
        let found = self.find(key);
        self.describe("", key, kind.type_name, kind.range.clone(), otherwise, help);
        self.convert(&format!("{}{key}", self.within), kind, found?)
    }

    /// `key` with the tables it lies in.
    fn convert<T: 'static>(&self, key: &str, kind: &Kind<T>, value: &Spanned<DeValue<'_>>) -> Option<T> {
        match kind.read(Value(value.get_ref())) {
            Ok(value) => Some(value),
            Err(mismatch) => {
                let fault = mismatched(key.to_owned(), value, mismatch, &kind.expected);
                self.fault(value.span().start, fault);
                None
            }
        }
    }

    pub(crate) fn as_table(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        expected: &str,
    ) -> Option<(&'a DeTable<'a>, usize)> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let fault = FaultKind::Type {
                key: format!("{}{key}", self.within),
                found: "no table".to_owned(),
                expected: expected.to_owned(),
            };
            self.fault(value.span().start, fault);
        }
        table.map(|table| (table, value.span().start))
    }

    pub(crate) fn child(
        &self,
        key: &str,
        heading: &str,
        table: Option<(&'a DeTable<'a>, usize)>,
    ) -> Section<'a> {
        let own = !heading.is_empty();
        Section {
            within: format!("{}{key}.", self.within),
            heading: if own {
                heading.to_owned()
            } else {
                self.heading.clone()
            },
            nested: if own {
                String::new()
            } else {
                format!("{}{key}.", self.nested)
            },
            table: table.map(|(table, _)| table),
            start: table.map_or(self.start, |(_, start)| start),
            known: Vec::new(),
            reading: self.reading,
        }
    }

    fn missing(&self, key: &str) {
        if !self.table.is_some_and(|table| table.contains_key(key)) {
            let key = format!("{}{key}", self.within);
            self.fault(self.start, FaultKind::Missing { key });
        }
    }

    pub(crate) fn value_fault(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        mismatch: Mismatch,
        expected: &str,
    ) {
        let fault = mismatched(format!("{}{key}", self.within), value, mismatch, expected);
        self.fault(value.span().start, fault);
    }

    pub(crate) fn fault(&self, start: usize, kind: FaultKind) {
        let (line, column) = self.reading.lines.place(start);
        self.reading
            .faults
            .borrow_mut()
            .push(Fault { line, column, kind });
    }

    pub(crate) fn describe(
        &self,
        heading: &str,
        key: &str,
        type_name: &'static str,
        range: String,
        otherwise: &str,
        help: &'static str,
    ) {
        if self.reading.describing {
            let heading = if heading.is_empty() {
                &self.heading
            } else {
                heading
            };
            self.reading.entries.borrow_mut().push(Entry {
                heading: heading.to_owned(),
                key: if key.is_empty() {
                    String::new()
                } else {
                    format!("{}{key}", self.nested)
                },
                type_name,
                range,
                default: otherwise.to_owned(),
                help,
            });
        }
    }
}

fn mismatched(key: String, value: &Spanned<DeValue<'_>>, mismatch: Mismatch, expected: &str) -> FaultKind {
    let expected = expected.to_owned();
    let found = Value(value.get_ref()).shown();
    match mismatch {
        Mismatch::Type => FaultKind::Type { key, found, expected },
        Mismatch::Range => FaultKind::Range { key, found, expected },
    }
}
