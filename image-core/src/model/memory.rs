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
        let networks = idle_bytes(self.model) + self.previous.map_or(0, idle_bytes);
        let running = |model| resident_bytes(model).saturating_sub(idle_bytes(model));
        let kept = if self.scan_stays { self.scan_bytes } else { 0 };
        let probabilities = match self.probabilities {
            true => own.mask / self.model.bytes_per_label() * 4 * self.model.n_classes as u64,
            false => 0,
        };
        // The mask of the first stage is an input of the second.
        let stage = first.map_or(0, |first| first.mask);
        let building = self.previous.map_or(0, beyond_idle).max(beyond_idle(self.model));
        let moments = [
            // models are loaded before the scan is read, or beside it
            networks + building + kept,
            networks + self.scan_bytes,
            networks + self.scan_bytes + stage + own.input + own.preprocess,
            networks + running(self.model) + kept + own.input + own.inference + own.mask + probabilities,
            networks + kept + own.mask * 2 + probabilities + WRITING,
            first.map_or(0, |first| {
                networks + self.scan_bytes + first.input + first.preprocess
            }),
            first.map_or(0, |first| {
                let running = self.previous.map_or(0, running);
                networks + running + self.scan_bytes + first.input + first.inference + first.mask
            }),
        ];
        Ok(moments.into_iter().max().unwrap_or(0))
    }

    /// Bytes on a card: networks of all stages, and what the larger one needs while it runs.
    pub(super) fn card_bytes(&self, limits: &Limits) -> Result<u64, NnunetError> {
        let (mut weights, mut running) = (0u64, 0u64);
        for model in self.previous.into_iter().chain([self.model]) {
            let Some(of_model) = model.on_card else { continue };
            let case = self.footprint(model, 1, limits)?.on_card;
            weights = weights.saturating_add(of_model.weights);
            running = running.max(of_model.arena.saturating_add(case));
        }
        Ok(weights.saturating_add(running))
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

/// What loading a model holds at its peak: the networks of all chosen folds, the last of which is just made.
pub(crate) fn loading_bytes(model: &ModelDescription) -> u64 {
    idle_bytes(model).saturating_add(beyond_idle(model))
}

/// What making the network of one fold holds at its peak beyond what that network keeps. Networks are made one after the other.
fn beyond_idle(model: &ModelDescription) -> u64 {
    let of_fold = idle_bytes(model) / model.folds.len().max(1) as u64;
    model.building_bytes.unwrap_or(0).saturating_sub(of_fold)
}

/// Networks of all chosen folds, as they are kept between predictions.
fn idle_bytes(model: &ModelDescription) -> u64 {
    model.idle_bytes.unwrap_or(unknown_bytes(model))
}

/// Networks of all chosen folds, each with what it needs to run a tile.
fn resident_bytes(model: &ModelDescription) -> u64 {
    model.resident_bytes.unwrap_or(unknown_bytes(model))
}

fn unknown_bytes(model: &ModelDescription) -> u64 {
    UNKNOWN_NETWORK * model.folds.len() as u64
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use nephrite_cpu::Level;
    use nephrite_engine::Provider;
    use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
    use nephrite_root::Root;
    use nephrite_types::{Affine, CancelToken, Geometry, Precision, SegmentationOptions, Shape3, Spacing};

    use super::*;
    use crate::model::{CpuSettings, ModelBudget, ModelChoice, Models, RuntimeSettings};

    const GIB: u64 = 1 << 30;

    fn models(provider: Provider, n_threads: usize, cpu: CpuSettings) -> Models {
        models_in(None, provider, n_threads, cpu)
    }

    fn models_in(
        precision: Option<Precision>,
        provider: Provider,
        n_threads: usize,
        cpu: CpuSettings,
    ) -> Models {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/models");
        let settings = RuntimeSettings {
            n_threads,
            cpu,
            precision,
            ..RuntimeSettings::new(provider, None, None, None)
        };
        let root = Arc::new(Root::beneath(&golden).unwrap());
        Models::new(root, Limits::default(), settings, ModelBudget::default())
    }

    /// Two folds of a small network.
    fn choice() -> ModelChoice {
        ModelChoice {
            folder: "Dataset901_Iso/nnUNetTrainer__nnUNetPlans__3d_fullres".into(),
            folds: FoldSelection::List(["0", "1"].map(|fold| fold.parse().unwrap()).to_vec()),
            checkpoint: CheckpointKind::Final,
            precision: None,
        }
    }

    fn described(models: &Models) -> ModelDescription {
        let opened = models.open(&choice(), &CancelToken::new()).unwrap();
        opened.description.clone()
    }

    #[test]
    fn what_a_model_is_said_to_keep_is_what_it_keeps_with_the_settings_in_force() {
        let with = |instructions| CpuSettings {
            instructions,
            pin_threads: false,
        };
        let mut settings = vec![
            (Precision::F32, with(None)),
            (Precision::F32, with(Some(Level::Portable))),
        ];
        if nephrite_cpu::check(with(None).options(nephrite_cpu::Precision::Bf16)).is_ok() {
            settings.push((Precision::Bf16, with(None)));
        }
        let (mut of_all, mut reads) = (Vec::new(), Vec::new());
        for (precision, cpu) in settings {
            for n_threads in [1, 3] {
                let models = models_in(Some(precision), Provider::Cpu, n_threads, cpu);
                let description = described(&models);
                let [resident, idle] =
                    [description.resident_bytes, description.idle_bytes].map(Option::unwrap);
                let opened = models.open(&choice(), &CancelToken::new()).unwrap();
                let (loaded, _) = models
                    .load(&opened, precision, None, &CancelToken::new())
                    .unwrap();
                assert_eq!(idle, loaded.idle_bytes(), "{cpu:?}, {n_threads} threads");
                assert!(idle < resident, "{cpu:?}, {n_threads} threads");
                // two folds, and the largest tensor as it is read
                reads.push(description.building_bytes.unwrap().checked_sub(idle / 2).unwrap());
                of_all.push(resident);
            }
        }
        assert!(
            reads[0] > 0 && reads.iter().all(|read| *read == reads[0]),
            "{reads:?}"
        );
        assert!(
            of_all[0] < of_all[1],
            "each thread has working memory: {of_all:?}"
        );
        if Level::best() != Level::Portable {
            assert_ne!(of_all[0], of_all[2], "channels are padded to whole vectors");
        }
    }

    #[test]
    fn openvino_is_counted_as_onnx_runtime_and_a_card_by_what_lies_there() {
        let with = |provider, n_threads| described(&models(provider, n_threads, CpuSettings::default()));
        let session = with(Provider::OpenVino, 1);
        assert_eq!(
            session,
            with(Provider::OpenVino, 3),
            "threads have nothing of their own"
        );
        let on_card = with(Provider::Cuda, 1);
        let bytes = on_card.on_card.unwrap();
        assert!(
            bytes.weights >= 2 * 2 * session.n_parameters.unwrap(),
            "two folds in half precision"
        );
        assert!(bytes.arena > 0 && session.on_card.is_none());
        assert!(
            on_card.resident_bytes.unwrap() < 64 << 20,
            "the host keeps next to nothing"
        );
        let kernels = with(Provider::Cpu, 1);
        assert_ne!(session.resident_bytes, kernels.resident_bytes);
        assert_ne!(session.building_bytes, kernels.building_bytes);
        let weights = 4 * session.n_parameters.unwrap();
        assert!(session.building_bytes.unwrap() > 2 * weights);
        assert_eq!(
            session.idle_bytes, session.resident_bytes,
            "a session gives nothing back"
        );
    }

    /// Two folds that keep half of `idle` each; one of them holds `building` while it is made.
    fn model(idle: u64, building: u64) -> ModelDescription {
        ModelDescription {
            resident_bytes: Some(idle),
            idle_bytes: Some(idle),
            building_bytes: Some(building),
            ..described(&models(Provider::Cpu, 1, CpuSettings::default()))
        }
    }

    fn peak(model: &ModelDescription, previous: Option<&ModelDescription>, scan_stays: bool) -> u64 {
        let spacing = Spacing::new([1.0; 3]).unwrap();
        let grid = Geometry {
            shape: Shape3::new([20, 20, 20]).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        };
        let on_scan = ModelOnScan {
            model,
            previous,
            grid: &grid,
            scan_bytes: 5,
            scan_stays,
            options: SegmentationOptions::default(),
            probabilities: false,
        };
        on_scan.peak_bytes(1, &Limits::default()).unwrap()
    }

    #[test]
    fn the_last_fold_is_made_beside_the_others() {
        let large = model(20 * GIB, 17 * GIB);
        assert_eq!(loading_bytes(&large), 27 * GIB);
        assert_eq!(peak(&large, None, false), 27 * GIB);
        assert_eq!(peak(&large, None, true), 27 * GIB + 5);
        let first = model(4 * GIB, 11 * GIB);
        assert_eq!(
            peak(&large, Some(&first), false),
            33 * GIB,
            "24 are kept, 9 are not"
        );
        // What is made in less than it keeps takes no more than that.
        let small = model(20 * GIB, 10 * GIB);
        assert_eq!(loading_bytes(&small), 20 * GIB);
        let run = peak(&small, None, false);
        assert!((20 * GIB + 1..21 * GIB).contains(&run), "{run}");
    }

    #[test]
    fn what_runs_need_is_counted_while_they_last() {
        let runs = |idle, running| ModelDescription {
            resident_bytes: Some(idle + running),
            ..model(idle, idle / 2)
        };
        let assert_about = |bytes, expected| {
            assert!((expected..expected + (16 << 20)).contains(&bytes), "{bytes}");
        };
        assert_about(peak(&runs(2 * GIB, 0), None, false), 2 * GIB);
        assert_about(peak(&runs(2 * GIB, 3 * GIB), None, false), 5 * GIB);
        // The first stage of a cascade rests when the second begins.
        let first = runs(GIB, 3 * GIB);
        assert_about(peak(&runs(2 * GIB, 0), Some(&first), false), 6 * GIB);
        assert_about(peak(&runs(2 * GIB, 4 * GIB), Some(&first), false), 7 * GIB);
    }

    #[test]
    fn an_exported_network_is_a_guess() {
        let exported = ModelDescription {
            resident_bytes: None,
            idle_bytes: None,
            building_bytes: None,
            ..model(0, 0)
        };
        assert_eq!(loading_bytes(&exported), 2 * UNKNOWN_NETWORK);
    }
}
