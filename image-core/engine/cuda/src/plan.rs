//! What a network is on a card: steps in order, and where each value lies.

use nephrite_layers::ParamId;

use crate::channels::Channels;
use crate::convolution_shape::ConvolutionShape;

/// Index of a block of memory in [`Plan::blocks`].
pub(crate) type Block = usize;

/// Where a value is: voxels are `pitch` values apart, and it has those from `offset` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block: Block,
    pub(crate) pitch: usize,
    pub(crate) offset: usize,
}

/// Scale and shift per channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Made by [`Step::Moments`]: index into [`Plan::moments`].
    Moments(usize),
    /// Known beforehand: index into [`Plan::constants`].
    Constant(usize),
}

/// Scale and shift that weights alone decide.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub(crate) channels: Channels,
    pub(crate) bias: Option<ParamId>,
    pub(crate) norm: Option<BatchNorm>,
}

/// As [`nephrite_layers::Op::BatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BatchNorm {
    pub(crate) affine: Option<(ParamId, ParamId)>,
    pub(crate) mean: ParamId,
    pub(crate) var: ParamId,
    pub(crate) eps: f32,
}

/// Scale and bias of an instance norm, and what is added to its variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct InstanceNorm {
    pub(crate) affine: Option<(ParamId, ParamId)>,
    pub(crate) eps: f32,
}

/// One thing to run; sizes are `[z, y, x]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Convolution {
        x: Block,
        y: Block,
        weight: ParamId,
        from: Channels,
        to: Channels,
        shape: ConvolutionShape,
    },
    /// Scale and shift of a norm.
    Moments {
        x: Block,
        n_voxels: usize,
        channels: Channels,
        norm: InstanceNorm,
        to: usize,
    },
    /// The norm of a value of few voxels, and what [`Step::Activate`] does.
    Norm {
        x: Block,
        n_voxels: usize,
        channels: Channels,
        norm: InstanceNorm,
        ends: Ends,
    },
    /// `slope(scale(x) + scale(other))`.
    Activate {
        x: Block,
        scale: Option<Scale>,
        n_voxels: usize,
        channels: Channels,
        ends: Ends,
    },
    Upsample {
        x: Block,
        weight: ParamId,
        bias: Option<ParamId>,
        from: Channels,
        to: Channels,
        size: [usize; 3],
        stride: [usize; 3],
        y: Place,
    },
    Pool {
        x: Block,
        y: Block,
        n_channels: usize,
        size: [usize; 3],
        stride: [usize; 3],
    },
}

/// What is added before an activation, and where the result goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ends {
    pub(crate) other: Option<(Block, Option<Scale>)>,
    pub(crate) slope: f32,
    pub(crate) first: Place,
    pub(crate) second: Option<Place>,
}

/// The last layer, which is run together with the adding of logits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) x: Block,
    pub(crate) weight: ParamId,
    pub(crate) bias: Option<ParamId>,
    pub(crate) from: Channels,
    pub(crate) n_classes: usize,
}

/// Length and start of a block, in values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// What a network is on a card.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) head: Head,
    pub(crate) constants: Vec<Constant>,
    /// Channels of each scale that is made on the way.
    pub(crate) moments: Vec<usize>,
    /// Where each block lies in the memory of the network.
    pub(crate) blocks: Vec<Extent>,
    /// Values of that memory.
    pub(crate) n_values: usize,
    /// The block of the input.
    pub(crate) tile: Block,
    pub(crate) n_channels: usize,
    pub(crate) patch: [usize; 3],
}

/// Sizes of three axes, of two as well: the first is then 1.
pub(crate) fn three(sizes: &[usize]) -> [usize; 3] {
    match *sizes {
        [y, x] => [1, y, x],
        [z, y, x] => [z, y, x],
        _ => unreachable!("networks have two or three axes"),
    }
}

impl Step {
    /// Blocks that it reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = Block> {
        let (x, other) = match self {
            Step::Convolution { x, .. }
            | Step::Moments { x, .. }
            | Step::Upsample { x, .. }
            | Step::Pool { x, .. } => (*x, None),
            Step::Norm { x, ends, .. } | Step::Activate { x, ends, .. } => {
                (*x, ends.other.map(|other| other.0))
            }
        };
        std::iter::once(x).chain(other)
    }

    /// Blocks that it writes.
    pub(crate) fn writes(&self) -> impl Iterator<Item = Block> {
        let (first, second) = match self {
            Step::Moments { .. } => (None, None),
            Step::Convolution { y, .. } | Step::Pool { y, .. } => (Some(*y), None),
            Step::Upsample { y, .. } => (Some(y.block), None),
            Step::Norm { ends, .. } | Step::Activate { ends, .. } => {
                (Some(ends.first.block), ends.second.map(|place| place.block))
            }
        };
        first.into_iter().chain(second)
    }
}
