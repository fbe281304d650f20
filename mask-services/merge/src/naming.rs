//! Names of labels: which there are, which ids they get, who wins, what became of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use nephrite_kernel::{LabelStatus, LabelStep, Mask, OperationError, StepOperator};

use crate::error::MergeError;

/// All names that the masks and the steps' targets use, numbered from 0 in the order in which they first occur: masks
/// in order, ids ascending, then targets.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: Vec<Name>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug)]
struct Name {
    name: String,
    /// That it has in the first mask that names it; 0 if only a step does.
    first_id: u16,
    /// `None` if no mask names it.
    status: Option<LabelStatus>,
}

/// What the result is to hold.
#[derive(Debug, PartialEq)]
pub(crate) struct Ranking {
    /// Rank of every name, from 1, by its number; 0 for those that are not in the result.
    pub(crate) rank_of_name: Vec<u16>,
    /// Indexed by rank; 0 for rank 0.
    pub(crate) id_of_rank: Vec<u16>,
    /// Number of the name of every rank from 1.
    pub(crate) name_of_rank: Vec<usize>,
}

impl Names {
    pub(crate) fn of<'a>(masks: impl IntoIterator<Item = &'a Mask>) -> Names {
        let mut names = Names::default();
        for mask in masks {
            for entry in mask.labels().entries() {
                let number = names.add(&entry.name, entry.id);
                let known = &mut names.names[number].status;
                *known = Some(known.map_or(entry.status, |status| more_informative(status, entry.status)));
            }
        }
        names
    }

    /// The number of a name, a new one if it is not known.
    fn add(&mut self, name: &str, first_id: u16) -> usize {
        if let Some(&number) = self.by_name.get(name) {
            return number;
        }
        self.names.push(Name {
            name: name.to_owned(),
            first_id,
            status: None,
        });
        self.by_name.insert(name.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn name(&self, number: usize) -> &str {
        &self.names[number].name
    }

    /// What became of the label in the masks and steps so far.
    pub(crate) fn status(&self, number: usize) -> LabelStatus {
        self.names[number].status.unwrap_or(LabelStatus::NotSearched)
    }

    pub(crate) fn number(&self, parameter: &str, name: &str) -> Result<usize, OperationError> {
        self.by_name
            .get(name)
            .copied()
            .ok_or_else(|| OperationError::UnknownLabel {
                parameter: parameter.to_owned(),
                label: name.chars().take(64).collect(),
                known: self.names.iter().map(|known| known.name.clone()).collect(),
            })
    }

    /// Numbers of a step's target, left and right label. The target may be new, the others may not; the target's status
    /// becomes that of the result.
    pub(crate) fn add_step(&mut self, step: &LabelStep) -> Result<[usize; 3], OperationError> {
        let left = self.number("steps", &step.left)?;
        let right = self.number("steps", &step.right)?;
        let target = self.add(&step.target, 0);
        let status = status_after(step.operator, self.status(left), self.status(right));
        self.names[target].status = Some(status);
        Ok([target, left, right])
    }

    /// Who is in the result, under which id, and who wins: first what `priority` names, in its order; then targets of
    /// steps, the last first; then the others as they occur.
    pub(crate) fn rank(
        &self,
        labels: &[String],
        priority: &[String],
        targets: &[usize],
    ) -> Result<Ranking, OperationError> {
        let ids = if labels.is_empty() {
            self.default_ids()?
        } else {
            self.listed_ids(labels)?
        };
        let mut order = Vec::new();
        let mut ranked = HashSet::new();
        for name in priority {
            let number = self.number("priority", name)?;
            if ranked.insert(number) {
                order.push(number);
            }
        }
        let derived = targets.iter().rev().copied();
        order.extend(
            derived
                .chain(0..self.len())
                .filter(|number| ranked.insert(*number)),
        );
        let mut ranking = Ranking {
            rank_of_name: vec![0; self.len()],
            id_of_rank: vec![0],
            name_of_rank: vec![usize::MAX],
        };
        for number in order {
            if let Some(&id) = ids.get(&number) {
                ranking.rank_of_name[number] = ranking.id_of_rank.len() as u16; // ids differ, so there are at most 65535
                ranking.id_of_rank.push(id);
                ranking.name_of_rank.push(number);
            }
        }
        Ok(ranking)
    }

    fn listed_ids(&self, labels: &[String]) -> Result<BTreeMap<usize, u16>, OperationError> {
        let mut ids = BTreeMap::new();
        for text in labels {
            let (name, id) = split_label(text)?;
            ids.insert(self.number("labels", name)?, id);
        }
        Ok(ids)
    }

    fn default_ids(&self) -> Result<BTreeMap<usize, u16>, OperationError> {
        if self.len() > usize::from(u16::MAX) {
            return Err(MergeError::TooManyLabels { found: self.len() }.into());
        }
        let mut ids = BTreeMap::new();
        let mut taken = HashSet::from([0]);
        for (number, name) in self.names.iter().enumerate() {
            if taken.insert(name.first_id) {
                ids.insert(number, name.first_id);
            }
        }
        let mut free = (1..=u16::MAX).filter(|id| !taken.contains(id));
        for number in 0..self.len() {
            if let std::collections::btree_map::Entry::Vacant(entry) = ids.entry(number)
                && let Some(id) = free.next()
            {
                entry.insert(id);
            }
        }
        Ok(ids)
    }
}

/// Refuses a name that occurs twice in a list, an id that two labels are to have, and texts of another form.
pub(crate) fn check_lists(labels: &[String], priority: &[String]) -> Result<(), MergeError> {
    let twice = |parameter, what: String| MergeError::Twice { parameter, what };
    let (mut names, mut ids, mut ranked) = (HashSet::new(), HashSet::new(), HashSet::new());
    for text in labels {
        let (name, id) = split_label(text)?;
        if !ids.insert(id) {
            return Err(twice("labels", format!("the id {id}")));
        }
        if !names.insert(name) {
            return Err(twice("labels", name.to_owned()));
        }
    }
    match priority.iter().find(|name| !ranked.insert(*name)) {
        Some(name) => Err(twice("priority", name.clone())),
        None => Ok(()),
    }
}

/// `name=id`; the last `=` separates.
fn split_label(text: &str) -> Result<(&str, u16), MergeError> {
    let wrong = || MergeError::LabelForm {
        text: text.chars().take(200).collect(),
    };
    let (name, id) = text.rsplit_once('=').ok_or_else(wrong)?;
    let id: u16 = id.trim().parse().map_err(|_| wrong())?;
    let name = name.trim();
    if id == 0 || name.is_empty() {
        return Err(wrong());
    }
    Ok((name, id))
}

/// Of two reports on one label. Voxels say most; then that a search failed, because a label that one search missed
/// may lie where the other broke off; then that it was searched for.
fn more_informative(a: LabelStatus, b: LabelStatus) -> LabelStatus {
    if weight(a) >= weight(b) { a } else { b }
}

fn weight(status: LabelStatus) -> u8 {
    match status {
        LabelStatus::Present => 3,
        LabelStatus::Failed => 2,
        LabelStatus::NotFound => 1,
        LabelStatus::NotSearched => 0,
    }
}

/// What is known of a step's result from what is known of its labels; a present one without voxels becomes not found
/// when the mask is made.
fn status_after(operator: StepOperator, left: LabelStatus, right: LabelStatus) -> LabelStatus {
    use LabelStatus::{Failed, NotFound, NotSearched, Present};
    match operator {
        StepOperator::Union => more_informative(left, right),
        StepOperator::Subtract => left,
        StepOperator::Intersect => match (left, right) {
            (NotFound, _) | (_, NotFound) => NotFound, // empty, whatever the other is
            (Failed, _) | (_, Failed) => Failed,
            (NotSearched, _) | (_, NotSearched) => NotSearched,
            (Present, Present) => Present,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[(&str, u16)]) -> Names {
        let mut names = Names::default();
        for (name, id) in list {
            names.add(name, *id);
        }
        names
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn ids_are_kept_unless_they_clash() {
        let names = names(&[("a", 1), ("b", 3), ("c", 1), ("step", 0), ("d", 2)]);
        let ids = names.default_ids().unwrap();
        let ids: Vec<u16> = ids.into_values().collect();
        assert_eq!(ids, [1, 3, 4, 5, 2]);
    }

    #[test]
    fn priority_comes_first_then_the_last_target_then_the_order_of_the_masks() {
        let names = names(&[("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]);
        let order = |ranking: Ranking| ranking.name_of_rank[1..].to_vec();
        assert_eq!(order(names.rank(&[], &[], &[]).unwrap()), [0, 1, 2, 3, 4]);
        assert_eq!(
            order(names.rank(&[], &texts(&["d"]), &[2, 1, 2]).unwrap()),
            [3, 2, 1, 0, 4]
        );
        let listed = names.rank(&texts(&["c=9", "a = 7"]), &[], &[]).unwrap();
        assert_eq!(listed.rank_of_name, [1, 0, 2, 0, 0]);
        assert_eq!(listed.id_of_rank, [0, 7, 9]);
    }

    #[test]
    fn wrong_lists_are_refused() {
        let names = names(&[("a", 1), ("b", 2)]);
        for labels in [["a"], ["a=0"], ["a=65536"], ["a=-1"], ["=1"], ["a=x"], ["a="]] {
            let error = names.rank(&texts(&labels), &[], &[]).unwrap_err();
            assert!(error.to_string().contains(labels[0]), "{error}");
        }
        assert!(names.rank(&texts(&["x=1"]), &[], &[]).is_err());
        assert!(names.rank(&[], &texts(&["x"]), &[]).is_err());
        for (labels, priority) in [
            (&["a=1", "b=1"][..], &[][..]),
            (&["a=1", "a=2"], &[]),
            (&["a"], &[]),
            (&[], &["a", "a"]),
        ] {
            let found = check_lists(&texts(labels), &texts(priority));
            assert!(found.is_err(), "{labels:?} {priority:?}");
        }
        assert!(check_lists(&texts(&["a=1", "b=2"]), &texts(&["b", "a"])).is_ok());
    }

    #[test]
    fn the_most_informative_status_wins() {
        use LabelStatus::*;
        assert_eq!(more_informative(NotSearched, NotFound), NotFound);
        assert_eq!(more_informative(NotFound, Failed), Failed);
        assert_eq!(more_informative(Failed, Present), Present);
        assert_eq!(status_after(StepOperator::Subtract, Failed, Present), Failed);
        assert_eq!(
            status_after(StepOperator::Intersect, Present, NotSearched),
            NotSearched
        );
        assert_eq!(status_after(StepOperator::Intersect, Failed, NotFound), NotFound);
        assert_eq!(status_after(StepOperator::Union, Failed, NotFound), Failed);
    }
}
