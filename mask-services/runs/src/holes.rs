//! Background that a mask encloses, per volume or per slice.

use nephrite_mask_codec::{MaskError, Run, RunMask, RunMaskBuilder};
use nephrite_types::{BoundingBox, CancelToken, Limits};

use crate::Connectivity;
use crate::RunsError;
use crate::forest::{Grid, Numbering, number_components};

/// What counts as enclosed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holes {
    /// Background that no path over faces (6 neighbors) leads to the border of the volume.
    Volume,
    /// Background of a z slice that no path over edges (4 neighbors) within that slice leads to its border.
    Slices,
}

/// Background that `set`, all voxels with any label, encloses; label 1.
///
/// Equal to `fill_voids.fill` 2.1 and `scipy.ndimage.binary_fill_holes` less the set itself. *Cost*: linear in the runs and
/// in the rows of the set's box, no dense array.
///
/// # Errors
/// [`RunsError::Mask`] if there are more runs than the limit, [`RunsError::Cancelled`].
pub fn holes(
    set: &RunMask,
    mode: Holes,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<RunMask, RunsError> {
    let mut rows = RunMaskBuilder::new(*set.geometry(), limits)?;
    let n_rows = set.n_rows();
    let ny = set.shape()[1];
    let Some(bounds) = set.bounding_box() else {
        rows.skip_to_row(n_rows)?;
        return Ok(rows.finish()?);
    };
    let gaps = Gaps::of(set, bounds)?;
    let grid = gaps.grid(mode);
    let numbering = number_components(grid, Connectivity::Faces6, cancel)?;
    let open = gaps.open(&numbering, mode);
    let [box_nz, box_ny, _] = bounds.shape();
    for z in 0..box_nz {
        cancel.check()?;
        for y in 0..box_ny {
            let runs = gaps.row(z * box_ny + y);
            if runs.is_empty() {
                continue;
            }
            rows.skip_to_row((z + bounds.start[0]) * ny + y + bounds.start[1])?;
            let closed = runs.filter(|&idx| !open[numbering.of_run[idx] as usize]);
            rows.push_row(closed.map(|idx| gaps.runs[idx]))?;
        }
    }
    rows.skip_to_row(n_rows)?;
    Ok(rows.finish()?)
}

/// The set, all voxels with any label, and what it encloses; label 1.
///
/// # Errors
/// As [`holes`].
pub fn fill_holes(
    set: &RunMask,
    mode: Holes,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<RunMask, RunsError> {
    let holes = holes(set, mode, limits, cancel)?;
    crate::combine(set, &holes, limits, |_, _| 1)
}

/// The background within the box of a set, as runs. What lies outside of the box is connected to the volume's border.
struct Gaps {
    /// Of the set.
    bounds: BoundingBox,
    /// Row `z·ny + y` of the box.
    row_starts: Vec<u32>,
    /// Label 1; x counts from the volume's border.
    runs: Vec<Run>,
}

impl Gaps {
    fn of(set: &RunMask, bounds: BoundingBox) -> Result<Gaps, RunsError> {
        let ny = set.shape()[1];
        let [box_nz, box_ny, _] = bounds.shape();
        let mut row_starts = Vec::with_capacity(box_nz * box_ny + 1);
        let mut runs = Vec::new();
        row_starts.push(0);
        for z in bounds.start[0]..bounds.end[0] {
            for y in bounds.start[1]..bounds.end[1] {
                let mut at = bounds.start[2] as u32; // x indices of runs are u32
                let row = set.row(z * ny + y).iter();
                let ends = row.map(|run| (run.start, run.end));
                for (start, end) in ends.chain([(bounds.end[2] as u32, 0)]) {
                    if start > at {
                        runs.push(Run {
                            start: at,
                            end: start,
                            label: 1,
                        });
                    }
                    at = end;
                }
                row_starts.push(u32::try_from(runs.len()).map_err(|_| MaskError::TooManyRuns {
                    limit: u32::MAX.into(),
                    found: runs.len() as u64,
                })?);
            }
        }
        Ok(Gaps {
            bounds,
            row_starts,
            runs,
        })
    }

    fn grid(&self, mode: Holes) -> Grid<'_> {
        let [nz, ny, _] = self.bounds.shape();
        Grid {
            nz,
            ny,
            row_starts: &self.row_starts,
            runs: &self.runs,
            planes_touch: mode == Holes::Volume,
        }
    }

    fn row(&self, row: usize) -> std::ops::Range<usize> {
        self.row_starts[row] as usize..self.row_starts[row + 1] as usize
    }

    /// For every component: does it reach a face of the box?
    fn open(&self, numbering: &Numbering, mode: Holes) -> Vec<bool> {
        let [nz, ny, _] = self.bounds.shape();
        let (x_start, x_end) = (self.bounds.start[2] as u32, self.bounds.end[2] as u32);
        let mut open = vec![false; numbering.first_runs.len()];
        for z in 0..nz {
            for y in 0..ny {
                let outer_row = y == 0 || y + 1 == ny || (mode == Holes::Volume && (z == 0 || z + 1 == nz));
                for idx in self.row(z * ny + y) {
                    let run = self.runs[idx];
                    if outer_row || run.start == x_start || run.end == x_end {
                        open[numbering.of_run[idx] as usize] = true;
                    }
                }
            }
        }
        open
    }
}
