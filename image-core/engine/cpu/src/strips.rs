//! How the outputs of a convolution by minimal filtering are cut into tiles, and tiles into strips, the work of one task.

use std::ops::Range;

use crate::forward_transform;
use crate::product::BLOCK_VECTORS;
use crate::transform::window;

/// Transformed input of a strip, in bytes, should be about this.
const STRIP_BYTES: usize = 300 << 10;
/// Tiles of a strip, at least: a block of weights is read once for all of them.
const MIN_TILES: usize = 12;
/// Tiles of a strip, at most.
const MAX_TILES: usize = 96;
/// Columns of a strip: a few, so that what is transformed of three planes hardly exceeds the first-level cache.
const COLUMNS: usize = 16;

/// Outputs of a tile: z, y, x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile(pub(crate) [usize; 3]);

impl Tile {
    /// Planes one after the other, each filtered along y and x alone: the products of three planes of the input are added to
    /// those of one plane of the output, and every plane of the input is transformed once for each column that reads it. For
    /// few channels, where the transforms take longer than the products.
    pub(crate) const COLUMN: Tile = Tile([8, 4, 4]);

    /// The tiles that are compiled.
    pub(crate) const ALL: [Tile; 5] = [
        Tile::COLUMN,
        Tile([2, 4, 4]),
        Tile([2, 2, 2]),
        Tile([1, 4, 4]),
        Tile([1, 2, 2]),
    ];

    /// Outputs that are filtered at once.
    pub(crate) fn filtered(self) -> [usize; 3] {
        match self {
            Tile::COLUMN => [1, 4, 4],
            Tile(outputs) => outputs,
        }
    }

    pub(crate) fn n_components(self) -> usize {
        self.filtered().into_iter().map(window).product()
    }

    /// Planes of the input whose products are added.
    pub(crate) fn n_summed(self) -> usize {
        if self == Tile::COLUMN { 3 } else { 1 }
    }

    /// Tiles along each axis.
    pub(crate) fn counts(self, size: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|axis| size[axis].div_ceil(self.0[axis]))
    }
}

/// How the tiles of a volume become strips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StripPlan {
    pub(crate) tile: Tile,
    /// z, y, x.
    pub(crate) size: [usize; 3],
    /// Tiles along each axis.
    counts: [usize; 3],
    /// Tile rows (along y) of a strip; 1 if rows are cut.
    n_rows: usize,
    /// Tiles of a row that lie in one strip.
    n_across: usize,
    /// Values of one component of a tile: all input channels.
    pub(crate) depth: usize,
}

/// The tiles of one strip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strip {
    /// First tile row and end.
    pub(crate) rows: [usize; 2],
    /// First tile along x and end.
    pub(crate) across: [usize; 2],
}

impl Strip {
    pub(crate) fn n_tiles(&self) -> usize {
        (self.rows[1] - self.rows[0]) * (self.across[1] - self.across[0])
    }
}

impl StripPlan {
    pub(crate) fn new(tile: Tile, size: [usize; 3], depth: usize) -> Self {
        let counts = tile.counts(size);
        let bytes = tile.n_components() * depth * size_of::<f32>();
        let wanted = match tile {
            Tile::COLUMN => COLUMNS,
            _ => (STRIP_BYTES / bytes.max(1)).clamp(MIN_TILES, MAX_TILES),
        };
        let n_cuts = counts[2].div_ceil(wanted + wanted / 2);
        let n_across = counts[2].div_ceil(n_cuts.max(1));
        let n_rows = if n_cuts > 1 { 1 } else { (wanted / n_across).max(1) };
        StripPlan {
            tile,
            size,
            counts,
            n_rows: n_rows.min(counts[1]),
            n_across,
            depth,
        }
    }

    fn n_cuts(&self) -> usize {
        self.counts[2].div_ceil(self.n_across)
    }

    /// Tiles along z.
    pub(crate) fn n_layers(&self) -> usize {
        self.counts[0]
    }

    /// Strips of one layer of tiles.
    pub(crate) fn strips_per_layer(&self) -> usize {
        self.counts[1].div_ceil(self.n_rows) * self.n_cuts()
    }

    /// Output planes of layers of tiles.
    pub(crate) fn planes(&self, layers: &Range<usize>) -> Range<usize> {
        let depth = self.tile.0[0];
        layers.start * depth..(layers.end * depth).min(self.size[0])
    }

    /// Strip `i` of all.
    pub(crate) fn strip(&self, i: usize) -> Strip {
        let (layer, i) = (i / self.strips_per_layer(), i % self.strips_per_layer());
        let (row, cut) = (i / self.n_cuts() * self.n_rows, i % self.n_cuts());
        let first = layer * self.counts[1];
        Strip {
            rows: [first + row, first + (row + self.n_rows).min(self.counts[1])],
            across: [
                cut * self.n_across,
                ((cut + 1) * self.n_across).min(self.counts[2]),
            ],
        }
    }

    /// First output voxel of a tile row, z and y.
    pub(crate) fn origin(&self, row: usize) -> [usize; 2] {
        [
            row / self.counts[1] * self.tile.0[0],
            row % self.counts[1] * self.tile.0[1],
        ]
    }

    /// Values from one component of the transformed input to the next. An odd number of cache lines, so that the
    /// components of a tile fall into different sets of the cache.
    pub(crate) fn input_stride(&self, n_tiles: usize) -> usize {
        odd_lines(n_tiles * self.depth)
    }

    /// The same for the products of a block.
    pub(crate) fn product_stride(n_tiles: usize, width: usize) -> usize {
        odd_lines(n_tiles * width)
    }

    /// Values of scratch memory that a strip needs.
    pub(crate) fn scratch(&self, lanes: usize) -> usize {
        let n_tiles = self.n_rows * self.n_across;
        let width = BLOCK_VECTORS * lanes;
        let input = self.tile.n_summed() * self.input_stride(n_tiles);
        forward_transform::COLUMNS * lanes
            + self.tile.n_components() * (input + Self::product_stride(n_tiles, width))
    }

    /// Cuts output planes of layers of tiles, `[y, x, pitch]` each, into the rows of every strip of those layers: per tile
    /// row, z and y within the tile, the voxels of the strip; empty beyond the volume.
    pub(crate) fn split<'a>(
        &self,
        layers: &Range<usize>,
        planes: Vec<&'a mut [f32]>,
        pitch: usize,
    ) -> Vec<Vec<&'a mut [f32]>> {
        let [tile_z, tile_y, tile_x] = self.tile.0;
        let per_layer = self.strips_per_layer();
        let mut strips: Vec<Vec<&mut [f32]>> = (layers.start * per_layer..layers.end * per_layer)
            .map(|i| {
                let strip = self.strip(i);
                let n = (strip.rows[1] - strip.rows[0]) * tile_z * tile_y;
                (0..n).map(|_| &mut [][..]).collect()
            })
            .collect();
        let row_len = self.size[2] * pitch;
        for (z, plane) in planes.into_iter().enumerate() {
            for (y, row) in plane.chunks_exact_mut(row_len).enumerate() {
                let tile_row = y / tile_y;
                let at = (tile_row % self.n_rows * tile_z + z % tile_z) * tile_y + y % tile_y;
                let first = z / tile_z * per_layer + tile_row / self.n_rows * self.n_cuts();
                for (cut, part) in row.chunks_mut(self.n_across * tile_x * pitch).enumerate() {
                    strips[first + cut][at] = part;
                }
            }
        }
        strips
    }
}

fn odd_lines(values: usize) -> usize {
    const LINE: usize = 16;
    (values.div_ceil(LINE) | 1) * LINE
}
