//! Whether a network in half precision finds what it finds in f32.

use crate::{CudaError, Network};

/// Tiles that are compared.
const N_TILES: u32 = 2;

/// Share of voxels of fixed tiles that two networks of the same weights label alike, 0 to 1; 0 if the first gives logits that are infinite
/// or NaN. `class_order` is as in [`crate::Outcome`].
///
/// The tiles hold what a normalized scan holds: regions of different means with noise of standard deviation 1. They are harder than a
/// scan, since noise is everywhere and borders are.
///
/// # Errors
/// What the driver says.
pub fn agreement(lower: &Network, higher: &Network, class_order: Option<&[u16]>) -> Result<f64, CudaError> {
    let (mut n_same, mut n_all) = (0u64, 0u64);
    for seed in 0..N_TILES {
        let tile = fixed_tile(lower.n_channels(), lower.patch(), seed);
        let Some(found) = lower.labels_of_tile(&tile, class_order)? else {
            return Ok(0.0);
        };
        let Some(expected) = higher.labels_of_tile(&tile, class_order)? else {
            continue;
        };
        n_same += found.iter().zip(&expected).filter(|(a, b)| a == b).count() as u64;
        n_all += found.len() as u64;
    }
    Ok(if n_all == 0 {
        1.0
    } else {
        n_same as f64 / n_all as f64
    })
}

/// `[channel, z, y, x]`, the same everywhere.
fn fixed_tile(n_channels: usize, [n_z, n_y, n_x]: [usize; 3], seed: u32) -> Vec<f32> {
    let mut state = 0x9e37_79b9u32.wrapping_mul(seed + 1);
    let mut noise = || {
        // The sum of four uniform numbers is near enough to a normal one.
        let mut sum = 0.0;
        for _ in 0..4 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum += (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
        }
        sum * 3f32.sqrt()
    };
    let period = 12 + 20 * seed as usize;
    let mut tile = Vec::with_capacity(n_channels * n_z * n_y * n_x);
    for channel in 0..n_channels {
        for z in 0..n_z {
            for y in 0..n_y {
                for x in 0..n_x {
                    let region = (z / period + 2 * (y / period) + 3 * (x / period) + channel) % 4;
                    tile.push(region as f32 - 1.5 + noise());
                }
            }
        }
    }
    tile
}
