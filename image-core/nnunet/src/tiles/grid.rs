//! Where tiles lie, as nnU-Net places them, and how many there are before any is run.

use nephrite_types::Limits;

use crate::NnunetError;

/// Where the tiles of one volume lie, in nnU-Net's order.
///
/// Everything is 3-D here: a 2-D configuration is a patch of depth 1 whose tiles stand at every index of axis 0.
/// Positions are in the *padded* grid: the network grid, centered in at least one patch.
///
/// Source: nnunetv2 2.8.1, `inference/sliding_window_prediction.py` (`compute_steps_for_sliding_window`) and
/// `predict_from_raw_data.py` (`_internal_get_sliding_window_slicers`); padding from acvl-utils
/// `pad_nd_image`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileGrid {
    /// Network grid, slowest axis first.
    pub shape: [usize; 3],
    /// Patch; depth 1 for a 2-D configuration.
    pub patch: [usize; 3],
    /// Zeros in front of the network grid, per axis.
    pub pad_low: [usize; 3],
    /// Network grid with padding: at least `patch` on every axis.
    pub padded: [usize; 3],
    /// First index of the tiles, per axis, in the padded grid; ascending.
    pub starts: [Vec<usize>; 3],
}

impl TileGrid {
    /// `patch` has 2 or 3 numbers; `shape` is the network grid, slowest axis first. Nothing is allocated before the number
    /// of tiles was compared with `limits.max_tiles`.
    ///
    /// # Errors
    /// As [`TileGrid::count`].
    pub fn new(shape: [usize; 3], patch: &[usize], step: f64, limits: &Limits) -> Result<Self, NnunetError> {
        TileGrid::count(shape, patch, step, limits)?;
        let is_2d = patch.len() == 2;
        let patch = if is_2d {
            [1, patch[0], patch[1]]
        } else {
            [patch[0], patch[1], patch[2]]
        };
        let padded: [usize; 3] = std::array::from_fn(|a| shape[a].max(patch[a]));
        Ok(TileGrid {
            shape,
            patch,
            pad_low: std::array::from_fn(|a| (padded[a] - shape[a]) / 2),
            padded,
            starts: std::array::from_fn(|a| {
                if is_2d && a == 0 {
                    (0..shape[0]).collect()
                } else {
                    starts(padded[a], patch[a], step)
                }
            }),
        })
    }

    /// Whether tiles of this patch can stand `step` of a patch apart: at least one voxel. An axis of the patch that is one
    /// voxel thick has no smaller step than that, whatever `step` says.
    ///
    /// # Errors
    /// [`NnunetError::TileStepSize`] unless `0 < step ≤ 1`, [`NnunetError::TileStepUnderVoxel`].
    pub fn check_step(patch: &[usize], step: f64) -> Result<(), NnunetError> {
        if !(step > 0.0 && step <= 1.0) {
            return Err(NnunetError::TileStepSize { step });
        }
        if patch.iter().any(|&len| len > 1 && (len as f64) * step < 1.0) {
            let patch = patch.to_vec();
            return Err(NnunetError::TileStepUnderVoxel { step, patch });
        }
        Ok(())
    }

    /// Number of tiles of such a grid, without making it.
    ///
    /// # Errors
    /// As [`TileGrid::check_step`]; [`NnunetError::OverLimit`] for more tiles than `limits.max_tiles`.
    pub fn count(shape: [usize; 3], patch: &[usize], step: f64, limits: &Limits) -> Result<u64, NnunetError> {
        TileGrid::check_step(patch, step)?;
        let along = |n: usize, patch: usize| n_starts(n.max(patch), patch, step) as u64;
        let counts = match *patch {
            [y, x] => [shape[0] as u64, along(shape[1], y), along(shape[2], x)],
            _ => std::array::from_fn(|a| along(shape[a], patch[a])),
        };
        let found = counts.into_iter().fold(1, u64::saturating_mul);
        if found > limits.max_tiles {
            return Err(NnunetError::OverLimit {
                what: "the sliding window",
                unit: "tiles",
                limit: limits.max_tiles,
                found,
            });
        }
        Ok(found)
    }

    /// Number of tiles.
    pub fn n_tiles(&self) -> usize {
        self.starts.iter().map(Vec::len).product()
    }

    /// First voxel of every tile, first axis slowest.
    pub fn positions(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        let [z, y, x] = &self.starts;
        z.iter()
            .flat_map(move |&z| y.iter().flat_map(move |&y| x.iter().map(move |&x| [z, y, x])))
    }
}

/// Tile starts along one axis of `n` voxels (`n ≥ patch`), ties to even.
fn starts(n: usize, patch: usize, step: f64) -> Vec<usize> {
    let n_steps = n_starts(n, patch, step);
    if n_steps == 1 {
        return vec![0];
    }
    let delta = (n - patch) as f64 / (n_steps - 1) as f64;
    (0..n_steps)
        .map(|i| (delta * i as f64).round_ties_even() as usize)
        .collect()
}

