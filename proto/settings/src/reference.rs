//! What can be said in a file: the declarations of its keys, as a table for people.

use std::fmt::{self, Write as _};

use toml::de::DeTable;

use crate::entry::Entry;
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
