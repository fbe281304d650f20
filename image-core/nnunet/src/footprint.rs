//! What preprocessing and the tile loop allocate, from shapes alone: the sizes of the arrays that the code beside this file
//! makes. A change there belongs here too; `make bench-memory` compares the two with what processes really held.

use half::f16;
use nephrite_cuda::ClassSums;
use nephrite_nnunet_folder::Resampling;
use nephrite_types::{Limits, Numerics};

use crate::on_card::case_bytes;
use crate::predict::{BUFFERS_PER_TILE, PLANES_PER_FLUSH};
use crate::tiles::{Accumulator, TileGrid};
use crate::{ModelDescription, NnunetError};

/// A scan as a model is going to see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScanSize {
    /// Voxels per axis, `[z, y, x]` of the reader.
    pub shape: [usize; 3],
    /// In mm, `[z, y, x]` of the reader.
    pub spacing: [f64; 3],
}

/// Bytes that one run of a model on a scan allocates besides the scan and the model, if no margin of the scan is all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// The input of the network; lives from preprocessing to the last tile.
    pub input: u64,
    /// Besides the input, while it is made.
    pub preprocess: u64,
    /// Besides the input, while tiles run: class sums, planes on their way out, tiles.
    pub inference: u64,
    /// The mask in dense form, on the grid of the scan.
    pub mask: u64,
    /// On an NVIDIA card, besides the networks and what lies between their layers; 0 if nothing runs there.
    pub on_card: u64,
}

impl ModelDescription {
    /// What a run allocates. `n_threads` work beside each other.
    ///
    /// # Errors
    /// [`NnunetError::EmptyGrid`] if the network would see no voxels; [`NnunetError::OverLimit`] for a grid that is over
    /// `limits`.
    pub fn footprint(
        &self,
        scan: ScanSize,
        numerics: Numerics,
        n_threads: usize,
        limits: &Limits,
    ) -> Result<Footprint, NnunetError> {
        let forward = self.transpose_forward;
        let (shape, spacing) = (
            forward.map(|axis| scan.shape[axis]),
            forward.map(|axis| scan.spacing[axis]),
        );
        let target = self.recipe.network_spacing(spacing);
        let grid = self
            .recipe
            .network_shape(shape, spacing)
            .ok_or(NnunetError::EmptyGrid {
                crop: shape,
                spacing,
                target,
            })?;
        crate::preprocess::check_size(grid, self.recipe.n_input_channels(), limits)?;
        let n_scan = product(scan.shape);
        let stays_on_card = self.on_card.is_some() && numerics == Numerics::Fast;
        // where tiles lie changes nothing: a step of a whole patch makes the fewest
        let tiles = TileGrid::new(grid, &self.patch_size, 1.0, &NO_TILE_LIMIT)?;
        Ok(Footprint {
            input: product(grid) * self.recipe.n_input_channels() as u64 * F32,
            preprocess: self.preprocess_bytes(shape, grid, numerics, n_threads as u64),
            inference: match stays_on_card {
                true => self.host_bytes_of_card(&tiles),
                false => self.inference_bytes(&tiles, numerics),
            },
            mask: n_scan * self.bytes_per_label(),
            on_card: match stays_on_card {
                true => case_bytes(&tiles, self.recipe.n_input_channels(), self.n_classes),
                false => 0,
            },
        })
    }

    /// 1 or 2.
    pub fn bytes_per_label(&self) -> u64 {
        let largest = self.labels.iter().map(|label| label.id).max().unwrap_or(0);
        if largest >= u16::from(u8::MAX) { 2 } else { 1 }
    }

    fn preprocess_bytes(&self, from: [usize; 3], to: [usize; 3], numerics: Numerics, n_threads: u64) -> u64 {
        let mut resizing = 0;
        if from != to {
            let value = match (numerics, &self.recipe.data_resampling) {
                (Numerics::Reference, Resampling::Spline(_)) => 8,
                _ => F32,
            };
            // one array that shrinks or grows along the slowest axis, and two planes per thread
            resizing += from[0].max(to[0]) as u64 * plane(to) * value;
            resizing +=
                n_threads * (plane(from) + to[1].max(from[1]) as u64 * to[2].max(from[2]) as u64) * value;
        }
        if self.recipe.is_cascade() {
            // what is not zero, the labels as i32, and where they count as inside; then the labels on the other grid
            return product(from) * (1 + 4 + 1) + resizing.max(product(to) * 4);
        }
        if self.recipe.channels.iter().any(|channel| channel.needs_mask()) {
            resizing += product(from);
        }
        resizing
    }

    /// What the host holds while tiles run on a card: importance, and labels or logits on their way.
    fn host_bytes_of_card(&self, tiles: &TileGrid) -> u64 {
        product(tiles.patch) * F32 + 2 * ClassSums::OUTPUT_BYTES as u64
    }

    fn inference_bytes(&self, tiles: &TileGrid, numerics: Numerics) -> u64 {
        let grid = tiles.shape;
        let sums = match numerics {
            Numerics::Fast => Accumulator::<f32>::n_bytes(tiles, self.n_classes, 1),
            Numerics::Reference => Accumulator::<f16>::n_bytes(tiles, self.n_classes, self.folds.len()),
        };
        let n_patch = product(tiles.patch);
        let n_classes = self.n_classes as u64;
        let n_planes = (PLANES_PER_FLUSH + 2).min(grid[0]) as u64;
        let window = n_planes * plane(grid) * (n_classes * F32 + 2);
        let one_tile = n_patch * (self.recipe.n_input_channels() as u64 + n_classes) * F32;
        sums.unwrap_or(u64::MAX)
            .saturating_add(window + one_tile * BUFFERS_PER_TILE + n_patch * F32)
    }
}

const F32: u64 = size_of::<f32>() as u64;

/// Tiles are counted elsewhere.
const NO_TILE_LIMIT: Limits = Limits {
    max_tiles: u64::MAX,
    ..Limits::DEFAULT
};

fn product(shape: [usize; 3]) -> u64 {
    shape.iter().fold(1, |n: u64, &len| n.saturating_mul(len as u64))
}

fn plane([_, y, x]: [usize; 3]) -> u64 {
    (y as u64).saturating_mul(x as u64)
}
