//! What a model on a scan holds at its peak, from headers and plans alone.

use nephrite_nnunet::{Footprint, ModelDescription, NnunetError, ScanSize};
use nephrite_types::Limits;

use super::cost::ModelOnScan;

/// Of one folder's network, which nobody has looked into: an exported graph.
const UNKNOWN_NETWORK: u64 = 1 << 30;

/// Of compressing a mask on all threads, and of what is small.
const WRITING: u64 = 8 << 20;

impl ModelOnScan<'_> {
    /// Bytes besides the process itself; models and scans are counted as if none were in memory.
    ///
    /// # Errors
    /// As [`ModelDescription::footprint`].
    pub(super) fn peak_bytes(&self, n_threads: usize, limits: &Limits) -> Result<u64, NnunetError> {
        let own = self.footprint(self.model, n_threads, limits)?;
        let first = self
            .previous
            .map(|model| self.footprint(model, n_threads, limits))
            .transpose()?;
        let networks = network_bytes(self.model) + self.previous.map_or(0, network_bytes);
        let kept = if self.scan_stays { self.scan_bytes } else { 0 };
        let probabilities = match self.probabilities {
            true => own.mask / self.model.bytes_per_label() * 4 * self.model.n_classes as u64,
            false => 0,
        };
        // The mask of the first stage is an input of the second.
        let stage = first.map_or(0, |first| first.mask);
        let building = self
            .previous
            .map_or(0, building_bytes)
            .max(building_bytes(self.model));
        let moments = [
            // models are loaded before the scan is read, or beside it
            networks + building + kept,
            networks + self.scan_bytes,
            networks + self.scan_bytes + stage + own.input + own.preprocess,
            networks + kept + own.input + own.inference + own.mask + probabilities,
            networks + kept + own.mask * 2 + probabilities + WRITING,
            first.map_or(0, |first| {
                networks + self.scan_bytes + first.input + first.preprocess
            }),
            first.map_or(0, |first| {
                networks + self.scan_bytes + first.input + first.inference + first.mask
            }),
        ];
        Ok(moments.into_iter().max().unwrap_or(0))
    }

    fn footprint(
        &self,
        model: &ModelDescription,
        n_threads: usize,
        limits: &Limits,
    ) -> Result<Footprint, NnunetError> {
        let scan = ScanSize {
            shape: self.grid.shape.zyx(),
            spacing: self.grid.spacing.zyx(),
        };
        model.footprint(scan, self.options.numerics, n_threads, limits)
    }
}

/// What making the session of one fold takes for a moment beyond what it keeps: its weights twice more, but not yet its
/// activations.
fn building_bytes(model: &ModelDescription) -> u64 {
    let weights = model.n_parameters.unwrap_or(0).saturating_mul(4);
    let of_fold = network_bytes(model) / model.folds.len().max(1) as u64;
    let activations = of_fold.saturating_sub(weights.saturating_mul(3));
    weights.saturating_mul(2).saturating_sub(activations)
}

/// Sessions of all chosen folds, each with what it needs to run a tile.
pub(crate) fn network_bytes(model: &ModelDescription) -> u64 {
    model
        .resident_bytes
        .unwrap_or(UNKNOWN_NETWORK * model.folds.len() as u64)
}
