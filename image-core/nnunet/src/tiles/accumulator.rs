//! The ring of class sums that tiles are added to, one patch deep.

use std::ops::Range;

use half::f16;
use ndarray::parallel::prelude::*;
use ndarray::{ArrayViewMut2, ArrayViewMut3, Axis, s};
use nephrite_types::memory::{self, OutOfMemory, Zeroable};
use rayon::slice::ParallelSliceMut;

use super::TileGrid;

/// A number in which class sums are kept: f32, or f16 for nnU-Net's own rounding.
pub trait ClassSum: Copy + Send + Sync + Default + Zeroable + 'static {
    /// The sum after one more term, rounded to this type once.
    fn plus(self, term: f32) -> Self;
    /// Exact.
    fn to_f32(self) -> f32;
    /// Rounded once.
    fn from_f32(value: f32) -> Self;
}

impl ClassSum for f32 {
    #[inline(always)]
    fn plus(self, term: f32) -> Self {
        self + term
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }
}

impl ClassSum for f16 {
    #[inline(always)]
    fn plus(self, term: f32) -> Self {
        f16::from_f32(self.to_f32() + term)
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        f16::from_f32(value)
    }
}

/// Weighted class sums of the tiles that are being visited: one patch depth of planes, reused in a ring.
///
/// Planes are those of axis 0 of the padded grid. Tiles arrive with ascending start on axis 0; planes before the
/// next start are final, are taken with [`Accumulator::take_plane`], and their place is used again.
///
/// Source of the arithmetic: nnunetv2 2.8.1, `predict_from_raw_data.py`
/// (`_internal_predict_sliding_window_return_logits`): with `S = f16`, every product is made in f32 and every sum
/// rounded to f16, as on nnU-Net's CPU path.
#[derive(Debug)]
pub struct Accumulator<S> {
    n_classes: usize,
    /// Sums of as many folds as are kept apart.
    n_sums: usize,
    patch: [usize; 3],
    /// Rows and columns of a padded plane.
    plane: [usize; 2],
    /// `patch[0]` ring places of `[sum, class, row, column]`.
    sums: Vec<S>,
    /// `patch[0]` ring places of `[row, column]`.
    weights: Vec<S>,
}

impl<S: ClassSum> Accumulator<S> {
    /// Bytes that [`Accumulator::new`] would allocate; `None` if the number overflows.
    pub fn n_bytes(grid: &TileGrid, n_classes: usize, n_sums: usize) -> Option<u64> {
        let plane = grid.padded[1].checked_mul(grid.padded[2])?;
        let per_plane = n_classes
            .checked_mul(n_sums)?
            .checked_add(1)?
            .checked_mul(plane)?;
        per_plane
            .checked_mul(grid.patch[0])?
            .checked_mul(size_of::<S>())?
            .try_into()
            .ok()
    }

    /// All zero. `n_sums` folds are summed apart.
    ///
    /// # Errors
    /// [`OutOfMemory`]
    pub fn new(grid: &TileGrid, n_classes: usize, n_sums: usize) -> Result<Self, OutOfMemory> {
        let plane = [grid.padded[1], grid.padded[2]];
        let n_plane = plane[0] * plane[1];
        Ok(Accumulator {
            n_classes,
            n_sums,
            patch: grid.patch,
            plane,
            sums: memory::zeroed(grid.patch[0] * n_sums * n_classes * n_plane, "the class sums")?,
            weights: memory::zeroed(grid.patch[0] * n_plane, "the class sums")?,
        })
    }

