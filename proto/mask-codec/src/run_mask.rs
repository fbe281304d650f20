//! Label maps as runs along x, the form in which masks are held and worked on.

use nephrite_types::{BoundingBox, Geometry, Limits};

use crate::MaskError;

/// Voxels `start..end` of one row (along x) that carry `label`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    /// First voxel inside, x index.
    pub start: u32,
    /// First voxel past the end, x index; above `start`.
    pub end: u32,
    /// Never 0: background has no runs.
    pub label: u16,
}

impl Run {
    /// Number of voxels.
    #[inline]
    pub fn len(self) -> u32 {
        self.end - self.start
    }

    /// False: a run of a mask has at least one voxel.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// A label map as runs along x, row by row; background is what no run covers.
///
/// Always canonical: the runs of a row are sorted, do not overlap, lie within the row, and neighbors that touch have
/// different labels. So two masks are equal exactly if their label maps are.
///
/// A mask has one set of lengths: its geometry is [`Geometry::measured`], whatever it was made with, so that volumes,
/// surfaces and distances are those of the same voxels here, in services and in plugins.
///
/// *Cost*: 12 bytes per run and 4 per row.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMask {
    geometry: Geometry,
    /// Row `z·ny + y` has the runs `row_starts[row]..row_starts[row + 1]`.
    row_starts: Vec<u32>,
    runs: Vec<Run>,
}

impl RunMask {
    /// A mask without any label.
    ///
    /// # Errors
    /// [`MaskError::TooManyRows`], [`MaskError::RowTooLong`].
    pub fn empty(geometry: Geometry, limits: &Limits) -> Result<RunMask, MaskError> {
        let n_rows = check_size(&geometry, limits)?;
        Ok(RunMask {
            geometry: geometry.measured(),
            row_starts: vec![0; n_rows + 1],
            runs: Vec::new(),
        })
    }

    /// Where the voxels lie.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Voxels per axis, `[z, y, x]`.
    pub fn shape(&self) -> [usize; 3] {
        self.geometry.shape.zyx()
    }

    /// Number of rows, z times y.
    pub fn n_rows(&self) -> usize {
        self.row_starts.len() - 1
    }

    /// All runs, row by row.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Index of the first run of every row, and the number of runs; row `z·ny + y`.
    pub fn row_starts(&self) -> &[u32] {
        &self.row_starts
    }

    /// The runs of row `z·ny + y`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, row: usize) -> &[Run] {
        &self.runs[self.row_starts[row] as usize..self.row_starts[row + 1] as usize]
    }

    /// The runs of every row, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Run]> + Clone {
        self.row_starts
            .windows(2)
            .map(|ends| &self.runs[ends[0] as usize..ends[1] as usize])
    }

    /// True if no voxel has a label.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The label at `[z, y, x]`; 0 is background.
    ///
    /// # Panics
    /// If the index lies outside.
    pub fn label_at(&self, [z, y, x]: [usize; 3]) -> u16 {
        let [nz, ny, nx] = self.shape();
        assert!(z < nz && y < ny && x < nx, "[{z}, {y}, {x}] lies outside");
        let row = self.row(z * ny + y);
        let next = row.partition_point(|run| run.end as usize <= x);
        row.get(next)
            .filter(|run| run.start as usize <= x)
            .map_or(0, |run| run.label)
    }

    /// The smallest box around all labels; `None` if there are none.
    pub fn bounding_box(&self) -> Option<BoundingBox> {
        let ny = self.shape()[1];
        let mut found: Option<BoundingBox> = None;
        for (row, runs) in self.rows().enumerate() {
            let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
                continue;
            };
            let (z, y) = (row / ny, row % ny);
            let here = BoundingBox {
                start: [z, y, first.start as usize],
                end: [z + 1, y + 1, last.end as usize],
            };
            found = Some(found.map_or(here, |so_far| so_far.union(&here)));
        }
        found
    }

    /// The same runs with other labels; what `label_of` maps to 0 is dropped, and touching runs of one label become one.
    ///
    /// `label_of` gets the index of each run, in order, and the run.
    pub fn relabel(&self, mut label_of: impl FnMut(usize, Run) -> u16) -> RunMask {
        let mut row_starts = Vec::with_capacity(self.row_starts.len());
        let mut runs: Vec<Run> = Vec::with_capacity(self.runs.len());
        row_starts.push(0);
        let mut idx = 0;
        for row in self.rows() {
            let first = runs.len();
            for &run in row {
                let label = label_of(idx, run);
                idx += 1;
                if label != 0 {
                    push_merging(&mut runs, first, Run { label, ..run });
                }
            }
            row_starts.push(runs.len() as u32); // no more runs than before, which fitted
        }
        RunMask {
            geometry: self.geometry,
            row_starts,
            runs,
        }
    }

    /// The same voxels somewhere else in the world.
    ///
    /// # Errors
    /// [`MaskError::Shape`] if the shape differs.
    pub fn with_geometry(mut self, geometry: Geometry) -> Result<RunMask, MaskError> {
        if geometry.shape != self.geometry.shape {
            return Err(MaskError::Shape {
                expected: self.geometry.shape.zyx(),
                found: geometry.shape.zyx(),
            });
        }
        self.geometry = geometry.measured();
        Ok(self)
    }

    /// From parts that are canonical already.
    pub(crate) fn from_canonical(geometry: Geometry, row_starts: Vec<u32>, runs: Vec<Run>) -> RunMask {
        RunMask {
            geometry: geometry.measured(),
            row_starts,
            runs,
        }
    }
}

