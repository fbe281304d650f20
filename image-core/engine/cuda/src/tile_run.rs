//! One run of a network within a case.

use crate::work::Flip;

/// One run of a network within a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TileRun {
    /// Which tile, for [`crate::ClassSums::not_finite`].
    pub tile: usize,
    /// First voxel in the padded grid, `[z, y, x]`: where its logits go.
    pub start: [usize; 3],
    /// First voxel in the grid of the input, which begins behind the padding: where its values come from.
    pub from: [i64; 3],
    /// Mirrored axes.
    pub flip: Flip,
    /// What logits are multiplied by, besides their importance.
    pub factor: f32,
}
