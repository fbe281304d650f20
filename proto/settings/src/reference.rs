//! What can be said in a file: the declarations of its keys, as a table for people.

use std::fmt::{self, Write as _};

use toml::de::DeTable;

use crate::lines::Lines;
use crate::section::{Reading, Section};

/// All keys of a kind of file, in the order in which they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What the file is called.
    pub title: &'static str,
    /// What it is for, in Markdown.
    pub about: &'static str,
    /// Keys, and the tables they lie in.
    pub entries: Vec<Entry>,
}

/// A key, or a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `[limits]`, `[[models]]`; empty for the top of the file.
    pub heading: String,
    /// Empty for the table itself.
    pub key: String,
    /// Such as `whole number`.
    pub type_name: &'static str,
    /// Such as `from 1 to 4096`; empty if every value of the type will do.
    pub range: String,
    /// As TOML, or in words; empty for a table that only holds keys.
    pub default: String,
    /// What it is for.
    pub help: &'static str,
}

impl Reference {
    /// Asks `read` for its keys, with an empty file.
    pub fn of<T>(
        title: &'static str,
        about: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Reference {
        let (empty, lines) = (DeTable::new(), Lines::of(""));
        let reading = Reading::of_keys(&lines);
        Section::top(&empty, &reading).run(read);
        Reference {
            title,
            about,
            entries: reading.into_entries(),
        }
    }

    /// A Markdown table of all keys.
    pub fn markdown(&self) -> String {
        let mut text = "| table | key | type | default | what it is |\n|---|---|---|---|---|\n".to_owned();
        for entry in &self.entries {
            let cells = [
                code(&entry.heading),
                code(&entry.key),
                cell(&entry.type_and_range()),
                cell(&entry.default_and_size()),
                cell(entry.help),
            ];
            let _ = writeln!(text, "| {} |", cells.join(" | ")); // writing to a string cannot fail
        }
        text
    }
}

/// A Markdown page of several kinds of file.
pub fn page(title: &str, about: &str, references: &[Reference]) -> String {
    let mut text = format!("# {title}\n\n{about}\n");
    for reference in references {
        let (title, about, table) = (reference.title, reference.about, reference.markdown());
        let _ = write!(text, "\n## {title}\n\n{about}\n\n{table}"); // writing to a string cannot fail
    }
    text
}

impl Entry {
    fn type_and_range(&self) -> String {
        let type_again = format!("a {} ", self.type_name);
        let range = ["of ", &type_again]
            .iter()
            .find_map(|ahead| self.range.strip_prefix(*ahead));
        let range = range.unwrap_or(&self.range);
        let separator = if range.is_empty() { "" } else { ": " };
        format!("{}{separator}{range}", self.type_name)
    }

    /// `8589934592 (8 GiB)`
    fn default_and_size(&self) -> String {
        let bytes = self
            .default
            .parse::<u64>()
            .ok()
            .filter(|_| self.key.ends_with("_bytes"));
        let unit = |n: u64| {
            [(30, "GiB"), (20, "MiB"), (10, "KiB")]
                .into_iter()
                .find(|(shift, _)| n >= 1 << shift)
        };
        match bytes.and_then(|n| Some((n, unit(n)?))) {
            Some((n, (shift, unit))) if n.trailing_zeros() >= shift => {
                format!("{n} ({} {unit})", n >> shift)
            }
            _ => self.default.clone(),
        }
    }
}

/// Keys under their tables, for a terminal.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            if entry.key.is_empty() {
                writeln!(f, "\n{}  {}", entry.heading, entry.help)?;
                continue;
            }
            let default = match entry.default.as_str() {
                "required" => "required".to_owned(),
                _ => format!("default {}", entry.default_and_size()),
            };
            writeln!(
                f,
                "{}  ({}; {default})\n    {}",
                entry.key,
                entry.type_and_range(),
                entry.help
            )?;
        }
        Ok(())
    }
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{text}`")
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
