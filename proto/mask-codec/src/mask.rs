//! A label map together with the names of its labels.

use std::collections::BTreeMap;

use crate::{LabelStatus, LabelSummary, LabelTable, MaskError, RunMask};

/// A label map with the names of its labels: what mask operations take and give.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    runs: RunMask,
    labels: LabelTable,
    summaries: BTreeMap<u16, LabelSummary>,
}

impl Mask {
    /// Counts every label and sets its status: one with voxels is present, and one without that claims to be present
    /// was searched and not found.
    ///
    /// # Errors
    /// [`MaskError::UnknownLabel`] if voxels carry an id that is not in the table.
    pub fn new(runs: RunMask, mut labels: LabelTable) -> Result<Mask, MaskError> {
        let summaries = runs.summaries();
        if let Some(&id) = summaries.keys().find(|id| labels.by_id(**id).is_none()) {
            return Err(MaskError::UnknownLabel { id });
        }
        for entry in labels.entries_mut() {
            entry.status = match (summaries.contains_key(&entry.id), entry.status) {
                (true, _) => LabelStatus::Present,
                (false, LabelStatus::Present) => LabelStatus::NotFound,
                (false, status) => status,
            };
        }
        Ok(Mask {
            runs,
            labels,
            summaries,
        })
    }

    /// The voxels.
    pub fn runs(&self) -> &RunMask {
        &self.runs
    }

    /// What the ids mean.
    pub fn labels(&self) -> &LabelTable {
        &self.labels
    }

    /// Voxels and box of every label that occurs, by id.
    pub fn summaries(&self) -> &BTreeMap<u16, LabelSummary> {
        &self.summaries
    }
}
