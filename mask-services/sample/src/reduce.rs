//! Fewer voxels: blocks into one, or every n-th slice.

use nephrite_kernel::{CancelToken, Geometry, Limits, OperationError, Run, RunMask, RunMaskBuilder};
use nephrite_types::{Shape3, Spacing, length};
use rayon::prelude::*;

use crate::SampleError;
use crate::crop::moved;

/// Whole factors per axis, `[z, y, x]`, that bring a grid down to `max_voxels`: again and again the axis with the
/// finest resulting spacing is made coarser (of equal ones, up to the rounding of headers, the last of z, y, x), as long as it has more than one voxel.
pub(crate) fn factors(geometry: &Geometry, max_voxels: u64) -> [usize; 3] {
    let shape = geometry.shape.zyx();
    let spacing = geometry.steps_mm();
    let mut factors = [1usize; 3];
    loop {
        let counts: [usize; 3] = std::array::from_fn(|axis| shape[axis].div_ceil(factors[axis]));
        // no more than before, which fitted
        if counts.iter().product::<usize>() as u64 <= max_voxels {
            return factors;
        }
        let size = |axis: usize| spacing[axis] * factors[axis] as f64;
        let finer = |a: f64, b: f64| !length::at_least(a, b);
        let long = [2, 1, 0].into_iter().filter(|&axis| counts[axis] > 1);
        let Some(finest) = long.reduce(|best, axis| if finer(size(axis), size(best)) { axis } else { best })
        else {
            return factors; // one voxel
        };
        // the next factor that saves a voxel: at most 2·√n of them
        factors[finest] = shape[finest].div_ceil(counts[finest] - 1);
    }
}

