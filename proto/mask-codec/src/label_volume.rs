//! A label with its volume: what people want to know of a mask.

use serde::{Deserialize, Serialize};

use crate::{LabelEntry, LabelStatus, Mask};

/// One label of a mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LabelVolume {
    /// Its value.
    pub id: u16,
    /// What it is called.
    pub name: String,
    /// What became of it.
    pub status: LabelStatus,
    /// Voxels with this value.
    pub voxels: u64,
    /// Their volume in milliliters.
    pub volume_ml: f64,
}

impl Mask {
    /// Its labels, sorted by id.
    pub fn label_volumes(&self) -> Vec<LabelVolume> {
        let voxel_mm3 = self.runs().geometry().voxel_mm3();
        let volume = |entry: &LabelEntry| {
            let voxels = self
                .summaries()
                .get(&entry.id)
                .map_or(0, |summary| summary.voxels);
            LabelVolume {
                id: entry.id,
                name: entry.name.clone(),
                status: entry.status,
                voxels,
                volume_ml: voxels as f64 * voxel_mm3 / 1000.0,
            }
        };
        self.labels().entries().iter().map(volume).collect()
    }
}
