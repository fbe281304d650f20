//! Weights in the order in which the products read them, `[block][group][depth][output in block]`.
//!
//! A block is two vectors of outputs (the last may be one), a group the weights of one product: a component of a
//! transformed kernel, or an offset of a transposed one.

use crate::CpuError;
use crate::factor::{Form, Place};
use crate::pages::Pages;
use crate::product::BLOCK_VECTORS;

/// Weights of one layer.
#[derive(Debug)]
pub(crate) struct Packed {
    values: Pages,
    shape: PackedShape,
}

/// What [`Packed`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedShape {
    pub(crate) n_groups: usize,
    /// Factors of one sum, padding included.
    pub(crate) depth: usize,
    /// Outputs, padding included: whole vectors.
    pub(crate) n_out: usize,
    pub(crate) lanes: usize,
    pub(crate) form: Form,
}

impl PackedShape {
    /// Values held.
    pub(crate) fn len(&self) -> usize {
        self.n_groups
            .saturating_mul(self.depth)
            .saturating_mul(self.n_out)
    }

    pub(crate) fn n_blocks(&self) -> usize {
        (self.n_out / self.lanes).div_ceil(BLOCK_VECTORS)
    }

    /// Vectors of a block.
    pub(crate) fn n_vectors(&self, block: usize) -> usize {
        (self.n_out / self.lanes - block * BLOCK_VECTORS).min(BLOCK_VECTORS)
    }

    /// Where `[depth][output in block]` of a group begins.
    fn start(&self, block: usize, group: usize) -> usize {
        let width = self.n_vectors(block) * self.lanes;
        let before = block * BLOCK_VECTORS * self.lanes * self.n_groups;
        (before + group * width) * self.depth
    }
}

impl Packed {
    /// All zero.
    ///
    /// # Errors
    /// [`CpuError::Memory`].
    pub(crate) fn zeros(shape: PackedShape) -> Result<Self, CpuError> {
        let values = Pages::zeros(shape.len())?;
        Ok(Packed { values, shape })
    }

    pub(crate) fn shape(&self) -> PackedShape {
        self.shape
    }

    pub(crate) fn n_bytes(&self) -> usize {
        self.shape.len() * size_of::<f32>()
    }

    /// `[depth][output in block]` of one group.
    pub(crate) fn group(&self, block: usize, group: usize) -> &[f32] {
        let len = self.shape.n_vectors(block) * self.shape.lanes * self.shape.depth;
        &self.values.values()[self.shape.start(block, group)..][..len]
    }

    /// `[depth][output in block]` of all groups of a block, in their order.
    pub(crate) fn groups(&self, block: usize) -> impl Iterator<Item = &[f32]> {
        let len = self.shape.n_vectors(block) * self.shape.lanes * self.shape.depth;
        let start = self.shape.start(block, 0);
        self.values.values()[start..start + len * self.shape.n_groups].chunks_exact(len.max(1))
    }

    /// The blocks, `[group][depth][output in block]` each, to be filled by several threads.
    pub(crate) fn blocks_mut(&mut self) -> impl Iterator<Item = (usize, &mut [f32])> {
        let shape = self.shape;
        let len = BLOCK_VECTORS * shape.lanes * shape.n_groups * shape.depth;
        self.values.values_mut()[..shape.len()]
            .chunks_mut(len.max(1))
            .enumerate()
    }
}

/// Where the input channels of a layer lie among the factors of a sum: channels of several inputs one after the other,
/// each padded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Depths {
    /// Per channel of the weights.
    pub(crate) of_channel: Vec<Place>,
    /// Factors, padding included.
    pub(crate) len: usize,
}

impl Depths {
    /// From the channels and pitch of every input.
    pub(crate) fn new(inputs: impl Iterator<Item = (usize, usize)>, form: Form) -> Self {
        let mut depths = Depths {
            of_channel: Vec::new(),
            len: 0,
        };
        for (channels, pitch) in inputs {
            let places = (0..channels).map(|channel| {
                let place = form.place(channel);
                Place {
                    at: depths.len + place.at,
                    ..place
                }
            });
            depths.of_channel.extend(places);
            depths.len += form.n_places(pitch);
        }
        depths
    }
}