/// Appends a run to the row that began at `first`; a run that continues the last one makes it longer.
#[inline]
pub(crate) fn push_merging(runs: &mut Vec<Run>, first: usize, run: Run) {
    if runs.len() > first
        && let Some(last) = runs.last_mut()
        && last.end == run.start
        && last.label == run.label
    {
        last.end = run.end;
        return;
    }
    runs.push(run);
}

/// Number of rows, if this process may hold them.
pub(crate) fn check_size(geometry: &Geometry, limits: &Limits) -> Result<usize, MaskError> {
    let [nz, ny, nx] = geometry.shape.zyx();
    let n_rows = nz * ny; // a Shape3 fits
    if n_rows as u64 > limits.max_mask_rows {
        return Err(MaskError::TooManyRows {
            limit: limits.max_mask_rows,
            found: n_rows as u64,
        });
    }
    if geometry.shape.n_voxels() as u64 > limits.max_voxels {
        return Err(MaskError::TooManyVoxels {
            limit: limits.max_voxels,
            found: geometry.shape.n_voxels() as u64,
        });
    }
    if u32::try_from(nx).is_err() {
        return Err(MaskError::RowTooLong { found: nx });
    }
    Ok(n_rows)
}

/// Makes a [`RunMask`] row by row, in order of z, then y.
#[derive(Debug)]
pub struct RunMaskBuilder {
    geometry: Geometry,
    n_rows: usize,
    max_runs: u64,
    row_starts: Vec<u32>,
    runs: Vec<Run>,
}

impl RunMaskBuilder {
    /// # Errors
    /// [`MaskError::TooManyRows`], [`MaskError::TooManyVoxels`], [`MaskError::RowTooLong`].
    pub fn new(geometry: Geometry, limits: &Limits) -> Result<RunMaskBuilder, MaskError> {
        let n_rows = check_size(&geometry, limits)?;
        let mut row_starts = Vec::with_capacity(n_rows + 1);
        row_starts.push(0);
        Ok(RunMaskBuilder {
            geometry: geometry.measured(),
            n_rows,
            max_runs: limits.max_mask_runs.min(u32::MAX.into()),
            row_starts,
            runs: Vec::new(),
        })
    }

    /// Adds the next row. Empty runs and runs of label 0 are left out; touching runs of one label become one.
    ///
    /// # Errors
    /// [`MaskError::RunOrder`] if runs overlap, are not sorted or leave the row; [`MaskError::TooManyRuns`];
    /// [`MaskError::RowCount`] if all rows are there already.
    pub fn push_row(&mut self, row: impl IntoIterator<Item = Run>) -> Result<(), MaskError> {
        if self.row_starts.len() > self.n_rows {
            return Err(MaskError::RowCount {
                expected: self.n_rows,
                found: self.n_rows + 1,
            });
        }
        let nx = self.geometry.shape.zyx()[2] as u64;
        let first = self.runs.len();
        let mut at = 0;
        for run in row {
            if run.start < at || run.end < run.start || u64::from(run.end) > nx {
                return Err(MaskError::RunOrder {
                    row: self.row_starts.len() - 1,
                });
            }
            at = run.end;
            if run.label != 0 && !run.is_empty() {
                push_merging(&mut self.runs, first, run);
            }
        }
        if self.runs.len() as u64 > self.max_runs {
            return Err(MaskError::TooManyRuns {
                limit: self.max_runs,
                found: self.runs.len() as u64,
            });
        }
        self.row_starts.push(self.runs.len() as u32); // max_runs fits
        Ok(())
    }

    /// Adds rows without runs until row `row` is the next.
    ///
    /// # Errors
    /// [`MaskError::RowCount`] if there is no such row.
    pub fn skip_to_row(&mut self, row: usize) -> Result<(), MaskError> {
        if row > self.n_rows {
            return Err(MaskError::RowCount {
                expected: self.n_rows,
                found: row,
            });
        }
        let end = self.runs.len() as u32; // as in push_row
        if row + 1 > self.row_starts.len() {
            self.row_starts.resize(row + 1, end);
        }
        Ok(())
    }

    /// # Errors
    /// [`MaskError::RowCount`] if rows are missing.
    pub fn finish(self) -> Result<RunMask, MaskError> {
        if self.row_starts.len() != self.n_rows + 1 {
            return Err(MaskError::RowCount {
                expected: self.n_rows,
                found: self.row_starts.len() - 1,
            });
        }
        Ok(RunMask {
            geometry: self.geometry,
            row_starts: self.row_starts,
            runs: self.runs,
        })
    }
}
