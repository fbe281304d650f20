//! Balls around few runs: run by run, where an array of the whole box would be mostly empty.
//!
//! A label of scattered voxels has a box as large as the volume. With thousands of such labels, arrays of their boxes grow
//! with labels times voxels; the runs themselves do not. Both ways ask the same [`Ball`] which offsets lie inside, and give
//! the same mask.

use nephrite_mask_codec::{Run, RunMask, RunMaskBuilder};
use nephrite_types::{BoundingBox, CancelToken, Limits};

use crate::RunsError;
use crate::reach::Ball;

/// What sorting one run costs against touching one voxel of an array, about.
const VOXELS_PER_RUN: usize = 64;

/// The rows of a ball.
pub(crate) struct BallRows {
    /// Offset along z and y, and the longest one along x that still lies inside.
    rows: Vec<(i64, i64, u32)>,
}

impl BallRows {
    /// The rows of the ball, nearest first, or `None` if an array of `bounds` is cheaper for so many runs.
    pub(crate) fn if_cheaper(ball: &Ball, n_runs: usize, bounds: BoundingBox) -> Option<BallRows> {
        BallRows::at_most(ball, bounds.n_voxels() / VOXELS_PER_RUN / n_runs.max(1))
    }

    fn at_most(ball: &Ball, most: usize) -> Option<BallRows> {
        let mut rows = Vec::new();
        for dy in 0..ball.ny {
            let reach = &ball.reach[dy * ball.nx..(dy + 1) * ball.nx];
            for dz in 0..reach.first().map_or(0, |planes| usize::from(*planes)) {
                let half = reach.partition_point(|planes| usize::from(*planes) > dz) as u32 - 1; // the axes fit
                for z in [dz as i64, -(dz as i64)] {
                    for y in [dy as i64, -(dy as i64)] {
                        rows.push((z, y, half));
                    }
                }
                if rows.len() / 4 > most {
                    return None;
                }
            }
        }
        rows.sort_unstable_by_key(|(z, y, _)| (z * z + y * y, *z, *y));
        rows.dedup(); // an offset of 0 has no other side
        (rows.len() <= most).then_some(BallRows { rows })
    }

    /// Voxels within the ball of a voxel of `set`; label 1.
    pub(crate) fn grow(
        &self,
        set: &RunMask,
        limits: &Limits,
        cancel: &CancelToken,
    ) -> Result<RunMask, RunsError> {
        let [nz, ny, nx] = set.shape();
        let mut grown: Vec<(usize, u32, u32)> = Vec::new();
        for (row, runs) in set.rows().enumerate().filter(|(_, runs)| !runs.is_empty()) {
            cancel.check()?;
            for &(dz, dy, half) in &self.rows {
                if let Some(row) = moved([nz, ny], row, dz, dy) {
                    let ball = |run: &Run| {
                        (
                            row,
                            run.start.saturating_sub(half),
                            (run.end + half).min(nx as u32),
                        )
                    };
                    grown.extend(runs.iter().map(ball));
                }
            }
        }
        grown.sort_unstable();
        let mut out = RunMaskBuilder::new(*set.geometry(), limits)?;
        let mut runs: Vec<Run> = Vec::new();
        for of_row in grown.chunk_by(|a, b| a.0 == b.0) {
            runs.clear();
            for &(_, start, end) in of_row {
                match runs.last_mut() {
                    Some(last) if last.end >= start => last.end = last.end.max(end),
                    _ => runs.push(Run { start, end, label: 1 }),
                }
            }
            out.skip_to_row(of_row[0].0)?;
            out.push_row(runs.iter().copied())?;
        }
        out.skip_to_row(nz * ny)?;
        Ok(out.finish()?)
    }

