//! The box around the labels that matter, with a margin in mm.

use std::collections::BTreeSet;

use nephrite_kernel::{
    Geometry, LabelTable, Limits, Mask, OperationError, Run, RunMask, RunMaskBuilder, label_ids,
};
use nephrite_runs::select;
use nephrite_types::{Affine, BoundingBox, Shape3, length};

use crate::SampleError;

/// Only the labels that are named, in voxels and table; all if none is.
///
/// # Errors
/// [`OperationError::UnknownLabel`] if the mask's table has no such name.
pub fn choose(mask: &Mask, names: &[String]) -> Result<Mask, OperationError> {
    let ids: BTreeSet<u16> = label_ids(mask, "labels", names)?.into_iter().collect();
    if ids.len() == mask.labels().entries().len() {
        return Ok(mask.clone());
    }
    let mut keep = vec![false; usize::from(u16::MAX) + 1];
    ids.iter().for_each(|id| keep[usize::from(*id)] = true);
    let entries = mask
        .labels()
        .entries()
        .iter()
        .filter(|entry| ids.contains(&entry.id));
    let table = LabelTable::new(entries.cloned().collect())?;
    Ok(Mask::new(select(mask.runs(), |id| keep[usize::from(id)]), table)?)
}

/// The box around all labels plus a margin on every side, cut to the grid. The whole grid if there are no labels.
///
/// The margin is rounded up to whole voxels; a multiple of the spacing is that many ([`length`]).
pub fn crop_box(mask: &RunMask, margin_mm: f64) -> BoundingBox {
    let shape = mask.shape();
    let Some(labels) = mask.bounding_box() else {
        return BoundingBox::full(shape);
    };
    let steps = mask.geometry().steps_mm();
    let margin: [usize; 3] = std::array::from_fn(|axis| {
        let voxels = length::voxels_to_cover(margin_mm, steps[axis]);
        voxels.min(shape[axis] as f64) as usize // at most the axis, so that it fits
    });
    BoundingBox {
        start: std::array::from_fn(|axis| labels.start[axis].saturating_sub(margin[axis])),
        end: std::array::from_fn(|axis| (labels.end[axis] + margin[axis]).min(shape[axis])),
    }
}

/// The grid of a box: world positions stay.
pub(crate) fn geometry_of_box(geometry: &Geometry, bounds: &BoundingBox) -> Result<Geometry, SampleError> {
    let [z, y, x] = bounds.start.map(|index| index as f64);
    Ok(Geometry {
        shape: Shape3::new(bounds.shape())?,
        spacing: geometry.spacing,
        affine: moved(geometry.affine, [x, y, z], [1.0; 3])?,
    })
}

/// The affine whose voxel 0 lies where the voxel `first` (x first) of another lay, with steps `factors` times as long.
pub(crate) fn moved(affine: Affine, first: [f64; 3], factors: [f64; 3]) -> Result<Affine, SampleError> {
    let origin = affine.world_from_voxel(first);
    let rows = affine.rows();
    Ok(Affine::new(std::array::from_fn(|r| {
        std::array::from_fn(|c| if c < 3 { rows[r][c] * factors[c] } else { origin[r] })
    }))?)
}

/// The part of a mask within a box; world positions stay.
///
/// # Errors
/// [`OperationError::Other`] if the box's grid cannot be, [`OperationError::Mask`] if it is over the limits.
///
/// # Panics
/// Panics if the box does not lie within the mask.
pub fn crop(mask: &RunMask, bounds: &BoundingBox, limits: &Limits) -> Result<RunMask, OperationError> {
    let geometry = geometry_of_box(mask.geometry(), bounds)?;
    let mut builder = RunMaskBuilder::new(geometry, limits)?;
    let ny = mask.shape()[1];
    let (start, end) = (bounds.start[2] as u32, bounds.end[2] as u32); // rows of a mask are shorter than 2^32
    for z in bounds.start[0]..bounds.end[0] {
        for y in bounds.start[1]..bounds.end[1] {
            let row = mask.row(z * ny + y).iter();
            let inside = row.filter(|run| run.end > start && run.start < end);
            builder.push_row(inside.map(|run| Run {
                start: run.start.max(start) - start,
                end: run.end.min(end) - start,
                label: run.label,
            }))?;
        }
    }
    Ok(builder.finish()?)
}

#[cfg(test)]
mod tests {
    use nephrite_types::Spacing;

    use super::*;

    fn mask(shape: [usize; 3], rows: &[(usize, Run)]) -> RunMask {
        let spacing = Spacing::new([3.0, 2.0, 1.0]).unwrap();
        let geometry = Geometry {
            shape: Shape3::new(shape).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [10.0, 20.0, 30.0]),
        };
        let mut builder = RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
        for (row, run) in rows {
            builder.skip_to_row(*row).unwrap();
            builder.push_row([*run]).unwrap();
        }
        builder.skip_to_row(shape[0] * shape[1]).unwrap();
        builder.finish().unwrap()
    }

    const RUN: Run = Run {
        start: 4,
        end: 6,
        label: 9,
    };

    #[test]
    fn the_margin_is_in_mm_and_ends_at_the_grid() {
        let mask = mask([5, 5, 20], &[(2 * 5 + 1, RUN)]);
        let check = |margin_mm, start, end| {
            assert_eq!(
                crop_box(&mask, margin_mm),
                BoundingBox { start, end },
                "{margin_mm} mm"
            );
        };
        check(0.0, [2, 1, 4], [3, 2, 6]);
        check(2.0, [1, 0, 2], [4, 3, 8]);
        check(1e300, [0; 3], [5, 5, 20]);
    }

    #[test]
    fn a_margin_of_whole_voxels_is_not_one_more_on_any_grid() {
        for mm in [0.1, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 2.4] {
            for k in 1..8 {
                let stored = Spacing::new([f64::from(mm as f32); 3]).unwrap();
                let geometry = Geometry {
                    shape: Shape3::new([1, 1, 20]).unwrap(),
                    spacing: stored,
                    affine: Affine::from_spacing(stored, [0.0; 3]),
                };
                let mut builder = RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
                let run = Run {
                    start: 9,
                    end: 10,
                    label: 1,
                };
                builder.push_row([run]).unwrap();
                let mask = builder.finish().unwrap();
                let margin = |mm: f64| 9 - crop_box(&mask, mm).start[2];
                assert_eq!(margin(f64::from(k as f32) * mm), k, "{k} of {mm} mm");
                assert_eq!(margin(f64::from(k as f32) * mm * 1.0001), k + 1, "{k} of {mm} mm");
            }
        }
    }

    #[test]
    fn voxels_stay_where_they_are_in_the_world() {
        let mask = mask([5, 5, 20], &[(2 * 5 + 1, RUN)]);
        let bounds = crop_box(&mask, 3.0);
        let cropped = crop(&mask, &bounds, &Limits::default()).unwrap();
        assert_eq!(cropped.shape(), [3, 4, 8]);
        assert_eq!(cropped.label_at([1, 1, 3]), 9);
        let (was, is) = (mask.geometry().affine, cropped.geometry().affine);
        assert_eq!(
            was.world_from_voxel([4.0, 1.0, 2.0]),
            is.world_from_voxel([3.0, 1.0, 1.0])
        );
    }

    #[test]
    fn without_labels_the_grid_stays_whole() {
        let mask = mask([5, 5, 20], &[]);
        assert_eq!(crop_box(&mask, 3.0), BoundingBox::full([5, 5, 20]));
    }
}
