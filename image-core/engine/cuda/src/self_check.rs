//! Whether a network in half precision finds what it finds in f32.

use crate::{CudaError, Network};

/// Tiles that are compared, at least.
const MIN_TILES: usize = 2;
/// Of small patches so many are compared that a few voxels in ten thousand show.
const MIN_VOXELS: usize = 1 << 18;
/// Tiles that are compared, at most.
const MAX_TILES: usize = 256;

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
    for seed in 0..n_tiles(lower.patch()) {
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

fn n_tiles(patch: [usize; 3]) -> u32 {
    let n_voxels: usize = patch.iter().product();
    MIN_VOXELS.div_ceil(n_voxels.max(1)).clamp(MIN_TILES, MAX_TILES) as u32
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
    let period = 12 + 20 * (seed as usize % 2);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_patches_are_compared_in_more_tiles() {
        assert_eq!(n_tiles([128, 128, 128]), 2);
        assert_eq!(n_tiles([64, 64, 64]), 2);
        assert_eq!(n_tiles([16, 32, 32]), 16);
        assert_eq!(n_tiles([1, 8, 8]), 256);
    }

    #[test]
    fn no_two_tiles_are_alike() {
        let tiles: Vec<_> = (0..4).map(|seed| fixed_tile(1, [4, 16, 16], seed)).collect();
        for (n, tile) in tiles.iter().enumerate() {
            assert_eq!(*tile, fixed_tile(1, [4, 16, 16], n as u32));
            assert!(tiles[..n].iter().all(|other| other != tile));
        }
    }
}
