//! Everything that stays the same during one prediction.

use half::f16;
use nephrite_types::{CancelToken, Limits, Numerics, Progress};

use crate::export::{AxisMap, probability_taps};
use crate::preprocess::NetworkInput;
use crate::tiles::{Accumulator, Flip, TileGrid, flip_combinations, importance_map};
use crate::{Model, NnunetError, PredictOptions};

/// Everything that stays the same during one prediction.
pub(crate) struct Run<'a> {
    pub(crate) model: &'a Model,
    pub(crate) input: &'a NetworkInput,
    pub(crate) grid: TileGrid,
    pub(crate) importance: Vec<f32>,
    pub(crate) flips: Vec<Flip>,
    pub(crate) taps: [AxisMap; 3],
    pub(crate) numerics: Numerics,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a CancelToken,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        model: &'a Model,
        input: &'a NetworkInput,
        options: &PredictOptions,
        limits: &Limits,
        progress: &'a dyn Progress,
        cancel: &'a CancelToken,
    ) -> Result<Self, NnunetError> {
        let (_, n0, n1, n2) = input.data.dim();
        let options = options.segmentation;
        let grid = TileGrid::new([n0, n1, n2], model.patch(), options.tile_step_size, limits)?;
        let (n_sums, n_bytes) = match options.numerics {
            Numerics::Fast => (1, Accumulator::<f32>::n_bytes(&grid, model.n_classes(), 1)),
            Numerics::Reference => {
                let n_folds = model.n_folds();
                (
                    n_folds,
                    Accumulator::<f16>::n_bytes(&grid, model.n_classes(), n_folds),
                )
            }
        };
        let n_bytes = n_bytes.unwrap_or(u64::MAX);
        if n_bytes > limits.max_accumulator_bytes {
            let limit = limits.max_accumulator_bytes;
            return Err(NnunetError::OverLimit {
                what: "the class sums",
                unit: "bytes",
                limit,
                found: n_bytes,
            });
        }
        tracing::debug!(tiles = grid.n_tiles(), n_sums, n_bytes, grid = ?grid.shape, "tile grid");
        Ok(Run {
            importance: importance_map(grid.patch, options.gaussian),
            flips: flip_combinations(if options.mirroring {
                model.mirroring_axes()
            } else {
                &[]
            }),
            taps: probability_taps(model, input),
            model,
            input,
            grid,
            numerics: options.numerics,
            progress,
            cancel,
        })
    }

    /// A tile of one of the folds had a logit that is infinite or NaN.
    pub(crate) fn not_finite(&self, tile: usize) -> NnunetError {
        NnunetError::NotFinite {
            model: self.model.name().to_owned(),
            fold: self.model.fold_names(),
            tile: tile + 1,
            n_tiles: self.grid.n_tiles(),
        }
    }

    pub(crate) fn cuda_error(&self, source: nephrite_cuda::CudaError) -> NnunetError {
        self.model.engine_error(source.into())
    }
}
