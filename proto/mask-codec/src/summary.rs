//! Voxel count and box of every label, which a message tells before it is inflated.

use std::collections::BTreeMap;

use nephrite_types::BoundingBox;
use rayon::prelude::*;

use crate::{Run, RunMask};

/// How much of a label there is, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelSummary {
    /// Number of voxels; at least 1.
    pub voxels: u64,
    /// The smallest box around them, `[z, y, x]`.
    pub bounding_box: BoundingBox,
}

impl RunMask {
    /// Voxels and box of every label that occurs, by id.
    ///
    /// *Cost*: one pass over the runs.
    pub fn summaries(&self) -> BTreeMap<u16, LabelSummary> {
        let [nz, ny, _] = self.shape();
        let parts = rayon::current_num_threads().clamp(1, nz);
        let planes_per_part = nz.div_ceil(parts);
        (0..parts)
            .into_par_iter()
            .map(|part| {
                let last = ((part + 1) * planes_per_part).min(nz);
                self.summaries_of(part * planes_per_part * ny..last.max(part * planes_per_part) * ny)
            })
            .reduce(BTreeMap::new, |mut all, part| {
                for (label, summary) in part {
                    let entry = all.entry(label).or_insert(LabelSummary { voxels: 0, ..summary });
                    entry.voxels += summary.voxels;
                    entry.bounding_box = entry.bounding_box.union(&summary.bounding_box);
                }
                all
            })
    }

    fn summaries_of(&self, rows: std::ops::Range<usize>) -> BTreeMap<u16, LabelSummary> {
        let ny = self.shape()[1];
        // Ids are small numbers in practice: a table by id, made as long as the largest one.
        let mut by_id: Vec<Extent> = Vec::new();
        for row in rows {
            let (z, y) = ((row / ny) as u32, (row % ny) as u32);
            for run in self.row(row) {
                let id = usize::from(run.label);
                if id >= by_id.len() {
                    by_id.resize(id + 1, Extent::NONE);
                }
                by_id[id].add(z, y, run);
            }
        }
        let with_ids = by_id.into_iter().enumerate();
        let present = with_ids.filter(|(_, extent)| extent.voxels > 0);
        present
            .map(|(id, extent)| (id as u16, extent.summary())) // ids come from u16
            .collect()
    }
}

#[derive(Clone)]
struct Extent {
    voxels: u64,
    /// z, y, x; inclusive.
    low: [u32; 3],
    high: [u32; 3],
}

impl Extent {
    const NONE: Extent = Extent {
        voxels: 0,
        low: [u32::MAX; 3],
        high: [0; 3],
    };

    #[inline]
    fn add(&mut self, z: u32, y: u32, run: &Run) {
        self.voxels += u64::from(run.len());
        let low = [z, y, run.start];
        let high = [z, y, run.end - 1];
        for axis in 0..3 {
            self.low[axis] = self.low[axis].min(low[axis]);
            self.high[axis] = self.high[axis].max(high[axis]);
        }
    }

    fn summary(&self) -> LabelSummary {
        LabelSummary {
            voxels: self.voxels,
            bounding_box: BoundingBox {
                start: self.low.map(|index| index as usize),
                end: self.high.map(|index| index as usize + 1),
            },
        }
    }
}
