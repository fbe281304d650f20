//! Cuts one tile out of the network input, zeros where it reaches beyond.

use ndarray::ArrayView4;

use super::TileGrid;

/// Copies one tile, `[channel, patch…]`, out of the network input `[channel, shape…]`; what lies in the padding is 0.
///
/// `start` is in the padded grid.
pub fn gather_tile(input: ArrayView4<'_, f32>, grid: &TileGrid, start: [usize; 3], tile: &mut [f32]) {
    let [pz, py, px] = grid.patch;
    // Per axis: first tile index that lies in the network grid, its index there, and how many follow.
    let span: [(usize, usize, usize); 3] = std::array::from_fn(|a| {
        let skip = grid.pad_low[a].saturating_sub(start[a]);
        let from = (start[a] + skip).saturating_sub(grid.pad_low[a]);
        let len = grid.patch[a]
            .saturating_sub(skip)
            .min(grid.shape[a].saturating_sub(from));
        (skip, from, len)
    });
    let whole = (0..3).all(|a| span[a].2 == grid.patch[a]);
    if !whole {
        tile.fill(0.0);
    }
    for (channel, target) in input.outer_iter().zip(tile.chunks_exact_mut(pz * py * px)) {
        for z in 0..span[0].2 {
            for y in 0..span[1].2 {
                let to = ((span[0].0 + z) * py + span[1].0 + y) * px + span[2].0;
                let row = channel.slice(ndarray::s![
                    span[0].1 + z,
                    span[1].1 + y,
                    span[2].1..span[2].1 + span[2].2
                ]);
                let out = &mut target[to..to + span[2].2];
                match row.as_slice() {
                    Some(row) => out.copy_from_slice(row),
                    None => out.iter_mut().zip(row).for_each(|(o, v)| *o = *v),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, s};

    use nephrite_types::Limits;

    use super::*;

    #[test]
    fn tiles_of_a_padded_volume_equal_slices_of_the_padded_array() {
        for shape in [[5, 9, 7], [3, 2, 20], [8, 8, 8], [11, 4, 6]] {
            let input = Array4::from_shape_fn((2, shape[0], shape[1], shape[2]), |(c, z, y, x)| {
                (c * 1000 + z * 100 + y * 10 + x + 1) as f32
            });
            let grid = TileGrid::new(shape, &[6, 5, 8], 0.5, &Limits::default()).unwrap();
            let [pz, py, px] = grid.padded;
            let mut padded = Array4::<f32>::zeros((2, pz, py, px));
            let low = grid.pad_low;
            padded
                .slice_mut(s![
                    ..,
                    low[0]..low[0] + shape[0],
                    low[1]..low[1] + shape[1],
                    low[2]..low[2] + shape[2]
                ])
                .assign(&input);
            let mut tile = vec![-1.0; 2 * 6 * 5 * 8];
            for start in grid.positions() {
                gather_tile(input.view(), &grid, start, &mut tile);
                let expected = padded.slice(s![
                    ..,
                    start[0]..start[0] + 6,
                    start[1]..start[1] + 5,
                    start[2]..start[2] + 8
                ]);
                assert!(expected.iter().eq(tile.iter()), "{shape:?} {start:?}");
            }
        }
    }
}
