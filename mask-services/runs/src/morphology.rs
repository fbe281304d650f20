//! Growing and shrinking by Euclidean balls in mm.

use nephrite_mask_codec::RunMask;
use nephrite_types::{BoundingBox, CancelToken, Limits, length};

use crate::RunsError;
use crate::reach::{Ball, within};
use crate::scattered::BallRows;
use crate::{combine, flatten};

/// Voxels whose center lies at most `radius_mm` from the center of a voxel of `set` (all voxels with any label); label 1.
///
/// Distances are Euclidean, in mm, with the steps of the geometry in the world; a radius that is a distance of voxels up to
/// the rounding of headers reaches them ([`length`]). The volume's border cuts the result off. Equal to
/// `scipy.ndimage.distance_transform_edt(~set, sampling=steps) <= radius_mm` but for that.
///
/// *Cost*: linear in the voxels of the set's box grown by the radius, whatever the radius; 2 bytes for each. Or, for few
/// runs in a large box, in the runs times the rows of the ball.
///
/// # Errors
/// [`RunsError::Radius`] if the radius is negative or not finite, [`RunsError::Limit`], [`RunsError::Mask`] if there are
/// more runs than the limit, [`RunsError::Cancelled`].
pub fn grow(
    set: &RunMask,
    radius_mm: f64,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<RunMask, RunsError> {
    check_radius(radius_mm)?;
    let Some(bounds) = set.bounding_box() else {
        return Ok(flatten(set, 1));
    };
    let spacing = set.geometry().steps_mm();
    let shape = set.shape();
    let around = BoundingBox {
        start: std::array::from_fn(|axis| {
            bounds.start[axis].saturating_sub(steps(radius_mm, spacing[axis], shape[axis]))
        }),
        end: std::array::from_fn(|axis| {
            shape[axis].min(bounds.end[axis] + steps(radius_mm, spacing[axis], shape[axis]))
        }),
    };
    let ball = Ball::within(set.geometry(), around, radius_mm, limits)?;
    if let Some(rows) = BallRows::if_cheaper(&ball, set.runs().len(), around) {
        return rows.grow(set, limits, cancel);
    }
    let ny = shape[1];
    let row = |z: usize, y: usize, out: &mut Vec<(u32, u32)>| {
        out.extend(set.row(z * ny + y).iter().map(|run| (run.start, run.end)));
    };
    within(*set.geometry(), around, row, &ball, limits, cancel)
}

/// Voxels of `set` whose center lies more than `radius_mm` from the center of every background voxel; label 1.
///
/// Distances as in [`grow`]. **Border**: nothing is known outside of the volume, so it is no background: a structure that
/// the border cuts does not shrink there, and a set that fills the volume stays as it is. Equal to
/// `scipy.ndimage.distance_transform_edt(set, sampling=steps) > radius_mm` wherever there is background at all.
///
/// # Errors
/// As [`grow`].
pub fn shrink(
    set: &RunMask,
    radius_mm: f64,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<RunMask, RunsError> {
    check_radius(radius_mm)?;
    let Some(bounds) = set.bounding_box() else {
        return Ok(flatten(set, 1));
    };
    // The background voxel nearest to a voxel of the set lies at most one step outside of the set's box.
    let shape = set.shape();
    let around = BoundingBox {
        start: bounds.start.map(|index| index.saturating_sub(1)),
        end: std::array::from_fn(|axis| shape[axis].min(bounds.end[axis] + 1)),
    };
    let ball = Ball::within(set.geometry(), around, radius_mm, limits)?;
    if let Some(rows) = BallRows::if_cheaper(&ball, set.runs().len(), around) {
        return rows.shrink(&flatten(set, 1), limits, cancel);
    }
    let (x_start, x_end) = (around.start[2] as u32, around.end[2] as u32); // x indices of runs are u32
    let ny = shape[1];
    let row = |z: usize, y: usize, out: &mut Vec<(u32, u32)>| {
        let mut at = x_start;
        for run in set.row(z * ny + y) {
            out.extend((at < run.start).then_some((at, run.start)));
            at = run.end;
        }
        out.extend((at < x_end).then_some((at, x_end)));
    };
    let near_background = within(*set.geometry(), around, row, &ball, limits, cancel)?;
    combine(set, &near_background, limits, |inside, near| {
        u16::from(inside != 0 && near == 0)
    })
}

/// [`shrink`], then [`grow`]: without what no ball of the radius fits into. Never more than the set.
///
/// # Errors
/// As [`grow`].
pub fn open(
    set: &RunMask,
    radius_mm: f64,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<RunMask, RunsError> {
    grow(
        &shrink(set, radius_mm, limits, cancel)?,
        radius_mm,
        limits,
        cancel,
    )
}

/// [`grow`], then [`shrink`]: with every gap that no ball of the radius fits into. Never less than the set.
///
/// # Errors
/// As [`grow`].
pub fn close(
    set: &RunMask,
    radius_mm: f64,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<RunMask, RunsError> {
    shrink(&grow(set, radius_mm, limits, cancel)?, radius_mm, limits, cancel)
}

fn check_radius(radius_mm: f64) -> Result<(), RunsError> {
    if radius_mm.is_finite() && radius_mm >= 0.0 {
        Ok(())
    } else {
        Err(RunsError::Radius { found: radius_mm })
    }
}

/// Voxels that a radius reaches along an axis, one for rounding; at most the whole axis.
fn steps(radius_mm: f64, spacing: f64, len: usize) -> usize {
    let steps = length::steps_within(radius_mm, spacing) + 1.0;
    if steps < len as f64 { steps as usize } else { len } // infinite if the quotient overflows
}
