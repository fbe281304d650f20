//! The core: a resize that reads its source plane by plane.

use ndarray::{Array3, ArrayViewMut2, Axis, s};
use nephrite_types::{CancelToken, memory};
use rayon::prelude::*;

use crate::axis::{AxisOperator, LANES, Lanes};
use crate::bounds::{Clip, LateClip, Range};
use crate::plane::{InPlane, Scratch, along_columns, along_rows, copy_padded};
use crate::{Real, ResampleError, ResizePlan};

/// What an allocation is for, in messages.
pub(crate) const RESIZED: &str = "a resized volume";

/// Columns along axis 0 that one task takes: long enough runs for the memory, small enough for an even share.
const COLUMNS_PER_TASK: usize = 4 * LANES;

/// Resizes a volume of shape `from` to shape `to`, both in array order, C-contiguous.
///
/// `fill_plane(k, plane)` writes source plane `k` (index along axis 0), `from[1] · from[2]` values in C order; it is
/// called from many threads, at most once per plane, and not at all for planes that no output reads (nearest along
/// axis 0). Source values may be converted, normalized or transposed there, so the caller needs no float copy.
///
/// An axis whose length does not change is left alone; if none changes, the result is the filled planes, unclipped.
/// With a clip, results lie in the range of the whole source (NaN ignored), or of their own slice where the plan has
/// a separate axis. A NaN in the source spreads along whole lines with cubic interpolation.
///
/// The bytes of the result do not depend on the number of threads.
///
/// # Cost
/// Memory: one array of `max(from[0], to[0]) · to[1] · to[2]` values, which becomes the result, and two planes per
/// thread. (A separate axis 1 or 2 that is not nearest needs one more array.) Time is linear in source voxels.
///
/// # Errors
/// [`ResampleError::Shape`] if an axis is empty or sizes overflow, [`ResampleError::Cancelled`].
///
/// # Source
/// scikit-image 0.26 `transform/_warps.py` `resize`, scipy 1.17 `ndimage.zoom(mode="nearest", grid_mode=True)`,
/// nnunetv2 2.8.1 `default_resampling.py`.
pub fn resize_planes<T: Real>(
    from: [usize; 3],
    to: [usize; 3],
    plan: &ResizePlan,
    fill_plane: &(dyn Fn(usize, &mut [T]) + Sync),
    cancel: &CancelToken,
) -> Result<Array3<T>, ResampleError> {
    check_shapes(from, to, size_of::<T>())?;
    let mut ops = std::array::from_fn(|axis| {
        AxisOperator::<T>::new(from[axis], to[axis], plan.interpolation(axis), plan.grid())
    });
    let clip = Clip::new(plan, &ops);
    // A separate axis 1 or 2 that mixes slices comes last, after every slice was clipped to its own range.
    let last = plan
        .separate()
        .map(|(axis, _)| axis)
        .filter(|&axis| axis > 0 && !ops[axis].keeps_values());
    let last = last.map(|axis| {
        let identity = AxisOperator::Identity { n: from[axis] };
        (axis, std::mem::replace(&mut ops[axis], identity))
    });
    let [op_0, op_1, op_2] = ops;
    let in_plane = InPlane::new(op_1, op_2, plan.grid());
    let plane_len = in_plane.target_len();

    // Along axis 0, an operator that picks needs only the planes that it picks; picks never decrease.
    let picks = op_0.picks();
    let planes: Vec<usize> = match &picks {
        Some(picks) => {
            let mut used = picks.clone();
            used.dedup();
            used
        }
        None => (0..from[0]).collect(),
    };
    let mut array: Vec<T> = memory::zeroed(planes.len().max(to[0]) * plane_len, RESIZED)?;
    let ranges = array
        .par_chunks_mut(plane_len)
        .zip(&planes)
        .map_init(
            || in_plane.buffers(),
            |buffers, (target, &k)| {
                cancel.check()?;
                Ok(in_plane.run(|plane| fill_plane(k, plane), target, clip, buffers))
            },
        )
        .collect::<Result<Vec<_>, ResampleError>>()?;
    let late_clip = in_plane.late_clip(clip, ranges);

    let op_0 = match picks {
        Some(picks) => {
            spread_planes(&mut array, plane_len, &picks);
            AxisOperator::Identity { n: to[0] }
        }
        None => op_0,
    };
    if !op_0.is_identity() || late_clip.is_some() {
        along_planes(&op_0, &mut array, plane_len, late_clip.as_ref(), cancel)?;
    }
    array.truncate(to[0] * plane_len);
    array.shrink_to_fit();

    if let Some((axis, op)) = last {
        array = last_axis_of_planes(&op, axis, &array, in_plane.target_shape(), cancel)?;
    }
    Ok(Array3::from_shape_vec(to, array).expect("the array holds exactly the values of the target"))
}

