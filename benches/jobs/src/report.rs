//! What a scenario found: a table for people, and JSON that is kept.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::place::Bench;

/// What a scenario found.
#[derive(Debug)]
pub(crate) struct Report {
    title: String,
    columns: Vec<(&'static str, &'static str)>,
    kept: Map<String, Value>,
    rows: Vec<Value>,
}

impl Report {
    /// `columns` are those of the table: their titles, and their names in the rows.
    pub(crate) fn new(
        bench: &Bench,
        scenario: &str,
        parameters: Value,
        columns: &[(&'static str, &'static str)],
    ) -> Report {
        let mut kept = Map::new();
        kept.insert("scenario".to_owned(), json!(scenario));
        kept.insert("engine".to_owned(), json!(bench.kind));
        kept.insert("seed".to_owned(), json!(bench.seed));
        kept.insert("parameters".to_owned(), parameters);
        Report {
            title: format!("{scenario}, {}", json!(bench.kind).as_str().unwrap_or_default()),
            columns: columns.to_vec(),
            kept,
            rows: Vec::new(),
        }
    }

    /// A row; it is shown at once to whoever waits.
    pub(crate) fn row(&mut self, row: Value) {
        eprintln!("{}: {}", self.title, self.cells(&row).join(" | "));
        self.rows.push(row);
    }

    /// The table, on standard output.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        let titles: Vec<&str> = self.columns.iter().map(|(title, _)| *title).collect();
        writeln!(out, "### {}\n\n| {} |", self.title, titles.join(" | "))?;
        writeln!(out, "|{}", "---|".repeat(titles.len()))?;
        for row in &self.rows {
            writeln!(out, "| {} |", self.cells(row).join(" | "))?;
        }
        writeln!(out)?;
        Ok(())
    }

    fn cells(&self, row: &Value) -> Vec<String> {
        let cell = |name: &str| match &row[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.columns.iter().map(|(_, name)| cell(name)).collect()
    }

    /// Adds it to a JSON list in a file.
    pub(crate) fn keep(mut self, file: &Path) -> anyhow::Result<()> {
        let mut all: Vec<Value> = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        self.kept.insert("rows".to_owned(), Value::Array(self.rows));
        all.push(Value::Object(self.kept));
        std::fs::write(file, serde_json::to_vec(&all)?)?;
        Ok(())
    }
}