    /// Adds one tile's logits, `[class, patch…]`, times `importance`, `[patch…]`, to the sums of fold `sum`.
    ///
    /// The weights themselves are added once per tile position: with `sum == 0`. Returns `false` if a logit is infinite or NaN;
    /// the sums are then of no use.
    #[must_use]
    pub fn add_tile(&mut self, start: [usize; 3], sum: usize, logits: &[f32], importance: &[f32]) -> bool {
        let [pz, py, px] = self.patch;
        let [_, width] = self.plane;
        let n_plane = self.plane[0] * width;
        let (n_classes, n_sums) = (self.n_classes, self.n_sums);
        self.sums
            .par_chunks_exact_mut(n_sums * n_classes * n_plane)
            .zip(self.weights.par_chunks_exact_mut(n_plane))
            .enumerate()
            .map(|(place, (sums, weights))| {
                let mut not_finite = 0;
                // the plane of this tile that lives in this ring place
                let z = (place + pz - start[0] % pz) % pz;
                let importance = &importance[z * py * px..(z + 1) * py * px];
                for class in 0..n_classes {
                    let logits = &logits[(class * pz + z) * py * px..][..py * px];
                    let sums = &mut sums[(sum * n_classes + class) * n_plane..][..n_plane];
                    for y in 0..py {
                        let to = (start[1] + y) * width + start[2];
                        let row = &mut sums[to..to + px];
                        let terms = logits[y * px..][..px].iter().zip(&importance[y * px..][..px]);
                        row.iter_mut().zip(terms).for_each(|(s, (p, g))| {
                            not_finite |= i32::from(abs_bits(*p) >= INFINITE);
                            *s = s.plus(p * g);
                        });
                    }
                }
                if sum == 0 {
                    for y in 0..py {
                        let to = (start[1] + y) * width + start[2];
                        let row = &mut weights[to..to + px];
                        row.iter_mut()
                            .zip(&importance[y * px..][..px])
                            .for_each(|(w, g)| *w = w.plus(*g));
                    }
                }
                not_finite == 0
            })
            .reduce(|| true, |a, b| a & b)
    }

    /// Writes the final logits of padded plane `z` class-last, `[row, column, class]`, and clears its ring place.
    ///
    /// Only the part `rows` × `columns` (the network grid without padding) is written. Folds are averaged. Returns
    /// `false` if a logit is infinite (f16 overflow), where nnU-Net stops.
    pub fn take_plane(
        &mut self,
        z: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        logits: &mut [f32],
    ) -> bool {
        let [height, width] = self.plane;
        let (n_classes, n_columns) = (self.n_classes, columns.len());
        let (sums, weights) = self.place_mut(z);
        let n_sums = sums.len() / (height * width);
        let mut sums = ArrayViewMut3::from_shape((n_sums, height, width), sums).expect("whole planes");
        let finite = logits
            .par_chunks_exact_mut(n_columns * n_classes)
            .zip(sums.slice_mut(s![.., rows.clone(), ..]).axis_iter_mut(Axis(1)))
            .zip(weights[rows.start * width..rows.end * width].par_chunks_exact_mut(width))
            .map_init(Vec::new, |block, ((logits, mut sums), weights)| {
                let sums = sums.slice_mut(s![.., columns.clone()]);
                take_row(sums, &mut weights[columns.clone()], n_classes, block, logits)
            })
            .reduce(|| true, |a, b| a && b);
        if [rows.len(), n_columns] != self.plane {
            self.clear_plane(z); // the padding
        }
        finite
    }

    /// The ring place of padded plane `z`: its sums and its weights.
    fn place_mut(&mut self, z: usize) -> (&mut [S], &mut [S]) {
        let n_plane = self.plane[0] * self.plane[1];
        let place = z % self.patch[0];
        let n_sums = self.n_sums * self.n_classes * n_plane;
        (
            &mut self.sums[place * n_sums..][..n_sums],
            &mut self.weights[place * n_plane..][..n_plane],
        )
    }

    /// Forgets padded plane `z`: nothing of it lies in the network grid.
    pub fn clear_plane(&mut self, z: usize) {
        let (sums, weights) = self.place_mut(z);
        sums.fill(S::default());
        weights.fill(S::default());
    }
}

/// Columns that are divided before they are turned class-last: a block of all classes stays in the cache.
const BLOCK: usize = 32;

