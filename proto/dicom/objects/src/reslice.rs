//! Masks on another grid of the same voxels: axes change places and directions, runs stay runs.

use nephrite_mask_codec::{Run, RunMask, RunMaskBuilder};
use nephrite_types::{Geometry, Limits};

use crate::ObjectError;
use crate::alignment::Alignment;

/// Voxels of a dense slab that runs are turned through, 2 bytes each.
const SLAB_VOXELS: usize = 8 << 20;

/// The same labels in the same places, on the voxels of `onto`.
///
/// *Cost*: the runs once more; where rows become columns or frames, a slab of at most 16 MiB, or one frame.
///
/// # Errors
/// [`ObjectError::OffGrid`], [`ObjectError::OutsideGrid`], and those of masks.
pub(crate) fn reslice(mask: &RunMask, onto: &Geometry, limits: &Limits) -> Result<RunMask, ObjectError> {
    let alignment = Alignment::between(mask.geometry(), onto)?;
    check_inside(mask, &alignment, onto.shape.zyx())?;
    let mut rows = RunMaskBuilder::new(*onto, limits)?;
    match alignment.axis[2] {
        2 => copy_rows(mask, &alignment, onto.shape.zyx(), &mut rows)?,
        _ => turn_rows(mask, &alignment, onto.shape.zyx(), &mut rows)?,
    }
    Ok(rows.finish()?)
}

/// Refuses a mask with a label that has no voxel in the other grid.
fn check_inside(mask: &RunMask, alignment: &Alignment, shape: [usize; 3]) -> Result<(), ObjectError> {
    for (&label, summary) in &mask.summaries() {
        let last = summary.bounding_box.end.map(|end| end - 1);
        for index in [summary.bounding_box.start, last] {
            let image = alignment.image(index);
            if (0..3).any(|axis| image[axis] < 0 || image[axis] >= shape[axis] as i64) {
                return Err(ObjectError::OutsideGrid { label });
            }
        }
    }
    Ok(())
}

/// A row of the mask, if there is one with these indices.
fn row_of(mask: &RunMask, z: i64, y: i64) -> &[Run] {
    let [nz, ny, _] = mask.shape();
    let is_inside = (0..nz as i64).contains(&z) && (0..ny as i64).contains(&y);
    if is_inside {
        mask.row(z as usize * ny + y as usize)
    } else {
        &[]
    }
}

/// Rows stay rows, forward or backward.
fn copy_rows(
    mask: &RunMask,
    alignment: &Alignment,
    [nz, ny, _]: [usize; 3],
    rows: &mut RunMaskBuilder,
) -> Result<(), ObjectError> {
    let mut moved = Vec::new();
    for z in 0..nz as i64 {
        for y in 0..ny as i64 {
            let [from_z, from_y, _] = alignment.inverse([z, y, 0]);
            moved.clear();
            moved.extend(
                row_of(mask, from_z, from_y)
                    .iter()
                    .map(|run| moved_run(run, alignment)),
            );
            if alignment.flipped[2] {
                moved.reverse();
            }
            rows.push_row(moved.iter().copied())?;
        }
    }
    Ok(())
}

/// `check_inside` saw that both ends lie in the row.
fn moved_run(run: &Run, alignment: &Alignment) -> Run {
    let (first, last) = (i64::from(run.start), i64::from(run.end) - 1);
    let (a, b) = (alignment.along(2, first), alignment.along(2, last));
    Run {
        start: a.min(b) as u32,
        end: a.max(b) as u32 + 1,
        label: run.label,
    }
}

/// Rows become columns or frames: a few frames at a time are made dense.
fn turn_rows(
    mask: &RunMask,
    alignment: &Alignment,
    [nz, ny, nx]: [usize; 3],
    rows: &mut RunMaskBuilder,
) -> Result<(), ObjectError> {
    let per_slab = (SLAB_VOXELS / (ny * nx)).clamp(1, nz);
    let mut slab = vec![0u16; per_slab * ny * nx];
    let mask_ny = mask.shape()[1];
    for first in (0..nz).step_by(per_slab) {
        let end = (first + per_slab).min(nz);
        slab.fill(0);
        let frames = first as i64..end as i64;
        for (row, runs) in mask.rows().enumerate() {
            // Along a row one index of the image changes: between the image of its first voxel and of its last.
            let start = alignment.image([row / mask_ny, row % mask_ny, 0]);
            let (axis, sign) = (alignment.axis[2], if alignment.flipped[2] { -1 } else { 1 });
            if axis != 0 && !frames.contains(&start[0]) {
                continue;
            }
            for run in runs {
                for x in run.start..run.end {
                    let mut image = start;
                    image[axis] += sign * i64::from(x);
                    if frames.contains(&image[0]) {
                        let [k, r, c] = [image[0] - frames.start, image[1], image[2]].map(|i| i as usize);
                        slab[(k * ny + r) * nx + c] = run.label;
                    }
                }
            }
        }
        for row in slab[..(end - first) * ny * nx].chunks_exact(nx) {
            rows.push_row(runs_of(row))?;
        }
    }
    Ok(())
}

/// The runs of a dense row; those of background, too, which a builder leaves out.
pub(crate) fn runs_of(row: &[u16]) -> impl Iterator<Item = Run> + '_ {
    let mut start = 0;
    row.chunk_by(|a, b| a == b).map(move |chunk| {
        let end = start + chunk.len() as u32; // rows have at most 65535 voxels
        let run = Run {
            start,
            end,
            label: chunk[0],
        };
        start = end;
        run
    })
}
