//! What a model on a scan costs, from headers and plans alone: places of the patch, runs of the network, work, memory. What is
//! reserved before a run and what an estimate says are both this.

use nephrite_nnunet::{ModelDescription, NetworkRuns, NnunetError};
use nephrite_types::{Geometry, Limits, SegmentationOptions};

/// A model on a scan.
pub(crate) struct ModelOnScan<'a> {
    pub(crate) model: &'a ModelDescription,
    /// The first stage of a cascade, if it runs too.
    pub(crate) previous: Option<&'a ModelDescription>,
    /// The scan, or the part of it that the model looks at, as the model's reader sees it.
    pub(crate) grid: &'a Geometry,
    /// Voxels of all channels, as they are stored, bytes.
    pub(crate) scan_bytes: u64,
    /// The scan is kept for other steps while the network runs.
    pub(crate) scan_stays: bool,
    pub(crate) options: SegmentationOptions,
    /// Probabilities are made.
    pub(crate) probabilities: bool,
}

/// What it costs, both stages of a cascade together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ModelCost {
    /// Places where a patch lies. Exactly as many as a run has if no margin of the scan is all zero; such margins are cut
    /// off first, so that there may be fewer.
    pub(crate) tiles: u64,
    /// Tiles times folds times mirrored copies.
    pub(crate) network_runs: u64,
    /// Multiply-accumulates of all runs; `None` if a network is not built in.
    pub(crate) multiply_adds: Option<u64>,
    /// On an NVIDIA card at the peak; 0 if nothing runs there.
    pub(crate) card_bytes: u64,
    /// At the peak, besides the process; of a network that is not built in, a guess.
    pub(crate) peak_bytes: u64,
}

impl ModelOnScan<'_> {
    /// # Errors
    /// [`NnunetError::EmptyGrid`] if the network would see no voxels; a tile step that cannot be; more tiles or voxels than
    /// `limits` allow.
    pub(crate) fn cost(&self, n_threads: usize, limits: &Limits) -> Result<ModelCost, NnunetError> {
        let (mut tiles, mut network_runs) = (0u64, 0u64);
        let mut multiply_adds = Some(0u64);
        for model in self.previous.into_iter().chain([self.model]) {
            let of_model = self.runs_of(model, limits)?;
            tiles = tiles.saturating_add(of_model.tiles);
            network_runs = network_runs.saturating_add(of_model.runs);
            let work = model
                .multiply_adds_per_tile
                .map(|n| n.saturating_mul(of_model.runs));
            multiply_adds = multiply_adds.zip(work).map(|(a, b)| a.saturating_add(b));
        }
        Ok(ModelCost {
            tiles,
            network_runs,
            multiply_adds,
            card_bytes: self.card_bytes(limits)?,
            peak_bytes: self.peak_bytes(n_threads, limits)?,
        })
    }

    fn runs_of(&self, model: &ModelDescription, limits: &Limits) -> Result<NetworkRuns, NnunetError> {
        let (shape, spacing) = (self.grid.shape.zyx(), self.grid.spacing.zyx());
        let runs = model.network_runs(shape, spacing, &self.options, limits)?;
        runs.ok_or_else(|| {
            let spacing = model.transpose_forward.map(|axis| spacing[axis]);
            NnunetError::EmptyGrid {
                crop: model.transpose_forward.map(|axis| shape[axis]),
                spacing,
                target: model.recipe.network_spacing(spacing),
            }
        })
    }
}
