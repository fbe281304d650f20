//! The ring of class sums that tiles are added to, one patch deep.

use half::f16;
use nephrite_types::memory::{self, OutOfMemory, Zeroable};
use rayon::prelude::*;

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
    /// The weights themselves are added once per tile position: with `sum == 0`.
    pub fn add_tile(&mut self, start: [usize; 3], sum: usize, logits: &[f32], importance: &[f32]) {
        let [pz, py, px] = self.patch;
        let [_, width] = self.plane;
        let n_plane = self.plane[0] * width;
        let (n_classes, n_sums) = (self.n_classes, self.n_sums);
        self.sums
            .par_chunks_exact_mut(n_sums * n_classes * n_plane)
            .zip(self.weights.par_chunks_exact_mut(n_plane))
            .enumerate()
            .for_each(|(place, (sums, weights))| {
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
                        row.iter_mut()
                            .zip(terms)
                            .for_each(|(s, (p, g))| *s = s.plus(p * g));
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
            });
    }

    /// Writes the final logits of padded plane `z` class-last, `[row, column, class]`, and clears its ring place.
    ///
    /// Only the part `rows` × `columns` (the network grid without padding) is written. Folds are averaged. Returns
    /// `false` if a logit is infinite (f16 overflow), where nnU-Net stops.
    pub fn take_plane(
        &mut self,
        z: usize,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
        logits: &mut [f32],
    ) -> bool {
        let [_, width] = self.plane;
        let n_plane = self.plane[0] * width;
        let (n_classes, n_sums) = (self.n_classes, self.n_sums);
        let place = z % self.patch[0];
        let sums = &self.sums[place * n_sums * n_classes * n_plane..][..n_sums * n_classes * n_plane];
        let weights = &self.weights[place * n_plane..][..n_plane];
        let n_columns = columns.len();
        let finite = logits
            .par_chunks_exact_mut(n_columns * n_classes)
            .zip(rows.into_par_iter())
            .map(|(out, row)| {
                let at = row * width + columns.start;
                let weights = &weights[at..at + n_columns];
                let mut finite = true;
                for class in 0..n_classes {
                    let logit_of = |fold: usize, column: usize| {
                        let sum = sums[(fold * n_classes + class) * n_plane + at + column];
                        S::from_f32(sum.to_f32() / weights[column].to_f32())
                    };
                    for column in 0..n_columns {
                        let mut logit = logit_of(0, column);
                        if n_sums > 1 {
                            // nnU-Net adds the folds to zeros, in order, then divides
                            for fold in 1..n_sums {
                                logit = logit.plus(logit_of(fold, column).to_f32());
                            }
                            logit = S::from_f32(logit.to_f32() / n_sums as f32);
                        }
                        let logit = logit.to_f32();
                        finite &= !logit.is_infinite();
                        out[column * n_classes + class] = logit;
                    }
                }
                finite
            })
            .reduce(|| true, |a, b| a && b);
        self.clear_plane(z);
        finite
    }

    /// Forgets padded plane `z`: nothing of it lies in the network grid.
    pub fn clear_plane(&mut self, z: usize) {
        let n_plane = self.plane[0] * self.plane[1];
        let place = z % self.patch[0];
        let n_sums = self.n_sums * self.n_classes * n_plane;
        self.sums[place * n_sums..][..n_sums].fill(S::default());
        self.weights[place * n_plane..][..n_plane].fill(S::default());
    }
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
            accumulator.add_tile(start, 0, &tile_of(start), &g);
        }
        check_until(&mut accumulator, nz);
    }

    #[test]
    fn half_precision_rounds_after_every_step() {
        let grid = TileGrid::new([1, 1, 1], &[1, 1, 1], 0.5, &Limits::default()).unwrap();
        let mut accumulator = Accumulator::<f16>::new(&grid, 1, 2).unwrap();
        accumulator.add_tile([0; 3], 0, &[1.0 / 3.0], &[1.0]);
        accumulator.add_tile([0; 3], 1, &[2049.0], &[1.0]);
        let mut logit = [0.0];
        assert!(accumulator.take_plane(0, 0..1, 0..1, &mut logit));
        // h(h(0.33325195 + 2048) / 2) = 1024
        assert_eq!(logit, [1024.0]);
        accumulator.add_tile([0; 3], 0, &[70000.0], &[1.0]);
        assert!(
            !accumulator.take_plane(0, 0..1, 0..1, &mut logit),
            "infinite in f16"
        );
    }
}
