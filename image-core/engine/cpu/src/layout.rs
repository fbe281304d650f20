//! How values lie in memory: channels-last, the channels padded to whole vectors.

use nephrite_layers::ValueShape;

use crate::Level;

/// Channels of narrow values are padded to a multiple of this.
const NARROW: usize = 8;

/// Shape of a value in memory, `[z, y, x, pitch]`; of a 2-D network z is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// z, y, x.
    pub(crate) size: [usize; 3],
    /// Channels that mean something.
    pub(crate) channels: usize,
    /// Values from one voxel to the next; those behind the channels are zero.
    pub(crate) pitch: usize,
}

impl Layout {
    /// Of a value between layers.
    pub(crate) fn new(shape: &ValueShape, level: Level) -> Self {
        Layout {
            size: to_3d(&shape.spatial, 1),
            channels: shape.channels,
            pitch: padded(shape.channels, level),
        }
    }

    /// Of the network's input: a few channels are not padded.
    pub(crate) fn of_input(shape: &ValueShape, level: Level) -> Self {
        let padded = Layout::new(shape, level);
        Layout {
            pitch: if shape.channels < NARROW {
                shape.channels
            } else {
                padded.pitch
            },
            ..padded
        }
    }

    pub(crate) fn n_voxels(&self) -> usize {
        self.size.iter().product()
    }

    /// Values of one plane, padding included.
    pub(crate) fn plane_len(&self) -> usize {
        (self.size[1] * self.size[2]).saturating_mul(self.pitch)
    }

    /// Values, padding included.
    pub(crate) fn len(&self) -> usize {
        self.n_voxels().saturating_mul(self.pitch)
    }
}

/// Channels with their padding: whole vectors, but half a vector of AVX-512 if that is enough.
pub(crate) fn padded(channels: usize, level: Level) -> usize {
    if channels <= NARROW {
        NARROW
    } else {
        channels.next_multiple_of(level.lanes().max(NARROW))
    }
}

/// Sizes per axis with a leading one for 2-D networks.
pub(crate) fn to_3d(sizes: &[usize], leading: usize) -> [usize; 3] {
    match *sizes {
        [z, y, x] => [z, y, x],
        [y, x] => [leading, y, x],
        [x] => [leading, leading, x],
        _ => [leading; 3],
    }
}
