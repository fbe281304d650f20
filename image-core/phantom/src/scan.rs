//! Turns structure indices into the Hounsfield units of one phase.

use ndarray::parallel::prelude::*;
use ndarray::{Array3, ArrayView2, ArrayViewMut2, Axis};
use nephrite_types::Phase;

use crate::anatomy::Structure;
use crate::random::SplitMix64;

/// Standard deviation that white noise of 1 keeps after the binomial filter: √(6/16) per axis.
const FILTERED_NOISE: f32 = 0.375;

/// The scan of one phase, `[z, y, x]`, HU, with noise of standard deviation `noise_hu` that is correlated within a plane.
///
/// Each plane is drawn with sharp edges and white noise and then passed through the binomial filter (1 2 1)/4 along x and
/// y, which stands for the scanner's point spread: edges get partial volume, noise gets its grain.
pub(crate) fn scan(
    structures: &[Structure],
    indices: &Array3<u8>,
    seed: u64,
    phase: Phase,
    noise_hu: f32,
) -> Array3<i16> {
    let phase_stream = 1 + Phase::ALL
        .iter()
        .position(|&p| p == phase)
        .map_or(0, |i| i as u64);
    let mut rng = SplitMix64::new(seed, phase_stream);
    let uptake = rng.between(0.88, 1.12) as f32;
    let hounsfield: Vec<f32> = structures
        .iter()
        .map(|structure| structure.tissue.hounsfield(phase, uptake) + rng.jitter(4.0) as f32)
        .collect();
    let mut scan = Array3::<i16>::zeros(indices.dim());
    scan.axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(indices.axis_iter(Axis(0)))
        .enumerate()
        .for_each(|(k, (plane, indices))| {
            let rng = SplitMix64::new(seed, (phase_stream << 32) + k as u64);
            scan_plane(plane, indices, &hounsfield, rng, noise_hu / FILTERED_NOISE);
        });
    scan
}

fn scan_plane(
    mut plane: ArrayViewMut2<i16>,
    indices: ArrayView2<u8>,
    hounsfield: &[f32],
    mut rng: SplitMix64,
    white_hu: f32,
) {
    let (n_rows, n_columns) = indices.dim();
    let mut raw = vec![0.0f32; n_columns];
    let mut filtered_row = |row: usize, filtered: &mut Vec<f32>| {
        for (value, &index) in raw.iter_mut().zip(indices.row(row)) {
            *value = hounsfield[usize::from(index)] + white_hu * rng.normal();
        }
        filtered.clear();
        filtered.extend((0..n_columns).map(|i| {
            0.25 * raw[i.saturating_sub(1)] + 0.5 * raw[i] + 0.25 * raw[(i + 1).min(n_columns - 1)]
        }));
    };
    let (mut above, mut here, mut below) = (Vec::new(), Vec::new(), Vec::new());
    filtered_row(0, &mut here);
    above.clone_from(&here);
    for row in 0..n_rows {
        if row + 1 < n_rows {
            filtered_row(row + 1, &mut below);
        } else {
            below.clone_from(&here);
        }
        for (i, value) in plane.row_mut(row).iter_mut().enumerate() {
            let hu = 0.25 * above[i] + 0.5 * here[i] + 0.25 * below[i];
            // scanners store nothing below −1024
            *value = hu.round().clamp(-1024.0, 3071.0) as i16;
        }
        std::mem::swap(&mut above, &mut here);
        std::mem::swap(&mut here, &mut below);
    }
}