/// Divides one row of sums, `[fold and class, column]`, by its weights into logits, `[column, class]`, and clears both
/// while they are in the cache. `block` is scratch. Returns `false` if a logit is infinite.
fn take_row<S: ClassSum>(
    mut sums: ArrayViewMut2<'_, S>,
    weights: &mut [S],
    n_classes: usize,
    block: &mut Vec<[f32; BLOCK]>,
    logits: &mut [f32],
) -> bool {
    let n_folds = sums.nrows() / n_classes;
    block.resize(n_classes, [0.0; BLOCK]);
    let mut n_infinite = 0u32;
    let blocks = weights
        .chunks_mut(BLOCK)
        .zip(logits.chunks_mut(BLOCK * n_classes))
        .zip(sums.axis_chunks_iter_mut(Axis(1), BLOCK));
    for ((weights, logits), mut sums) in blocks {
        let mut divisors = [1.0; BLOCK];
        divisors
            .iter_mut()
            .zip(&*weights)
            .for_each(|(d, w)| *d = w.to_f32());
        weights.fill(S::default());
        for (class, quotients) in block.iter_mut().enumerate() {
            for fold in 0..n_folds {
                let mut sums = sums.row_mut(fold * n_classes + class);
                let sums = sums.as_slice_mut().expect("columns are contiguous");
                let terms = sums.iter().zip(&divisors);
                let logit = |(sum, divisor): (&S, &f32)| S::from_f32(sum.to_f32() / divisor);
                // nnU-Net adds the folds to zeros, in order, then divides
                match fold {
                    0 => (quotients.iter_mut().zip(terms)).for_each(|(q, term)| *q = logit(term).to_f32()),
                    _ => (quotients.iter_mut().zip(terms))
                        .for_each(|(q, term)| *q = S::from_f32(*q).plus(logit(term).to_f32()).to_f32()),
                }
                sums.fill(S::default());
            }
            if n_folds > 1 {
                quotients
                    .iter_mut()
                    .for_each(|q| *q = S::from_f32(*q / n_folds as f32).to_f32());
            }
            n_infinite += quotients.iter().map(|q| u32::from(q.is_infinite())).sum::<u32>();
        }
        for (column, logits) in logits.chunks_exact_mut(n_classes).enumerate() {
            logits
                .iter_mut()
                .zip(&*block)
                .for_each(|(logit, quotients)| *logit = quotients[column]);
        }
    }
    n_infinite == 0
}

/// Bits of an infinite f32 without its sign; NaN has larger ones, all others smaller ones.
const INFINITE: i32 = 0x7f80_0000;

/// Without the sign. Compared as whole numbers, many values are checked at once, which no branch or truth value allows.
fn abs_bits(value: f32) -> i32 {
    (value.to_bits() & 0x7fff_ffff).cast_signed()
}

#[cfg(test)]
mod tests {
    use nephrite_types::Limits;

    use super::*;

    /// Sums every tile into dense arrays, the plain way.
    fn dense(
        grid: &TileGrid,
        n_classes: usize,
        tile_of: impl Fn([usize; 3]) -> Vec<f32>,
        g: &[f32],
    ) -> Vec<f32> {
        let [nz, ny, nx] = grid.padded;
        let [pz, py, px] = grid.patch;
        let n = nz * ny * nx;
        let (mut sums, mut weights) = (vec![0f32; n_classes * n], vec![0f32; n]);
        for start in grid.positions() {
            let tile = tile_of(start);
            for i in 0..pz * py * px {
                let (z, y, x) = (i / (py * px), i / px % py, i % px);
                let at = ((start[0] + z) * ny + start[1] + y) * nx + start[2] + x;
                weights[at] += g[i];
                for c in 0..n_classes {
                    sums[c * n + at] += tile[c * pz * py * px + i] * g[i];
                }
            }
        }
        (0..n_classes * n).map(|i| sums[i] / weights[i % n]).collect()
    }

    #[test]
    fn a_ring_of_one_patch_depth_gives_the_dense_result() {
        let grid = TileGrid::new([13, 9, 7], &[4, 5, 6], 0.5, &Limits::default()).unwrap();
        let g = super::super::importance_map(grid.patch, true);
        let n_classes = 3;
        let tile_of = |s: [usize; 3]| -> Vec<f32> {
            (0..n_classes * 120)
                .map(|i| ((i * 7 + s[0] * 31 + s[1] * 17 + s[2]) % 13) as f32 - 6.0)
                .collect()
        };
        let expected = dense(&grid, n_classes, tile_of, &g);
        let mut accumulator = Accumulator::<f32>::new(&grid, n_classes, 1).unwrap();
        let [nz, ny, nx] = grid.padded;
        let mut plane = vec![0.0; ny * nx * n_classes];
        let mut taken = 0;
        let mut check_until = |accumulator: &mut Accumulator<f32>, end: usize| {
            while taken < end {
                assert!(accumulator.take_plane(taken, 0..ny, 0..nx, &mut plane));
                for i in 0..ny * nx {
                    for c in 0..n_classes {
                        let e = expected[(c * nz + taken) * ny * nx + i];
                        assert_eq!(plane[i * n_classes + c], e, "plane {taken}");
                    }
                }
                taken += 1;
            }
        };
        let mut last = 0;
        for start in grid.positions() {
            if start[0] != last {
                check_until(&mut accumulator, start[0]);
                last = start[0];
            }
            assert!(accumulator.add_tile(start, 0, &tile_of(start), &g));
        }
        check_until(&mut accumulator, nz);
    }

