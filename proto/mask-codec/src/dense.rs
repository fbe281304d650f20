//! Label map ⇄ runs.

use ndarray::{Array3, ArrayView2, Axis, Ix3};
use nephrite_types::memory::{self, OutOfMemory, Zeroable};
use nephrite_types::{Geometry, LabelMap, Labels, Limits};
use rayon::prelude::*;

use crate::run_mask::check_size;
use crate::{MaskError, Run, RunMask};

impl RunMask {
    /// The runs of a dense label map; plane by plane, on all threads.
    ///
    /// # Errors
    /// [`MaskError::Shape`] if array and geometry differ; the limits' errors.
    pub fn from_labels(labels: &Labels, geometry: &Geometry, limits: &Limits) -> Result<RunMask, MaskError> {
        let n_rows = check_size(geometry, limits)?;
        if labels.shape() != geometry.shape.zyx() {
            return Err(MaskError::Shape {
                expected: geometry.shape.zyx(),
                found: labels.shape(),
            });
        }
        match labels {
            Labels::U8(array) => collect(array, geometry, n_rows, limits),
            Labels::U16(array) => collect(array, geometry, n_rows, limits),
        }
    }

    /// A dense label map, 8 bits wide if all ids fit.
    ///
    /// # Errors
    /// [`MaskError::OutOfMemory`]
    pub fn try_to_labels(&self) -> Result<Labels, MaskError> {
        Ok(if self.runs().iter().all(|run| run.label <= u16::from(u8::MAX)) {
            Labels::U8(fill(self, |label| label as u8)?) // checked just now
        } else {
            Labels::U16(fill(self, |label| label)?)
        })
    }

    /// The same where there is memory for it.
    ///
    /// # Panics
    /// If there is not.
    pub fn to_labels(&self) -> Labels {
        self.try_to_labels().expect("memory for a small label map")
    }

    /// The same with its geometry.
    pub fn to_label_map(&self) -> LabelMap {
        LabelMap {
            labels: self.to_labels(),
            geometry: *self.geometry(),
        }
    }
}

/// One plane's runs: how many each row has, and the runs.
type Plane = (Vec<u32>, Vec<Run>);

fn collect<T>(
    array: &Array3<T>,
    geometry: &Geometry,
    n_rows: usize,
    limits: &Limits,
) -> Result<RunMask, MaskError>
where
    T: Copy + PartialEq + Default + Into<u16> + Send + Sync,
{
    let max_runs = limits.max_mask_runs.min(u32::MAX.into());
    let planes: Vec<Plane> = array.axis_iter(Axis(0)).into_par_iter().map(plane).collect();
    let n_runs: u64 = planes.iter().map(|(_, runs)| runs.len() as u64).sum();
    if n_runs > max_runs {
        return Err(MaskError::TooManyRuns {
            limit: max_runs,
            found: n_runs,
        });
    }
    let mut row_starts = memory::with_room(n_rows + 1, "the rows of a mask")?;
    let mut runs = memory::with_room(n_runs as usize, "the runs of a mask")?; // below max_runs
    let mut end = 0u32;
    row_starts.push(end);
    for (counts, plane) in planes {
        for count in counts {
            end += count;
            row_starts.push(end);
        }
        runs.extend_from_slice(&plane);
    }
    Ok(RunMask::from_canonical(*geometry, row_starts, runs))
}

fn plane<T: Copy + PartialEq + Default + Into<u16>>(plane: ArrayView2<'_, T>) -> Plane {
    let mut counts = Vec::with_capacity(plane.nrows());
    let mut runs = Vec::new();
    let mut row_buffer = Vec::new();
    for row in plane.rows() {
        let before = runs.len();
        match row.as_slice() {
            Some(row) => push_row(row, &mut runs),
            None => {
                row_buffer.clear();
                row_buffer.extend(row.iter().copied());
                push_row(&row_buffer, &mut runs);
            }
        }
        counts.push((runs.len() - before) as u32); // at most the row's length
    }
    (counts, runs)
}

fn push_row<T: Copy + PartialEq + Default + Into<u16>>(row: &[T], runs: &mut Vec<Run>) {
    let mut start = 0;
    while let Some(&label) = row.get(start) {
        let end = start + run_length(&row[start..], label);
        if label != T::default() {
            runs.push(Run {
                start: start as u32, // check_size saw the row's length
                end: end as u32,
                label: label.into(),
            });
        }
        start = end;
    }
}

/// How many values at the start equal `label`; whole blocks at a time, so that the compiler compares with SIMD.
#[inline]
fn run_length<T: Copy + PartialEq>(row: &[T], label: T) -> usize {
    const BLOCK: usize = 32;
    let mut blocks = row.chunks_exact(BLOCK);
    let mut length = 0;
    for block in blocks.by_ref() {
        if !block.iter().fold(true, |all, value| all & (*value == label)) {
            return length + block.iter().take_while(|value| **value == label).count();
        }
        length += BLOCK;
    }
    length
        + blocks
            .remainder()
            .iter()
            .take_while(|value| **value == label)
            .count()
}

fn fill<T: Zeroable + Copy + Send + Sync>(
    mask: &RunMask,
    convert: impl Fn(u16) -> T + Sync,
) -> Result<Array3<T>, OutOfMemory> {
    let [nz, ny, nx] = mask.shape();
    let mut array = memory::zeroed_array(Ix3(nz, ny, nx), "a dense label map")?;
    let planes = array.axis_iter_mut(Axis(0)).into_par_iter().enumerate();
    planes.for_each(|(z, mut plane)| {
        for (y, mut row) in plane.rows_mut().into_iter().enumerate() {
            let row = row.as_slice_mut().expect("a new array is contiguous");
            for run in mask.row(z * ny + y) {
                row[run.start as usize..run.end as usize].fill(convert(run.label));
            }
        }
    });
    Ok(array)
}