fn n_starts(n: usize, patch: usize, step: f64) -> usize {
    let wanted = patch as f64 * step;
    (((n - patch) as f64 / wanted).ceil() as usize).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_equal_those_of_nnunet() {
        let check = |n, patch, step, expected: &[usize]| assert_eq!(starts(n, patch, step), expected);
        check(110, 64, 0.5, &[0, 23, 46]);
        check(97, 64, 0.5, &[0, 16, 33]);
        check(129, 64, 0.5, &[0, 22, 43, 65]);
        check(65, 64, 0.5, &[0, 1]);
        check(64, 64, 0.5, &[0]);
        check(200, 48, 0.75, &[0, 30, 61, 91, 122, 152]);
    }

    #[test]
    fn a_small_volume_is_centred_with_the_extra_voxel_behind() {
        let grid = TileGrid::new([5, 9, 8], &[8, 8, 8], 0.5, &Limits::default()).unwrap();
        assert_eq!(grid.padded, [8, 9, 8]);
        assert_eq!(grid.pad_low, [1, 0, 0]);
        assert_eq!(grid.positions().collect::<Vec<_>>(), vec![[0, 0, 0], [0, 1, 0]]);
    }

    #[test]
    fn a_2d_patch_visits_every_slice_and_never_pads_axis_0() {
        let grid = TileGrid::new([3, 4, 10], &[8, 8], 0.5, &Limits::default()).unwrap();
        assert_eq!(grid.patch, [1, 8, 8]);
        assert_eq!(grid.padded, [3, 8, 10]);
        assert_eq!(grid.starts, [vec![0, 1, 2], vec![0], vec![0, 2]]);
    }

    #[test]
    fn counting_gives_what_the_grid_has() {
        for (shape, patch) in [
            ([110, 97, 129], &[64, 64, 64][..]),
            ([5, 9, 8], &[8, 8, 8]),
            ([3, 4, 10], &[8, 8]),
            ([200, 1, 65], &[48, 20, 64]),
        ] {
            for step in [0.3, 0.5, 0.75, 1.0] {
                let grid = TileGrid::new(shape, patch, step, &Limits::default()).unwrap();
                assert_eq!(
                    TileGrid::count(shape, patch, step, &Limits::default()).unwrap(),
                    grid.n_tiles() as u64,
                    "{shape:?} {step}"
                );
            }
        }
    }

    #[test]
    fn too_many_tiles_are_refused_before_a_list_of_them_is_made() {
        let limits = Limits {
            max_tiles: 1000,
            ..Limits::default()
        };
        assert_eq!(TileGrid::count([10; 3], &[1; 3], 1.0, &limits).unwrap(), 1000);
        for (shape, patch, step, n) in [
            ([10, 10, 11], &[1, 1, 1][..], 1.0, 1100),
            ([usize::MAX; 3], &[1, 1, 1], 1e-300, u64::MAX),
            ([1001, 8, 8], &[8, 8], 0.5, 1001),
            ([300; 3], &[100; 3], 0.01, 201 * 201 * 201),
        ] {
            let refused = |error| match error {
                NnunetError::OverLimit {
                    unit, limit, found, ..
                } => (unit, limit, found),
                other => panic!("{other}"),
            };
            let expected = ("tiles", 1000, n);
            assert_eq!(
                TileGrid::count(shape, patch, step, &limits).map_err(refused),
                Err(expected)
            );
            assert_eq!(
                TileGrid::new(shape, patch, step, &limits).map_err(refused),
                Err(expected)
            );
        }
    }

    #[test]
    fn a_step_under_one_voxel_is_refused() {
        let check = |patch: &[usize], step| TileGrid::check_step(patch, step).is_ok();
        assert!(check(&[64, 64, 64], 1.0 / 64.0));
        assert!(
            check(&[1, 64, 64], 0.5),
            "an axis of one voxel has no smaller step"
        );
        assert!(check(&[64, 64], 0.5));
        for step in [0.015, 1e-9, 1e-12, f64::MIN_POSITIVE] {
            assert!(!check(&[64, 64, 64], step), "{step}");
            assert!(!check(&[64, 64], step), "{step}");
            assert!(!check(&[1, 1, 64], step), "{step}");
        }
        assert!(
            !check(&[128, 16, 128], 0.06),
            "0.96 of a voxel along the short axis"
        );
    }

    #[test]
    fn a_step_outside_0_to_1_is_refused() {
        for step in [0.0, -0.5, 1.01, f64::NAN] {
            assert!(
                TileGrid::count([8; 3], &[8; 3], step, &Limits::default()).is_err(),
                "{step}"
            );
            assert!(
                TileGrid::new([8; 3], &[8; 3], step, &Limits::default()).is_err(),
                "{step}"
            );
        }
    }
}