    #[test]
    fn only_the_network_grid_is_taken_folds_are_averaged_and_nothing_stays_behind() {
        // wider than two blocks, and padded along rows, or along columns
        for (shape, patch) in [([2, 3, 75], [2, 5, 20]), ([2, 6, 33], [2, 4, 40])] {
            let grid = TileGrid::new(shape, &patch, 0.5, &Limits::default()).unwrap();
            let (n_classes, n_folds) = (11, 2);
            let n_tile = patch.iter().product::<usize>();
            let mut accumulator = Accumulator::<f32>::new(&grid, n_classes, n_folds).unwrap();
            let (rows, columns) = (
                grid.pad_low[1]..grid.pad_low[1] + shape[1],
                grid.pad_low[2]..grid.pad_low[2] + shape[2],
            );
            let mut logits = vec![f32::NAN; rows.len() * columns.len() * n_classes];
            for round in 0..2 {
                for start in grid.positions() {
                    for fold in 0..n_folds {
                        // every voxel has its class and its fold
                        let tile: Vec<f32> = (0..n_classes * n_tile)
                            .map(|i| (i / n_tile * 4 + fold * 2 + round) as f32)
                            .collect();
                        assert!(accumulator.add_tile(start, fold, &tile, &vec![1.0; n_tile]));
                    }
                }
                for z in 0..shape[0] {
                    assert!(accumulator.take_plane(z, rows.clone(), columns.clone(), &mut logits));
                    for (i, logit) in logits.iter().enumerate() {
                        assert_eq!(*logit, (i % n_classes * 4 + 1 + round) as f32, "{shape:?} {i}");
                    }
                }
                assert!(
                    accumulator
                        .sums
                        .iter()
                        .chain(&accumulator.weights)
                        .all(|sum| *sum == 0.0)
                );
            }
        }
    }

    #[test]
    fn a_logit_that_is_not_finite_is_told_wherever_it_is() {
        let grid = TileGrid::new([3, 4, 21], &[3, 4, 21], 0.5, &Limits::default()).unwrap();
        let (n_classes, n_tile) = (2, 3 * 4 * 21);
        let importance = vec![1.0; n_tile];
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..n_classes * n_tile {
                let mut accumulator = Accumulator::<f32>::new(&grid, n_classes, 1).unwrap();
                let mut tile = vec![1.0; n_classes * n_tile];
                assert!(accumulator.add_tile([0; 3], 0, &tile, &importance));
                tile[at] = bad;
                assert!(
                    !accumulator.add_tile([0; 3], 0, &tile, &importance),
                    "{bad} at {at}"
                );
            }
        }
    }

    #[test]
    fn half_precision_rounds_after_every_step() {
        let grid = TileGrid::new([1, 1, 1], &[1, 1, 1], 0.5, &Limits::default()).unwrap();
        let mut accumulator = Accumulator::<f16>::new(&grid, 1, 2).unwrap();
        assert!(accumulator.add_tile([0; 3], 0, &[1.0 / 3.0], &[1.0]));
        assert!(accumulator.add_tile([0; 3], 1, &[2049.0], &[1.0]));
        let mut logit = [0.0];
        assert!(accumulator.take_plane(0, 0..1, 0..1, &mut logit));
        // h(h(0.33325195 + 2048) / 2) = 1024
        assert_eq!(logit, [1024.0]);
        assert!(
            accumulator.add_tile([0; 3], 0, &[70000.0], &[1.0]),
            "finite in f32"
        );
        assert!(
            !accumulator.take_plane(0, 0..1, 0..1, &mut logit),
            "infinite in f16"
        );
    }
}