    /// Voxels of `set`, whose runs all have one label, with no background within the ball; label 1. What lies outside of
    /// the volume is no background.
    pub(crate) fn shrink(
        &self,
        set: &RunMask,
        limits: &Limits,
        cancel: &CancelToken,
    ) -> Result<RunMask, RunsError> {
        let [nz, ny, nx] = set.shape();
        let mut out = RunMaskBuilder::new(*set.geometry(), limits)?;
        let (mut left, mut other, mut both) = (Vec::new(), Vec::new(), Vec::new());
        for (row, runs) in set.rows().enumerate().filter(|(_, runs)| !runs.is_empty()) {
            cancel.check()?;
            left.clear();
            left.extend(runs.iter().map(|run| (run.start, run.end)));
            for &(dz, dy, half) in &self.rows {
                let Some(beside) = moved([nz, ny], row, dz, dy) else {
                    continue;
                };
                let inside = |run: &Run| {
                    let start = if run.start == 0 { 0 } else { run.start + half };
                    let end = if run.end as usize == nx {
                        run.end
                    } else {
                        run.end.saturating_sub(half)
                    };
                    (start < end).then_some((start, end))
                };
                other.clear();
                other.extend(set.row(beside).iter().filter_map(inside));
                intersect(&left, &other, &mut both);
                std::mem::swap(&mut left, &mut both);
                if left.is_empty() {
                    break;
                }
            }
            if !left.is_empty() {
                out.skip_to_row(row)?;
                out.push_row(left.iter().map(|&(start, end)| Run { start, end, label: 1 }))?;
            }
        }
        out.skip_to_row(nz * ny)?;
        Ok(out.finish()?)
    }
}

/// The row at an offset, if the volume has it.
fn moved([nz, ny]: [usize; 2], row: usize, dz: i64, dy: i64) -> Option<usize> {
    let z = (row / ny).checked_add_signed(dz as isize).filter(|z| *z < nz)?;
    let y = (row % ny).checked_add_signed(dy as isize).filter(|y| *y < ny)?;
    Some(z * ny + y)
}

/// What two sorted lists of stretches share.
fn intersect(a: &[(u32, u32)], b: &[(u32, u32)], out: &mut Vec<(u32, u32)>) {
    out.clear();
    let (mut i, mut j) = (0, 0);
    while let (Some(p), Some(q)) = (a.get(i), b.get(j)) {
        let (start, end) = (p.0.max(q.0), p.1.min(q.1));
        if start < end {
            out.push((start, end));
        }
        if p.1 <= q.1 {
            i += 1;
        } else {
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use nephrite_types::{Affine, Geometry, Labels, Shape3, Spacing};
    use proptest::prelude::*;

    use super::*;
    use crate::reach::within;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn run_by_run_is_the_same_as_with_an_array(
            shape in [1usize..6, 1usize..7, 1usize..12],
            noise in proptest::collection::vec(0.0f64..1.0, 5 * 6 * 11),
            share in 0.02f64..1.0,
            spacing in [0.5f64..3.0, 0.5f64..3.0, 0.5f64..3.0],
            radius in 0.0f64..7.0,
        ) {
            let mut noise = noise.into_iter();
            let array = Array3::from_shape_fn(shape, |_| u8::from(noise.next().unwrap_or(0.0) < share));
            let spacing = Spacing::new(spacing).unwrap();
            let geometry = Geometry {
                shape: Shape3::new(shape).unwrap(),
                spacing,
                affine: Affine::from_spacing(spacing, [0.0; 3]),
            };
            let (limits, cancel) = (Limits::default(), CancelToken::new());
            let set = RunMask::from_labels(&Labels::U8(array.clone()), &geometry, &limits).unwrap();
            let whole = BoundingBox::full(shape);
            let ball = Ball::within(&geometry, whole, radius, &limits).unwrap();
            let rows = BallRows::at_most(&ball, usize::MAX).unwrap();
            let ny = shape[1];
            let of = |mask: &RunMask, z: usize, y: usize, out: &mut Vec<(u32, u32)>| {
                out.extend(mask.row(z * ny + y).iter().map(|run| (run.start, run.end)));
            };
            let dense = |mask: &RunMask| {
                within(geometry, whole, |z, y, out: &mut Vec<_>| of(mask, z, y, out), &ball, &limits, &cancel).unwrap()
            };
            prop_assert_eq!(rows.grow(&set, &limits, &cancel).unwrap(), dense(&set));
            let outside = Labels::U8(array.mapv(|label| 1 - label));
            let outside = RunMask::from_labels(&outside, &geometry, &limits).unwrap();
            let near = Labels::U8(match dense(&outside).to_labels() {
                Labels::U8(near) => ndarray::Zip::from(&near).and(&array).map_collect(|near, set| set & (1 - near)),
                Labels::U16(_) => unreachable!("one label"),
            });
            let expected = RunMask::from_labels(&near, &geometry, &limits).unwrap();
            prop_assert_eq!(rows.shrink(&set, &limits, &cancel).unwrap(), expected);
        }
    }
}
