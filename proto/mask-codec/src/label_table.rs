//! Names, ids and fates of the labels of a mask.

use crate::MaskError;

/// What became of a label. An absent label always says why it is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelStatus {
    /// It has voxels.
    Present,
    /// It was looked for and has none.
    NotFound,
    /// Nobody looked for it.
    NotSearched,
    /// Looking for it failed.
    Failed,
}

impl LabelStatus {
    /// All, for tables and round trips.
    pub const ALL: [LabelStatus; 4] = [
        LabelStatus::Present,
        LabelStatus::NotFound,
        LabelStatus::NotSearched,
        LabelStatus::Failed,
    ];

    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            LabelStatus::Present => "present",
            LabelStatus::NotFound => "not_found",
            LabelStatus::NotSearched => "not_searched",
            LabelStatus::Failed => "failed",
        }
    }
}

/// One label of a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelEntry {
    /// Its value in the label map; not 0.
    pub id: u16,
    /// What it is called; not empty.
    pub name: String,
    /// What became of it.
    pub status: LabelStatus,
}

/// The labels of a mask, sorted by id; ids and names occur once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelTable {
    entries: Vec<LabelEntry>,
    /// Indices of the entries, sorted by name.
    by_name: Vec<u32>,
}

/// Bytes of one label's name.
const MAX_NAME_BYTES: usize = 256;

impl LabelTable {
    /// Sorts the entries by id.
    ///
    /// # Errors
    /// [`MaskError::LabelTable`] for the id 0, an id or name that occurs twice, or a name that is empty, longer than
    /// 256 bytes or holds control characters.
    pub fn new(mut entries: Vec<LabelEntry>) -> Result<LabelTable, MaskError> {
        entries.sort_by_key(|entry| entry.id);
        let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        let fault = |entry: &LabelEntry, reason| {
            Err(MaskError::LabelTable {
                id: entry.id,
                name: entry.name.chars().take(64).collect(),
                reason,
            })
        };
        for (idx, entry) in entries.iter().enumerate() {
            if entry.id == 0 {
                return fault(entry, "0 is background");
            }
            if entry.name.is_empty() || entry.name.len() > MAX_NAME_BYTES {
                return fault(entry, "names have 1 to 256 bytes");
            }
            if entry.name.chars().any(char::is_control) {
                return fault(entry, "names hold no control characters");
            }
            if idx > 0 && entries[idx - 1].id == entry.id {
                return fault(entry, "the id occurs twice");
            }
            let first = names.partition_point(|name| *name < entry.name.as_str());
            if names.get(first + 1) == Some(&entry.name.as_str()) {
                return fault(entry, "the name occurs twice");
            }
        }
        Ok(LabelTable::sorted(entries))
    }

    /// From entries that are sorted by id.
    fn sorted(entries: Vec<LabelEntry>) -> LabelTable {
        let mut by_name: Vec<u32> = (0..entries.len() as u32).collect(); // no more than ids
        by_name.sort_unstable_by(|&a, &b| entries[a as usize].name.cmp(&entries[b as usize].name));
        LabelTable { entries, by_name }
    }

    /// Names ids `label_1`, `label_2` … for a mask whose labels nobody named.
    pub fn numbered(ids: impl IntoIterator<Item = u16>) -> LabelTable {
        let mut entries: Vec<LabelEntry> = ids
            .into_iter()
            .filter(|id| *id != 0)
            .map(|id| LabelEntry {
                id,
                name: format!("label_{id}"),
                status: LabelStatus::Present,
            })
            .collect();
        entries.sort_by_key(|entry| entry.id);
        entries.dedup_by_key(|entry| entry.id);
        LabelTable::sorted(entries)
    }

    /// All entries, sorted by id.
    pub fn entries(&self) -> &[LabelEntry] {
        &self.entries
    }

    /// The entry with this id.
    pub fn by_id(&self, id: u16) -> Option<&LabelEntry> {
        let idx = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        Some(&self.entries[idx])
    }

    /// The entry with this name.
    pub fn by_name(&self, name: &str) -> Option<&LabelEntry> {
        let name_at = |index: &u32| self.entries[*index as usize].name.as_str();
        let place = self
            .by_name
            .binary_search_by(|index| name_at(index).cmp(name))
            .ok()?;
        self.entries.get(self.by_name[place] as usize)
    }

    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = &mut LabelEntry> {
        self.entries.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u16, name: &str) -> LabelEntry {
        LabelEntry {
            id,
            name: name.to_owned(),
            status: LabelStatus::Present,
        }
    }

    #[test]
    fn ids_and_names_occur_once_and_have_a_form() {
        let table = LabelTable::new(vec![entry(9, "b"), entry(2, "a")]).unwrap();
        assert_eq!(table.entries()[0].id, 2);
        assert_eq!(table.by_name("b").unwrap().id, 9);
        assert_eq!(table.by_id(2).unwrap().name, "a");
        assert!(table.by_id(3).is_none());
        for wrong in [
            vec![entry(0, "a")],
            vec![entry(1, "")],
            vec![entry(1, "a\n")],
            vec![entry(1, "a"), entry(1, "b")],
            vec![entry(1, "a"), entry(2, "a")],
            vec![entry(1, &"x".repeat(257))],
        ] {
            assert!(LabelTable::new(wrong.clone()).is_err(), "{wrong:?}");
        }
    }
}