/// Every block of `factors` (z, y, x) voxels becomes one: the label that most of them have, background included; of
/// equally many, a label rather than background, and the smallest id. Blocks at the end may be cut: only voxels that
/// exist count. The new voxel lies at the center of its block.
pub(crate) fn downsample(
    mask: &RunMask,
    factors: [usize; 3],
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<RunMask, OperationError> {
    if factors == [1; 3] {
        return Ok(mask.clone());
    }
    let geometry = downsampled(mask.geometry(), factors)?;
    let mut builder = RunMaskBuilder::new(geometry, limits)?;
    let [nz, ny, nx] = geometry.shape.zyx();
    let planes: Vec<Vec<Vec<Run>>> = (0..nz)
        .into_par_iter()
        .map(|z| {
            let mut counts = Vec::new();
            let rows = (0..ny).map(|y| {
                cancel.check()?;
                Ok(downsample_row(mask, factors, [z, y], nx, &mut counts))
            });
            rows.collect::<Result<_, OperationError>>()
        })
        .collect::<Result<_, OperationError>>()?;
    for row in planes.into_iter().flatten() {
        builder.push_row(row)?;
    }
    Ok(builder.finish()?)
}

fn downsampled(geometry: &Geometry, factors: [usize; 3]) -> Result<Geometry, SampleError> {
    let shape = geometry.shape.zyx();
    let spacing = geometry.spacing.zyx();
    let [fz, fy, fx] = factors.map(|factor| factor as f64);
    Ok(Geometry {
        shape: Shape3::new(std::array::from_fn(|axis| shape[axis].div_ceil(factors[axis])))?,
        spacing: Spacing::new(std::array::from_fn(|axis| spacing[axis] * factors[axis] as f64))?,
        affine: moved(
            geometry.affine,
            [(fx - 1.0) / 2.0, (fy - 1.0) / 2.0, (fz - 1.0) / 2.0],
            [fx, fy, fz],
        )?,
    })
}

/// One row of blocks. `counts` is room that is used again: block, label, voxels.
fn downsample_row(
    mask: &RunMask,
    [fz, fy, fx]: [usize; 3],
    [z, y]: [usize; 2],
    nx: usize,
    counts: &mut Vec<(usize, u16, u64)>,
) -> Vec<Run> {
    let [source_nz, source_ny, source_nx] = mask.shape();
    let zs = z * fz..((z + 1) * fz).min(source_nz);
    let ys = y * fy..((y + 1) * fy).min(source_ny);
    let rows = (zs.len() * ys.len()) as u64;
    counts.clear();
    for source_z in zs {
        for source_y in ys.clone() {
            for run in mask.row(source_z * source_ny + source_y) {
                let (start, end) = (run.start as usize, run.end as usize);
                for block in start / fx..end.div_ceil(fx) {
                    let here = end.min((block + 1) * fx) - start.max(block * fx);
                    counts.push((block, run.label, here as u64));
                }
            }
        }
    }
    counts.sort_unstable();
    let mut row = Vec::new();
    for block_counts in counts.chunk_by(|a, b| a.0 == b.0) {
        let block = block_counts[0].0;
        let width = (((block + 1) * fx).min(source_nx) - block * fx) as u64;
        let mut background = rows * width;
        let mut best = (0u64, 0u16);
        for same in block_counts.chunk_by(|a, b| a.1 == b.1) {
            let voxels: u64 = same.iter().map(|count| count.2).sum();
            background -= voxels;
            if voxels > best.0 {
                best = (voxels, same[0].1); // ids ascend: the first of equals is the smallest
            }
        }
        if best.0 >= background && block < nx {
            row.push(Run {
                start: block as u32, // below the length of the source's rows
                end: block as u32 + 1,
                label: best.1,
            });
        }
    }
    row
}

/// Every n-th slice along z, so few that the mask has at most `max_voxels`; what is left over is shared between both ends.
/// Returns the mask and n.
///
/// # Errors
/// [`SampleError::SliceTooLarge`] if one slice is.
pub(crate) fn select_slices(
    mask: &RunMask,
    max_voxels: u64,
    limits: &Limits,
) -> Result<(RunMask, usize), OperationError> {
    let [nz, ny, nx] = mask.shape();
    let slice = (ny * nx) as u64; // a part of a shape
    let most = max_voxels / slice;
    if most == 0 {
        return Err(SampleError::SliceTooLarge {
            limit: max_voxels,
            found: slice,
        }
        .into());
    }
    let step = (nz as u64).div_ceil(most).max(1) as usize; // at most nz
    if step == 1 {
        return Ok((mask.clone(), 1));
    }
    let first = ((nz - 1) % step) / 2;
    let n = (nz - first).div_ceil(step);
    let old = mask.geometry();
    let [sz, sy, sx] = old.spacing.zyx();
    let geometry = Geometry {
        shape: Shape3::new([n, ny, nx]).map_err(SampleError::from)?,
        spacing: Spacing::new([sz * step as f64, sy, sx]).map_err(SampleError::from)?,
        affine: moved(old.affine, [0.0, 0.0, first as f64], [1.0, 1.0, step as f64])?,
    };
    let mut builder = RunMaskBuilder::new(geometry, limits)?;
    for z in (0..n).map(|k| first + k * step) {
        for y in 0..ny {
            builder.push_row(mask.row(z * ny + y).iter().copied())?;
        }
    }
    Ok((builder.finish()?, step))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use nephrite_types::{Affine, Labels};
    use proptest::prelude::*;

    use super::*;

    fn geometry(shape: [usize; 3], spacing: [f64; 3]) -> Geometry {
        let spacing = Spacing::new(spacing).unwrap();
        Geometry {
            shape: Shape3::new(shape).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [1.0, 2.0, 3.0]),
        }
    }

    fn mask(array: &Array3<u16>) -> RunMask {
        let (z, y, x) = array.dim();
        let geometry = geometry([z, y, x], [2.0, 1.0, 1.0]);
        RunMask::from_labels(&Labels::U16(array.clone()), &geometry, &Limits::default()).unwrap()
    }

    #[test]
    fn the_finest_axes_are_made_coarser_first() {
        let check = |shape, spacing, max_voxels, expected| {
            assert_eq!(
                factors(&geometry(shape, spacing), max_voxels),
                expected,
                "{shape:?} {max_voxels}"
            );
        };
        check([10, 10, 10], [1.0; 3], 1000, [1, 1, 1]);
        check([10, 10, 10], [1.0; 3], 999, [1, 1, 2]);
        check([10, 10, 10], [1.0; 3], 125, [2, 2, 2]);
        check([10, 40, 40], [4.0, 1.0, 1.0], 1000, [1, 4, 4]);
        check([1, 1, 1 << 40], [1.0; 3], 1, [1, 1, 1 << 40]);
        check([1, 1, 1], [1.0; 3], 1, [1, 1, 1]);
        // equal up to the rounding of headers: the last of z, y, x
        check(
            [10, 10, 10],
            [0.8, f64::from(0.8f32), f64::from(0.8f32)],
            999,
            [1, 1, 2],
        );
        check(
            [1 << 20, 1 << 20, 1 << 20],
            [1.0; 3],
            1,
            [1 << 20, 1 << 20, 1 << 20],
        );
    }

    #[test]
    fn slices_are_spread_and_keep_their_place() {
        let array = Array3::from_shape_fn([10, 2, 3], |(z, _, _)| z as u16 + 1);
        let (reduced, step) = select_slices(&mask(&array), 24, &Limits::default()).unwrap();
        assert_eq!((reduced.shape(), step), ([4, 2, 3], 3));
        let labels: Vec<u16> = (0..4).map(|z| reduced.label_at([z, 0, 0])).collect();
        assert_eq!(labels, [1, 4, 7, 10]);
        let (reduced, step) = select_slices(&mask(&array), 18, &Limits::default()).unwrap();
        assert_eq!((reduced.shape(), step), ([3, 2, 3], 4));
        let labels: Vec<u16> = (0..3).map(|z| reduced.label_at([z, 0, 0])).collect();
        assert_eq!(labels, [1, 5, 9]);
        assert_eq!(
            reduced.geometry().affine.world_from_voxel([0.0, 0.0, 1.0])[2],
            3.0 + 2.0 * 4.0
        );
        assert!(select_slices(&mask(&array), 5, &Limits::default()).is_err());
    }

    proptest! {
        #[test]
        fn blocks_take_the_label_that_most_voxels_have(
            values in proptest::collection::vec(0u16..4, 5 * 6 * 7),
            factors in [1usize..4, 1usize..4, 1usize..9],
        ) {
            let array = Array3::from_shape_vec([5, 6, 7], values).unwrap();
            let reduced = downsample(&mask(&array), factors, &Limits::default(), &CancelToken::new()).unwrap();
            let mut expected = Array3::<[u32; 4]>::default(
                [5usize.div_ceil(factors[0]), 6usize.div_ceil(factors[1]), 7usize.div_ceil(factors[2])],
            );
            for ((z, y, x), &label) in array.indexed_iter() {
                expected[[z / factors[0], y / factors[1], x / factors[2]]][usize::from(label)] += 1;
            }
            let shape = reduced.shape();
            prop_assert_eq!(shape, [expected.dim().0, expected.dim().1, expected.dim().2]);
            for ((z, y, x), counts) in expected.indexed_iter() {
                let most = counts.iter().max().unwrap();
                let best = [1, 2, 3, 0].into_iter().find(|&label| counts[label] == *most).unwrap();
                prop_assert_eq!(usize::from(reduced.label_at([z, y, x])), best);
            }
        }
    }
}
