//! From voxels to the components that are multiplied.

#![allow(clippy::needless_range_loop)] // axes index several arrays at once

use pulp::{Simd, WithSimd};

use crate::factor::put_vector;
use crate::prefetch::prefetch;
use crate::transform::{MAX_TILE, MAX_WINDOW, forward, window};
use crate::view::{Source, VectorAffine, load, store};

/// Tiles of a row that are transformed along z and y before they are along x.
const TILES_AT_ONCE: usize = 4;
/// Columns of a few tiles: room for those of the largest window.
pub(crate) const COLUMNS: usize = 4 * MAX_WINDOW * (TILES_AT_ONCE * MAX_TILE + 2);

/// Where the transformed input of a row of tiles goes.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// First output voxel, z and y.
    pub(crate) origin: [usize; 2],
    /// First tile along x, and end.
    pub(crate) across: [usize; 2],
    /// First value of the first component.
    pub(crate) at: usize,
    /// Values from one component to the next.
    pub(crate) stride: usize,
    /// Values from one tile to the next.
    pub(crate) depth: usize,
    /// What is asked for, so that it is there when it is read.
    pub(crate) ahead: Ahead,
}

/// How far what is asked for is ahead of what is read.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    pub(crate) n_planes: usize,
    pub(crate) n_voxels: usize,
}

/// Transforms the windows of a row of tiles, all channels of one source: `[component][tile][channel]`.
pub(crate) struct ForwardRow<'a, const TZ: usize, const TY: usize, const TX: usize, const PAIRS: bool> {
    pub(crate) source: &'a Source<'a>,
    pub(crate) place: Place,
    pub(crate) transformed: &'a mut [f32],
    /// [`COLUMNS`] vectors of scratch memory.
    pub(crate) columns: &'a mut [f32],
}

impl<const TZ: usize, const TY: usize, const TX: usize, const PAIRS: bool> WithSimd
    for ForwardRow<'_, TZ, TY, TX, PAIRS>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        forward_row::<S, TZ, TY, TX, PAIRS>(simd, self.source, self.place, self.transformed, self.columns);
    }
}

#[inline(always)]
fn forward_row<S: Simd, const TZ: usize, const TY: usize, const TX: usize, const PAIRS: bool>(
    simd: S,
    source: &Source<'_>,
    place: Place,
    transformed: &mut [f32],
    columns: &mut [f32],
) {
    let (wz, wy, wx) = (window(TZ), window(TY), window(TX));
    let (pad_z, pad) = (isize::from(TZ > 1), 1);
    let mut rows: [[Option<&[f32]>; MAX_WINDOW]; 4] = [[None; MAX_WINDOW]; 4];
    let mut ahead = rows;
    for (z, rows) in rows.iter_mut().enumerate().take(wz) {
        for (y, row) in rows.iter_mut().enumerate().take(wy) {
            let [z0, y0] = place.origin;
            *row = source.row((z0 + z) as isize - pad_z, (y0 + y) as isize - pad);
            ahead[z][y] = match place.ahead.n_planes {
                0 => *row,
                n => source.row((z0 + z + n) as isize - pad_z, (y0 + y) as isize - pad),
            };
        }
    }
    let (pitch, size_x, lanes) = (source.layout.pitch, source.layout.size[2], S::F32_LANES);
    let n_columns = TILES_AT_ONCE * TX + 2;
    let columns = &mut columns[..wz * wy * n_columns * lanes];
    for channel in (0..pitch).step_by(lanes) {
        let affine = VectorAffine::<S>::new(simd, source, channel);
        for first in (place.across[0]..place.across[1]).step_by(TILES_AT_ONCE) {
            let tiles = first..(first + TILES_AT_ONCE).min(place.across[1]);
            // Along z and y, by column.
            for x in 0..tiles.len() * TX + wx - TX {
                // One before the volume where the window begins.
                let voxel = (first * TX + x).wrapping_sub(1);
                if voxel >= size_x {
                    for zy in 0..wz * wy {
                        store::<S>(columns, (zy * n_columns + x) * lanes, simd.splat_f32s(0.0));
                    }
                    continue;
                }
                let at = voxel * pitch + channel;
                let column =
                    column::<S, TZ, TY>(simd, &rows, &ahead, affine, at, place.ahead.n_voxels * pitch);
                for z in 0..wz {
                    for y in 0..wy {
                        store::<S>(columns, ((z * wy + y) * n_columns + x) * lanes, column[z][y]);
                    }
                }
            }
            // Along x, by tile.
            for zy in 0..wz * wy {
                let row = &columns[zy * n_columns * lanes..][..n_columns * lanes];
                for tile in tiles.clone() {
                    let window = &row[(tile - first) * TX * lanes..][..wx * lanes];
                    let mut d = [simd.splat_f32s(0.0); MAX_WINDOW];
                    for x in 0..wx {
                        d[x] = load::<S>(window, x * lanes);
                    }
                    let d = forward::<S, TX>(simd, d);
                    let at = place.at + (tile - place.across[0]) * place.depth;
                    for x in 0..wx {
                        put_vector::<S, PAIRS>(
                            simd,
                            transformed,
                            at + (zy * wx + x) * place.stride,
                            channel,
                            d[x],
                        );
                    }
                }
            }
        }
    }
}

/// One column of a window, transformed along z and y: `[z][y]`.
#[inline(always)]
fn column<S: Simd, const TZ: usize, const TY: usize>(
    simd: S,
    rows: &[[Option<&[f32]>; MAX_WINDOW]; 4],
    ahead: &[[Option<&[f32]>; MAX_WINDOW]; 4],
    affine: VectorAffine<S>,
    at: usize,
    distance: usize,
) -> [[S::f32s; MAX_WINDOW]; 4] {
    let (wz, wy) = (window(TZ), window(TY));
    let zero = simd.splat_f32s(0.0);
    let mut along_z = [[zero; MAX_WINDOW]; 4];
    for y in 0..wy {
        let mut d = [zero; MAX_WINDOW];
        for z in 0..wz {
            // What is read soon. Several planes at a time are asked for in the rows that are read.
            let row_ahead = if TZ == 1 { ahead[z][y] } else { rows[z][y] };
            if let Some(row) = row_ahead {
                prefetch(row, at + distance);
            }
            if let Some(row) = rows[z][y] {
                d[z] = affine.apply(simd, load::<S>(row, at));
            }
        }
        let d = forward::<S, TZ>(simd, d);
        for z in 0..wz {
            along_z[z][y] = d[z];
        }
    }
    let mut column = [[zero; MAX_WINDOW]; 4];
    for z in 0..wz {
        column[z] = forward::<S, TY>(simd, along_z[z]);
    }
    column
}
