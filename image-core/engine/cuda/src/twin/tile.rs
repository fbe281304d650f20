//! Cuts a tile out of a scan.

use super::numbers::product;
use crate::work::Flip;

/// `[z, y, x, channel]` of a scan `[channel, z, y, x]`, from `start` on, mirrored; zeros outside of it.
pub(super) fn tile(
    scan: &[f32],
    n_channels: usize,
    size: [usize; 3],
    start: [i64; 3],
    flip: Flip,
    patch: [usize; 3],
) -> Vec<f32> {
    let mut tile = vec![0.0; product(patch) * n_channels];
    for (voxel, values) in tile.chunks_exact_mut(n_channels).enumerate() {
        let at = [
            voxel / (patch[1] * patch[2]),
            voxel / patch[2] % patch[1],
            voxel % patch[2],
        ];
        let from: [Option<usize>; 3] = std::array::from_fn(|a| {
            let i = if flip[a] { patch[a] - 1 - at[a] } else { at[a] };
            let i = usize::try_from(start[a] + i as i64).ok()?;
            (i < size[a]).then_some(i)
        });
        let [Some(z), Some(y), Some(x)] = from else {
            continue;
        };
        for (channel, value) in values.iter_mut().enumerate() {
            *value = scan[((channel * size[0] + z) * size[1] + y) * size[2] + x];
        }
    }
    tile
}
