//! Label map ⇄ runs.

use ndarray::{Array3, ArrayView2, Axis, Ix3};
use nephrite_types::memory::{self, OutOfMemory, Zeroable};
use nephrite_types::{Geometry, Labels, Limits};
use rayon::prelude::*;

use crate::run_mask::check_size;
use crate::{MaskError, Run, RunMask};

impl RunMask {
    /// The runs of a dense label map, on all threads.
    ///
    /// # Errors
    /// [`MaskError::Shape`] if array and geometry differ; the limits' errors.
    pub fn from_labels(labels: &Labels, geometry: &Geometry, limits: &Limits) -> Result<RunMask, MaskError> {
        RunMask::from_labels_in(labels, geometry, limits, |_| Ok::<_, MaskError>(()))
    }

    /// The same in a process with a bound on its memory: `room` hears how many runs there are before any is kept.
    ///
    /// # Errors
    /// As [`RunMask::from_labels`], and what `room` says.
    pub fn from_labels_in<E: From<MaskError>>(
        labels: &Labels,
        geometry: &Geometry,
        limits: &Limits,
        room: impl FnOnce(u64) -> Result<(), E>,
    ) -> Result<RunMask, E> {
        let n_rows = check_size(geometry, limits)?;
        if labels.shape() != geometry.shape.zyx() {
            let error = MaskError::Shape {
                expected: geometry.shape.zyx(),
                found: labels.shape(),
            };
            return Err(error.into());
        }
        match labels {
            Labels::U8(array) => collect(array, geometry, n_rows, limits, room),
            Labels::U16(array) => collect(array, geometry, n_rows, limits, room),
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
}

/// Planes whose runs are found at once, before they join the others.
const PLANES_AT_ONCE: usize = 32;

/// Counts first, so that memory is asked for once, and for what is needed.
fn collect<T, E>(
    array: &Array3<T>,
    geometry: &Geometry,
    n_rows: usize,
    limits: &Limits,
    room: impl FnOnce(u64) -> Result<(), E>,
) -> Result<RunMask, E>
where
    T: Copy + PartialEq + Default + Into<u16> + Send + Sync,
    E: From<MaskError>,
{
    let max_runs = limits.max_mask_runs.min(u32::MAX.into());
    let planes: Vec<_> = array.axis_iter(Axis(0)).collect();
    let counts: Vec<Vec<u32>> = planes.par_iter().map(|plane| count(*plane)).collect();
    let n_runs = counts.iter().flatten().map(|n| u64::from(*n)).sum();
    if n_runs > max_runs {
        let error = MaskError::TooManyRuns {
            limit: max_runs,
            found: n_runs,
        };
        return Err(error.into());
    }
    room(n_runs)?;
    let mut row_starts = memory::with_room(n_rows + 1, "the rows of a mask").map_err(MaskError::from)?;
    let mut runs: Vec<Run> =
        memory::with_room(n_runs as usize, "the runs of a mask").map_err(MaskError::from)?; // below max_runs
    let mut end = 0u32;
    row_starts.push(end);
    for n in counts.into_iter().flatten() {
        end += n;
        row_starts.push(end);
    }
    for slab in planes.chunks(PLANES_AT_ONCE) {
        let found: Vec<Vec<Run>> = slab.par_iter().map(|plane| runs_of(*plane)).collect();
        found.iter().for_each(|plane| runs.extend_from_slice(plane));
    }
    Ok(RunMask::from_canonical(*geometry, row_starts, runs))
}

/// How many runs each row has.
fn count<T: Copy + PartialEq + Default>(plane: ArrayView2<'_, T>) -> Vec<u32> {
    let mut counts = Vec::with_capacity(plane.nrows());
    for_each_row(plane, |row| {
        let mut n = 0;
        for_each_run(row, |_, _, _| n += 1);
        counts.push(n); // at most the row's length
    });
    counts
}

fn runs_of<T: Copy + PartialEq + Default + Into<u16>>(plane: ArrayView2<'_, T>) -> Vec<Run> {
    let mut runs = Vec::new();
    for_each_row(plane, |row| {
        for_each_run(row, |start, end, label| {
            runs.push(Run {
                start: start as u32, // check_size saw the row's length
                end: end as u32,
                label: label.into(),
            });
        });
    });
    runs
}

fn for_each_row<T: Copy>(plane: ArrayView2<'_, T>, mut visit: impl FnMut(&[T])) {
    let mut buffer = Vec::new();
    for row in plane.rows() {
        match row.as_slice() {
            Some(row) => visit(row),
            None => {
                buffer.clear();
                buffer.extend(row.iter().copied());
                visit(&buffer);
            }
        }
    }
}

/// Start, end and label of every run that is no background.
#[inline]
fn for_each_run<T: Copy + PartialEq + Default>(row: &[T], mut visit: impl FnMut(usize, usize, T)) {
    let mut start = 0;
    while let Some(&label) = row.get(start) {
        let end = start + run_length(&row[start..], label);
        if label != T::default() {
            visit(start, end, label);
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
