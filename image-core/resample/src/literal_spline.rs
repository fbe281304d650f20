//! The cubic spline in scipy's own order of operations: slow, and equal to it bit for bit.
//!
//! Needed where exact ties between scores decide (labels); everything else goes through [`crate::resize_planes`].

use ndarray::{Array3, Axis, Ix3, Zip};
use nephrite_types::{CancelToken, memory};
use rayon::prelude::*;

use crate::ResampleError;
use crate::planes::RESIZED;
use crate::taps::{POLE, coordinate};

/// Samples of edge replication on both sides of a filtered axis.
const PADDING: usize = 12;

/// The support of one output sample: first of four source indices, and their weights.
#[derive(Clone, Copy)]
struct Support {
    first: usize,
    weights: [f64; 4],
}

/// Resizes to `to` with an edge-extended cubic spline along all axes but `untouched`, whose length does not change.
/// No clip.
///
/// Source: scipy 1.17 `ndimage/_interpolation.py` (`_prepad_for_spline_filter`), `ndimage/src/ni_splines.c`,
/// `ndimage/src/ni_interpolation.c` (`NI_ZoomShift`, `NI_GeometricTransform`).
///
/// Cost: one f64 array of the padded source; 64 products per voxel.
pub(crate) fn resize(
    source: &Array3<f64>,
    to: [usize; 3],
    untouched: Option<usize>,
    cancel: &CancelToken,
) -> Result<Array3<f64>, ResampleError> {
    let from: [usize; 3] = source.dim().into();
    let padding: [usize; 3] = std::array::from_fn(|axis| if Some(axis) == untouched { 0 } else { PADDING });
    let padded_shape: [usize; 3] = std::array::from_fn(|axis| from[axis] + 2 * padding[axis]);
    let inside = |i: usize, axis: usize| i.saturating_sub(padding[axis]).min(from[axis] - 1);
    let [nz, ny, nx] = padded_shape;
    let mut coefficients = memory::zeroed_array(Ix3(nz, ny, nx), RESIZED)?;
    for ((z, y, x), value) in coefficients.indexed_iter_mut() {
        *value = source[[inside(z, 0), inside(y, 1), inside(x, 2)]];
    }
    for axis in (0..3).filter(|&axis| Some(axis) != untouched) {
        cancel.check()?;
        Zip::from(coefficients.lanes_mut(Axis(axis))).par_for_each(|mut lane| {
            let mut line = lane.to_vec();
            filter(&mut line);
            lane.iter_mut()
                .zip(line)
                .for_each(|(value, filtered)| *value = filtered);
        });
    }
    let supports: [Vec<Support>; 3] = std::array::from_fn(|axis| {
        let support = |k| match untouched {
            Some(untouched) if untouched == axis => Support {
                first: k,
                weights: [1.0, 0.0, 0.0, 0.0],
            },
            _ => support(coordinate(k, from[axis], to[axis]) + padding[axis] as f64),
        };
        (0..to[axis]).map(support).collect()
    });
    // An untouched axis has one sample in its support.
    let lens: [usize; 3] = std::array::from_fn(|axis| if Some(axis) == untouched { 1 } else { 4 });

    let mut target = memory::zeroed_array(Ix3(to[0], to[1], to[2]), RESIZED)?;
    target
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(&supports[0])
        .try_for_each(|(mut plane, at_z)| {
            cancel.check()?;
            for ((y, x), value) in plane.indexed_iter_mut() {
                let (at_y, at_x) = (&supports[1][y], &supports[2][x]);
                let mut sum = 0.0;
                for z in 0..lens[0] {
                    for y in 0..lens[1] {
                        for x in 0..lens[2] {
                            let c = coefficients[[at_z.first + z, at_y.first + y, at_x.first + x]];
                            sum += c * at_z.weights[z] * at_y.weights[y] * at_x.weights[x];
                        }
                    }
                }
                *value = sum;
            }
            Ok::<(), ResampleError>(())
        })?;
    Ok(target)
}

fn support(x: f64) -> Support {
    let t = x - x.floor();
    let u = 1.0 - t;
    let w1 = (t * t * (t - 2.0) * 3.0 + 4.0) / 6.0;
    let w2 = (u * u * (u - 2.0) * 3.0 + 4.0) / 6.0;
    let w0 = u * u * u / 6.0;
    Support {
        first: x.floor() as usize - 1,
        weights: [w0, w1, w2, 1.0 - w0 - w1 - w2],
    }
}

/// Prefilter with half-sample-symmetric ends.
fn filter(c: &mut [f64]) {
    let n = c.len();
    let z = POLE;
    let gain = (1.0 - z) * (1.0 - 1.0 / z);
    c.iter_mut().for_each(|value| *value *= gain);

    let z_n = z.powf(n as f64);
    let c0 = c[0];
    let mut sum = c[0] + z_n * c[n - 1];
    let mut z_i = z;
    for i in 1..n {
        // The reference sums into the first sample, which the last term reads again.
        let mirrored = if i == n - 1 { sum } else { c[n - 1 - i] };
        sum += z_i * (c[i] + z_n * mirrored);
        z_i *= z;
    }
    c[0] = sum * (z / (1.0 - z_n * z_n)) + c0;
    for i in 1..n {
        c[i] += z * c[i - 1];
    }
    c[n - 1] *= z / (z - 1.0);
    for i in (0..n - 1).rev() {
        c[i] = z * (c[i + 1] - c[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interpolation, ResizePlan, resize_planes};

    #[test]
    fn the_fast_spline_equals_the_literal_one() {
        let token = CancelToken::new();
        for (from, to) in [
            ([5, 7, 6], [8, 4, 9]),
            ([1, 30, 41], [1, 17, 50]),
            ([9, 2, 3], [4, 5, 8]),
        ] {
            let source = Array3::from_shape_fn(from, |(z, y, x)| ((z * 37 + y * 101 + x * 59) % 97) as f64);
            let fill = |z: usize, plane: &mut [f64]| {
                plane
                    .iter_mut()
                    .zip(source.index_axis(Axis(0), z))
                    .for_each(|(a, &b)| *a = b);
            };
            let plan = ResizePlan::new(Interpolation::Cubic).without_clip();
            let fast = resize_planes(from, to, &plan, &fill, &token).unwrap();
            let literal = resize(&source, to, None, &token).unwrap();
            let difference = fast
                .iter()
                .zip(&literal)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            assert!(difference < 97.0 * 1e-13, "{from:?} to {to:?}: {difference:e}");
        }
    }
}
