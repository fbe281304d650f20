//! One key of a kind of file, as people read of it.

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

impl Entry {
    pub(crate) fn type_and_range(&self) -> String {
        let type_again = format!("a {} ", self.type_name);
        let range = ["of ", &type_again]
            .iter()
            .find_map(|ahead| self.range.strip_prefix(*ahead));
        let range = range.unwrap_or(&self.range);
        let separator = if range.is_empty() { "" } else { ": " };
        format!("{}{separator}{range}", self.type_name)
    }

    /// `8589934592 (8 GiB)`
    pub(crate) fn default_and_size(&self) -> String {
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
