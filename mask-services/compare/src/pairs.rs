//! Which label of the mask is held against which of the reference.

use std::collections::BTreeSet;

use nephrite_kernel::{LabelEntry, LabelStatus, LabelTable};

use crate::error::CompareError;

/// How labels of two masks belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PairedBy {
    Name,
    Id,
}

/// Two labels that are held against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// As `mask` has it.
    pub(crate) name: String,
    /// In the mask.
    pub(crate) id: u16,
    /// In the reference.
    pub(crate) reference_id: u16,
}

/// What is compared, and what is not, in the order of the tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pairs {
    pub(crate) compared: Vec<Pair>,
    /// Names of labels of the mask.
    pub(crate) left_out: Vec<String>,
    /// Names of labels of the reference.
    pub(crate) reference_left_out: Vec<String>,
}

const NOT_IN_MASK: &str = "the mask does not name it";
const NOT_IN_REFERENCE: &str = "the reference does not name it";
const NOT_SEARCHED: &str = "it was not searched for in both masks";

impl Pairs {
    /// `only` names the labels to compare, by the name in the mask, else by that in the reference; all of them if empty.
    ///
    /// # Errors
    /// [`CompareError`]
    pub(crate) fn of(
        mask: &LabelTable,
        reference: &LabelTable,
        paired_by: PairedBy,
        only: &[String],
    ) -> Result<Pairs, CompareError> {
        let partner = |of: &LabelEntry, table: &LabelTable| match paired_by {
            PairedBy::Name => table.by_name(&of.name).cloned(),
            PairedBy::Id => table.by_id(of.id).cloned(),
        };
        let wanted = wanted(mask, reference, only, partner)?;
        let is_wanted = |id: u16| wanted.as_ref().is_none_or(|ids| ids.contains(&id));
        let mut pairs = Pairs::default();
        let mut partners = BTreeSet::new();
        for entry in mask.entries().iter().filter(|entry| is_wanted(entry.id)) {
            match partner(entry, reference) {
                Some(other) if both_searched(entry, &other) => {
                    partners.insert(other.id);
                    pairs.compared.push(Pair {
                        name: entry.name.clone(),
                        id: entry.id,
                        reference_id: other.id,
                    });
                }
                _ => pairs.left_out.push(entry.name.clone()),
            }
        }
        if wanted.is_none() {
            let rest = reference
                .entries()
                .iter()
                .filter(|entry| !partners.contains(&entry.id));
            pairs.reference_left_out = rest.map(|entry| entry.name.clone()).collect();
        }
        let anything = !(mask.entries().is_empty() && reference.entries().is_empty());
        if pairs.compared.is_empty() && anything {
            return Err(CompareError::NoPair {
                paired_by: match paired_by {
                    PairedBy::Name => "name",
                    PairedBy::Id => "id",
                },
                mask: named(mask),
                reference: named(reference),
            });
        }
        Ok(pairs)
    }
}

/// Ids, in the mask, of the labels that the caller names; `None` if that is all.
fn wanted(
    mask: &LabelTable,
    reference: &LabelTable,
    only: &[String],
    partner: impl Fn(&LabelEntry, &LabelTable) -> Option<LabelEntry>,
) -> Result<Option<BTreeSet<u16>>, CompareError> {
    if only.is_empty() {
        return Ok(None);
    }
    let mut ids = BTreeSet::new();
    for name in only {
        let refused = |reason| CompareError::Label {
            label: name.clone(),
            reason,
        };
        let (entry, other) = match (mask.by_name(name), reference.by_name(name)) {
            (Some(entry), _) => {
                let other = partner(entry, reference);
                (entry.clone(), other.ok_or_else(|| refused(NOT_IN_REFERENCE))?)
            }
            (None, Some(other)) => {
                let entry = partner(other, mask);
                (entry.ok_or_else(|| refused(NOT_IN_MASK))?, other.clone())
            }
            (None, None) => return Err(refused("neither mask names it")),
        };
        if !both_searched(&entry, &other) {
            return Err(refused(NOT_SEARCHED));
        }
        ids.insert(entry.id);
    }
    Ok(Some(ids))
}

