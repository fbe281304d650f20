//! Tables that a file names as it likes: `[key.NAME]`.

use crate::FaultKind;
use crate::kind::Mismatch;
use crate::section::Section;
use crate::value::{shown_key, shown_text};

impl Section<'_> {
    /// Declares tables whose names are free, `[key.NAME]`; `read` gets each name with its table. A fault of a name is that
    /// of what `is_name` expects.
    pub fn named_tables<T>(
        &mut self,
        key: &'static str,
        n_at_most: usize,
        (name_expected, is_name): (&str, impl Fn(&str) -> bool),
        help: &'static str,
        mut read: impl FnMut(&str, &mut Section<'_>) -> T,
    ) -> Vec<T> {
        let heading = format!("[{key}.NAME]");
        let found = self.find(key);
        self.describe(&heading, "", "tables", format!("up to {n_at_most}"), "none", help);
        if self.reading.describing {
            self.child(key, &heading, None)
                .run(|section| read("NAME", section));
        }
        let Some(value) = found else { return Vec::new() };
        let expected = format!("at most {n_at_most} tables, each under a heading such as {heading}");
        let Some((tables, _)) = self.as_table(key, value, &expected) else {
            return Vec::new();
        };
        if tables.len() > n_at_most {
            self.value_fault(key, value, Mismatch::Range, &expected);
            return Vec::new();
        }
        let named = tables.iter().filter_map(|(name, value)| {
            let name_text = name.get_ref().as_ref();
            let full = format!("{key}.{}", shown_key(name_text));
            if !is_name(name_text) {
                let fault = FaultKind::Range {
                    key: format!("{}{full}", self.within),
                    found: shown_text(name_text),
                    expected: name_expected.to_owned(),
                };
                self.fault(name.span().start, fault);
                return None;
            }
            let table = self.as_table(&full, value, &expected)?;
            let section = self.child(&full, &heading, Some(table));
            Some(section.run(|section| read(name_text, section)))
        });
        named.collect()
    }
}
