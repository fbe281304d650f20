//! The labels that masks of steps will name, before there are masks.

use std::collections::BTreeMap;

use nephrite_kernel::ExpectedLabels;

/// The labels of the masks of steps, by step; a sample has none.
pub(in crate::case) type StepLabels = BTreeMap<String, ExpectedLabels>;

/// Names of labels; none if they are not known.
pub(in crate::case) fn names(labels: &ExpectedLabels) -> Vec<String> {
    labels.iter().flatten().map(|label| label.name.clone()).collect()
}
