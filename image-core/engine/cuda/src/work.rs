//! What a device is asked to do: one variant for each kernel, with what it reads and writes. Sizes are of the axes `[z, y, x]`;
//! values lie channel-last, `[z, y, x, channel]`, in the element of the network.

use std::sync::Arc;

use crate::convolution_shape::ConvolutionShape;
use crate::driver::PreparedConvolution;
use crate::memory::At;

/// A convolution that a device has prepared.
#[derive(Debug, Clone)]
pub(crate) enum Prepared {
    Card(Arc<PreparedConvolution>),
    /// A twin needs nothing.
    Twin,
}

impl Prepared {
    /// Bytes that it needs while it runs.
    pub(crate) fn workspace(&self) -> usize {
        match self {
            Prepared::Card(convolution) => convolution.workspace(),
            Prepared::Twin => 0,
        }
    }
}

/// What is added before an activation, and where the result goes: one place or two, whose voxels are `pitch` values apart.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// Another value, and its scale and shift `[2, channel]` in f32 if it has them.
    pub(crate) other: Option<(At, Option<At>)>,
    /// Of the negative side.
    pub(crate) slope: f32,
    pub(crate) first: (At, usize),
    pub(crate) second: Option<(At, usize)>,
}

/// Where a tile lies in class sums, `[z, y, x, pitch]` in f32. Along one axis they are a ring: indices begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ring {
    /// Of the tile, less than `size`.
    pub(crate) start: [usize; 3],
    /// No smaller than the tile.
    pub(crate) size: [usize; 3],
    pub(crate) pitch: usize,
}

/// Mirrored axes, `[z, y, x]`.
pub type Flip = [bool; 3];

/// How class sums become logits of voxels of the scan, a box of them.
#[derive(Debug, Clone)]
pub(crate) struct Interpolation {
    /// `[z, y, x, pitch]`, f32.
    pub(crate) sums: At,
    /// `[z, y, x]`, f32.
    pub(crate) weights: At,
    /// Of class sums.
    pub(crate) size: [usize; 3],
    pub(crate) pitch: usize,
    pub(crate) n_classes: usize,
    /// [`Tap`]s of each axis, one for each voxel of the box.
    pub(crate) taps: [At; 3],
    /// Of the box.
    pub(crate) voxels: [usize; 3],
}

/// Which two indices of class sums an index of the scan lies between, and how much of each it has.
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::NoUninit, bytemuck::AnyBitPattern)]
#[repr(C)]
pub(crate) struct Tap {
    pub(crate) lo: i32,
    pub(crate) hi: i32,
    pub(crate) w_lo: f32,
    pub(crate) w_hi: f32,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// A convolution without bias.
    Convolution {
        prepared: Prepared,
        shape: ConvolutionShape,
        x: At,
        weight: At,
        y: At,
        workspace: At,
    },
    /// Scale and shift of an instance norm, `[2, channel]` in f32. `partial` has room for [`PARTIAL_MOMENTS`] pairs of f32 a channel.
    Moments {
        x: At,
        n_voxels: usize,
        n_channels: usize,
        gamma: At,
        beta: At,
        eps: f32,
        partial: At,
        scale: At,
    },
    /// Instance norm, sum, and activation of a value of few voxels.
    Norm {
        x: At,
        n_voxels: usize,
        n_channels: usize,
        gamma: At,
        beta: At,
        eps: f32,
        ends: Ends,
    },
    /// Scale and shift, sum, and activation.
    Activate {
        x: At,
        scale: Option<At>,
        n_voxels: usize,
        n_channels: usize,
        ends: Ends,
    },
    /// Transposed convolution whose kernel is its stride; `weight` is `[tap, out, in]`.
    Upsample {
        x: At,
        weight: At,
        bias: Option<At>,
        n_in: usize,
        n_out: usize,
        size: [usize; 3],
        stride: [usize; 3],
        y: At,
        pitch: usize,
    },
    /// Mean over boxes of `stride`.
    Pool {
        x: At,
        y: At,
        n_channels: usize,
        size: [usize; 3],
        stride: [usize; 3],
    },
    /// A tile of a scan `[channel, z, y, x]`, mirrored; zeros outside of the scan.
    Tile {
        scan: At,
        n_channels: usize,
        size: [usize; 3],
        start: [i64; 3],
        flip: Flip,
        tile: At,
        patch: [usize; 3],
    },
    /// Logits, mirrored back, times `factor` and the importance of their voxel, added to class sums. Counts voxels whose
    /// logits are infinite or NaN, at least one for each thread that sees some. `weight` is `[class, in]`.
    Head {
        x: At,
        weight: At,
        bias: At,
        n_in: usize,
        n_classes: usize,
        patch: [usize; 3],
        flip: Flip,
        importance: At,
        factor: f32,
        sums: At,
        ring: Ring,
        not_finite: At,
    },
    /// Importance of a tile, added to the weights of class sums.
    AddWeights {
        importance: At,
        patch: [usize; 3],
        weights: At,
        ring: Ring,
    },
    /// Class of each voxel, or what the last region that is on writes; `[z, y, x]` in u16 if `is_wide`, else u8.
    Labels {
        from: Interpolation,
        class_order: Option<At>,
        is_wide: bool,
        labels: At,
    },
    /// Logits of each voxel, `[class, z, y, x]` in f32.
    Logits { from: Interpolation, logits: At },
}

/// Parts of a value whose moments are summed apart at most: a matter of the shape alone, so that every card sums alike.
pub(crate) const PARTIAL_MOMENTS: usize = 528;

/// Classes up to which a head is computed without tensor cores.
pub(crate) const FEW_CLASSES: usize = 8;

/// Where a sigmoid in f32 leaves one half.
pub(crate) const LARGEST_NON_POSITIVE_LOGIT: f32 = 8.94e-8;