/// Refuses empty axes, and sizes of which no order of the axes could hold an array.
pub(crate) fn check_shapes(
    from: [usize; 3],
    to: [usize; 3],
    value_bytes: usize,
) -> Result<(), ResampleError> {
    let larger: [usize; 3] = std::array::from_fn(|axis| from[axis].max(to[axis]));
    let n_bytes = larger.iter().try_fold(value_bytes, |n, &len| n.checked_mul(len));
    if from.contains(&0) || to.contains(&0) || n_bytes.is_none_or(|n| n > isize::MAX as usize) {
        return Err(ResampleError::Shape { from, to });
    }
    Ok(())
}

/// Moves plane `rank` of the planes that were picked to every place that picked it, in place.
///
/// The rank of a pick is never more than its place, so going down no plane is overwritten before it was read.
fn spread_planes<T: Real>(array: &mut [T], plane_len: usize, picks: &[usize]) {
    let mut rank = picks.windows(2).filter(|pair| pair[0] != pair[1]).count();
    for k in (0..picks.len()).rev() {
        if rank < k {
            array.copy_within(rank * plane_len..(rank + 1) * plane_len, k * plane_len);
        }
        if k > 0 && picks[k - 1] != picks[k] {
            rank -= 1;
        }
    }
}

/// Applies `op` along axis 0 of `[max(n, m), plane_len]` in place, a block of columns at a time, and clips.
fn along_planes<T: Real>(
    op: &AxisOperator<T>,
    array: &mut [T],
    plane_len: usize,
    clip: Option<&LateClip<T>>,
    cancel: &CancelToken,
) -> Result<(), ResampleError> {
    let n_rows = array.len() / plane_len;
    let mut array = ArrayViewMut2::from_shape((n_rows, plane_len), array).expect("whole planes");
    array
        .axis_chunks_iter_mut(Axis(1), COLUMNS_PER_TASK)
        .into_par_iter()
        .enumerate()
        .try_for_each_init(Vec::new, |block, (task, mut columns)| {
            cancel.check()?;
            for start in (0..columns.ncols()).step_by(LANES) {
                let end = (start + LANES).min(columns.ncols());
                let first = task * COLUMNS_PER_TASK + start;
                let ranges = clip.map(|clip| std::array::from_fn(|lane| clip.range(first + lane)));
                along_block(op, columns.slice_mut(s![.., start..end]), ranges.as_ref(), block);
            }
            Ok(())
        })
}

/// One block of at most [`LANES`] columns.
fn along_block<T: Real>(
    op: &AxisOperator<T>,
    mut columns: ArrayViewMut2<'_, T>,
    ranges: Option<&[Range<T>; LANES]>,
    block: &mut Vec<Lanes<T>>,
) {
    for (lanes, row) in op.input(block).iter_mut().zip(columns.rows()) {
        copy_padded(lanes, row.to_slice().expect("rows are contiguous"));
    }
    op.prepare(block);
    op.sample(block, |k, mut lanes| {
        if let Some(ranges) = ranges {
            lanes = std::array::from_fn(|lane| ranges[lane].clip(lanes[lane]));
        }
        let row = columns.row_mut(k).into_slice().expect("rows are contiguous");
        let width = row.len();
        row.copy_from_slice(&lanes[..width]);
    });
}

/// Applies `op` along axis 1 or 2 of an array of planes.
fn last_axis_of_planes<T: Real>(
    op: &AxisOperator<T>,
    axis: usize,
    source: &[T],
    [rows, columns]: [usize; 2],
    cancel: &CancelToken,
) -> Result<Vec<T>, ResampleError> {
    let target_len = if axis == 1 {
        op.m() * columns
    } else {
        rows * op.m()
    };
    let mut target: Vec<T> = memory::zeroed(source.len() / (rows * columns) * target_len, RESIZED)?;
    source
        .par_chunks(rows * columns)
        .zip(target.par_chunks_mut(target_len))
        .try_for_each_init(Scratch::new, |scratch, (source, target)| {
            cancel.check()?;
            match axis {
                1 => along_columns(op, source, target, columns, scratch),
                _ => along_rows(op, source, target, scratch),
            }
            Ok::<(), ResampleError>(())
        })?;
    Ok(target)
}
