//! The input of networks on a card.

use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::card::Card;
use crate::memory::{At, Memory};
use crate::precision::Element;
use crate::tile_run::TileRun;
use crate::work::Work;
use crate::{CudaError, Precision};

/// A network input on a card, or a box of one: `[channel, z, y, x]` in the element of the networks that read it.
#[derive(Debug)]
pub struct Scan {
    card: Arc<Card>,
    memory: Arc<Memory>,
    element: Element,
    n_channels: usize,
    size: [usize; 3],
    /// Where its first voxel is in the grid of the input: the padding of models differs.
    origin: [i64; 3],
}

impl Scan {
    /// Bytes of such an input.
    pub fn bytes_of(precision: Precision, n_channels: usize, size: [usize; 3]) -> u64 {
        let shape = size.iter().chain([&n_channels]);
        let n = shape.fold(1u64, |n, len| n.saturating_mul(*len as u64));
        n.saturating_mul(precision.element().bytes() as u64)
    }

    /// Copies an input to a card, row by row: `row(channel, z, y, values)` writes the `size[2]` values of a row. `origin` is where the first
    /// voxel is in the grid of the whole input.
    ///
    /// # Errors
    /// [`CudaError::Memory`]; what the driver says.
    pub fn upload(
        card: &Arc<Card>,
        precision: Precision,
        n_channels: usize,
        size: [usize; 3],
        origin: [i64; 3],
        mut row: impl FnMut(usize, usize, usize, &mut [f32]),
    ) -> Result<Scan, CudaError> {
        let element = precision.element();
        let [n_z, n_y, n_x] = size;
        let len = usize::try_from(Scan::bytes_of(precision, n_channels, size)).unwrap_or(usize::MAX);
        let memory = card.allocate("the scan", len)?;
        let mut plane = vec![0f32; n_y * n_x];
        let mut halves = vec![f16::ZERO; if element == Element::Half { n_y * n_x } else { 0 }];
        for channel in 0..n_channels {
            for z in 0..n_z {
                let rows = plane.chunks_exact_mut(n_x.max(1)).enumerate();
                rows.for_each(|(y, to)| row(channel, z, y, to));
                let at = (channel * n_z + z) * n_y * n_x * element.bytes();
                card.watch(match element {
                    Element::Single => memory.write(at, &plane),
                    Element::Half => {
                        halves.convert_from_f32_slice(&plane);
                        memory.write(at, &halves)
                    }
                })?;
            }
        }
        Ok(Scan {
            card: card.clone(),
            memory,
            element,
            n_channels,
            size,
            origin,
        })
    }

    /// True if networks of this precision on this card can read it.
    pub fn suits(&self, card: &Arc<Card>, precision: Precision) -> bool {
        Arc::ptr_eq(&self.card, card) && self.element == precision.element()
    }

    /// Cuts out a tile.
    pub(crate) fn tile(&self, run: &TileRun, tile: At, patch: [usize; 3]) -> Work {
        Work::Tile {
            scan: At::new(&self.memory, 0),
            n_channels: self.n_channels,
            size: self.size,
            start: std::array::from_fn(|a| run.from[a] - self.origin[a]),
            flip: run.flip,
            tile,
            patch,
        }
    }
}
