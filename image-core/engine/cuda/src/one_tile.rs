//! One tile through a network, apart from any case.

use crate::class_sums::{ClassSums, GridTap, LabelBox, Outcome, SumsShape};
use crate::scan::Scan;
use crate::tile_run::TileRun;
use crate::{CudaError, Network};

impl Network {
    /// Raw logits `[class, z, y, x]` of a tile `[channel, z, y, x]`. Takes and gives back memory of its own; cases use [`ClassSums`].
    ///
    /// # Errors
    /// [`CudaError::Length`]; [`CudaError::Memory`]; what the driver says. Logits may be infinite or NaN.
    pub fn logits(&self, tile: &[f32], logits: &mut [f32]) -> Result<(), CudaError> {
        let patch = self.patch();
        let n_voxels: usize = patch.iter().product();
        check_len("the tile", n_voxels * self.n_channels(), tile.len())?;
        check_len("the logits", n_voxels * self.n_classes(), logits.len())?;
        let sums = self.run_alone(tile, None, true)?;
        let axis = sums.axis();
        let n_after: usize = patch[axis + 1..].iter().product();
        sums.logits(0..patch[axis], |planes, values| {
            // `[class, …before, plane, …after]`
            let rows = values.chunks_exact(planes.len() * n_after).enumerate();
            rows.for_each(|(row, values)| {
                let start = (row * patch[axis] + planes.start) * n_after;
                logits[start..start + values.len()].copy_from_slice(values);
            });
            Ok(())
        })
    }

    /// Labels of a tile, in no particular order; `None` if a logit is infinite or NaN.
    pub(crate) fn labels_of_tile(
        &self,
        tile: &[f32],
        class_order: Option<&[u16]>,
    ) -> Result<Option<Vec<u16>>, CudaError> {
        let mut sums = self.run_alone(tile, class_order, true)?;
        if sums.not_finite()?.is_some() {
            return Ok(None);
        }
        let mut all = Vec::new();
        sums.labels(0..self.patch()[sums.axis()], |_, labels| {
            match labels {
                LabelBox::U16(labels) => all.extend_from_slice(labels),
                LabelBox::U8(labels) => all.extend(labels.iter().map(|label| u16::from(*label))),
            }
            Ok::<(), CudaError>(())
        })?;
        Ok(Some(all))
    }

    /// Class sums of one tile that are its logits.
    fn run_alone(
        &self,
        tile: &[f32],
        class_order: Option<&[u16]>,
        is_wide: bool,
    ) -> Result<ClassSums, CudaError> {
        let patch = self.patch();
        let [n_z, n_y, n_x] = patch;
        let row = |channel: usize, z: usize, y: usize, to: &mut [f32]| {
            to.copy_from_slice(&tile[((channel * n_z + z) * n_y + y) * n_x..][..n_x]);
        };
        let scan = Scan::upload(
            self.card(),
            self.precision(),
            self.n_channels(),
            patch,
            [0; 3],
            row,
        )?;
        let shape = SumsShape {
            grid: patch,
            patch,
            n_classes: self.n_classes(),
        };
        let mut sums = ClassSums::new(self.card(), shape, &vec![1.0; patch.iter().product()], 1)?;
        let class_order = class_order.map(<[u16]>::to_vec);
        sums.prepare(&Outcome {
            taps: patch.map(every_index),
            class_order,
            is_wide,
        })?;
        sums.add_weights([0; 3])?;
        sums.add_run(
            self,
            &scan,
            &TileRun {
                tile: 0,
                start: [0; 3],
                from: [0; 3],
                flip: [false; 3],
                factor: 1.0,
            },
        )?;
        Ok(sums)
    }
}

/// Each index of the scan is one of the grid.
fn every_index(n: usize) -> Vec<GridTap> {
    (0..n).map(GridTap::at).collect()
}

fn check_len(what: &'static str, expected: usize, found: usize) -> Result<(), CudaError> {
    match expected == found {
        true => Ok(()),
        false => Err(CudaError::Length {
            what,
            expected,
            found,
        }),
    }
}