fn both_searched(entry: &LabelEntry, other: &LabelEntry) -> bool {
    entry.status != LabelStatus::NotSearched && other.status != LabelStatus::NotSearched
}

fn named(table: &LabelTable) -> Vec<String> {
    let entries = table.entries().iter();
    entries
        .map(|entry| match entry.status {
            LabelStatus::NotSearched => format!("{}={} (not searched)", entry.name, entry.id),
            _ => format!("{}={}", entry.name, entry.id),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(labels: &[(u16, &str, LabelStatus)]) -> LabelTable {
        let entries = labels.iter().map(|&(id, name, status)| LabelEntry {
            id,
            name: name.to_owned(),
            status,
        });
        LabelTable::new(entries.collect()).unwrap()
    }

    fn shown(pairs: Pairs) -> (Vec<(u16, u16)>, Vec<String>, Vec<String>) {
        let compared = pairs.compared.iter().map(|pair| (pair.id, pair.reference_id));
        (compared.collect(), pairs.left_out, pairs.reference_left_out)
    }

    use LabelStatus::{NotFound, NotSearched, Present};

    #[test]
    fn by_name_or_by_id_and_what_is_unknown_is_left_out() {
        let mask = table(&[
            (1, "kidney", Present),
            (2, "cyst", NotFound),
            (3, "stone", NotSearched),
        ]);
        let reference = table(&[
            (1, "cyst", Present),
            (4, "kidney", NotFound),
            (5, "vein", Present),
        ]);
        let of = |paired_by| shown(Pairs::of(&mask, &reference, paired_by, &[]).unwrap());
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            of(PairedBy::Name),
            (vec![(1, 4), (2, 1)], names(&["stone"]), names(&["vein"]))
        );
        assert_eq!(
            of(PairedBy::Id),
            (
                vec![(1, 1)],
                names(&["cyst", "stone"]),
                names(&["kidney", "vein"])
            )
        );
    }

    #[test]
    fn what_is_named_must_be_comparable() {
        let mask = table(&[
            (1, "kidney", Present),
            (2, "cyst", Present),
            (3, "stone", NotSearched),
        ]);
        let reference = table(&[(1, "left", Present), (3, "stone", Present), (7, "cyst", Present)]);
        let of = |paired_by, name: &str| Pairs::of(&mask, &reference, paired_by, &[name.to_owned()]);
        assert_eq!(
            shown(of(PairedBy::Name, "cyst").unwrap()),
            (vec![(2, 7)], vec![], vec![])
        );
        assert_eq!(shown(of(PairedBy::Id, "left").unwrap()).0, [(1, 1)]);
        assert_eq!(shown(of(PairedBy::Id, "kidney").unwrap()).0, [(1, 1)]);
        for (paired_by, name, says) in [
            (PairedBy::Name, "kidney", NOT_IN_REFERENCE),
            (PairedBy::Name, "left", NOT_IN_MASK),
            (PairedBy::Name, "stone", NOT_SEARCHED),
            (PairedBy::Id, "cyst", NOT_IN_REFERENCE),
        ] {
            let refused = of(paired_by, name).unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn nothing_in_common_is_an_error_and_no_labels_are_not() {
        let (a, b) = (table(&[(1, "a", Present)]), table(&[(2, "b", NotSearched)]));
        let refused = Pairs::of(&a, &b, PairedBy::Name, &[]).unwrap_err().to_string();
        for part in ["a=1", "b=2 (not searched)", "by name"] {
            assert!(refused.contains(part), "{refused}");
        }
        let none = table(&[]);
        assert!(Pairs::of(&a, &none, PairedBy::Id, &[]).is_err());
        assert_eq!(
            Pairs::of(&none, &none, PairedBy::Name, &[]).unwrap(),
            Pairs::default()
        );
    }
}
