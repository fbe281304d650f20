//! A trained model in memory: its recipe and one engine per fold.

use std::sync::Arc;

use nephrite_cuda::{Network, Precision};
use nephrite_engine::{EngineError, EngineHandle, EngineThread, Provider};

use crate::NnunetError;
use crate::export::LabelRule;
use crate::recipe::Recipe;

/// A model that is ready to run. Folds keep their weights resident in engines of their own.
#[derive(Debug)]
pub struct Model {
    parts: ModelParts,
    /// Keeps the threads alive; in the order of the handles.
    folds: Vec<Fold>,
    /// The networks of the folds, if they are on an NVIDIA card.
    on_card: Vec<Arc<Network>>,
    weight_bytes_read: u64,
    idle_bytes: u64,
}

#[derive(Debug)]
struct Fold {
    name: String,
    handle: EngineHandle,
    _thread: EngineThread,
}

/// What a [`Model`] is made of, but for its engines.
#[derive(Debug, Clone)]
pub struct ModelParts {
    /// Path of the model folder, for messages.
    pub name: String,
    /// Pre- and post-network recipe.
    pub recipe: Recipe,
    /// Input size of the network, network axis order: 3 numbers, or 2 for a 2-D network.
    pub patch: Vec<usize>,
    /// Output channels.
    pub n_classes: usize,
    /// From logits to labels.
    pub label_rule: LabelRule,
    /// Spatial axes of the network that may be mirrored, from the checkpoint.
    pub mirroring_axes: Vec<usize>,
}

impl Model {
    /// A model of parts; `engines` are the folds in order, with their names (`fold_0`).
    ///
    /// # Errors
    /// [`NnunetError::MirroringAxes`]; [`NnunetError::Engine`] if an engine has other shapes than the parts say.
    ///
    /// # Panics
    /// If there is no engine.
    pub fn from_parts(
        mut parts: ModelParts,
        engines: Vec<(String, EngineThread)>,
    ) -> Result<Self, NnunetError> {
        assert!(!engines.is_empty(), "a model has at least one fold");
        let n_axes = parts.patch.len();
        if parts.mirroring_axes.iter().any(|axis| *axis >= n_axes) {
            let (model, axes) = (parts.name, parts.mirroring_axes);
            return Err(NnunetError::MirroringAxes { model, axes, n_axes });
        }
        // Inside, everything has three axes: a 2-D network's are the last two.
        parts
            .mirroring_axes
            .iter_mut()
            .for_each(|axis| *axis += 3 - n_axes);
        let folds: Vec<Fold> = engines
            .into_iter()
            .map(|(name, thread)| Fold {
                name,
                handle: thread.handle(),
                _thread: thread,
            })
            .collect();
        let model = Model {
            parts,
            folds,
            on_card: Vec::new(),
            weight_bytes_read: 0,
            idle_bytes: 0,
        };
        for fold in &model.folds {
            let shape = fold.handle.tile_shape();
            let expected = (
                model.recipe().n_input_channels(),
                model.n_classes(),
                model.patch(),
            );
            if (shape.n_channels, shape.n_classes, shape.patch.as_slice()) != expected {
                let expected = model.n_classes() * model.patch().iter().product::<usize>();
                let source = EngineError::WrongLength {
                    what: "the output tile",
                    expected,
                    found: shape.output_len(),
                };
                return Err(model.engine_error(source));
            }
        }
        Ok(model)
    }

    /// With what loading cost, and what the engines keep.
    pub(crate) fn with_costs(self, weight_bytes_read: u64, idle_bytes: u64) -> Self {
        Model {
            weight_bytes_read,
            idle_bytes,
            ..self
        }
    }

    /// With the networks of all folds on one card, in order: whole cases stay there.
    ///
    /// # Panics
    /// If there is not one for each fold, or they are on different cards or of different precisions.
    #[must_use]
    pub fn with_networks_on_card(self, networks: Vec<Arc<Network>>) -> Self {
        let together = |network: &Arc<Network>| {
            Arc::ptr_eq(network.card(), networks[0].card()) && network.precision() == networks[0].precision()
        };
        assert!(
            networks.len() == self.folds.len() && networks.iter().all(together),
            "one card"
        );
        Model {
            on_card: networks,
            ..self
        }
    }

    /// The networks of all folds, if they are on an NVIDIA card.
    pub(crate) fn on_card(&self) -> &[Arc<Network>] {
        &self.on_card
    }

    /// The card that the networks are on; `None` if they are on none.
    pub fn card(&self) -> Option<&Arc<nephrite_cuda::Card>> {
        self.on_card.first().map(|network| network.card())
    }

    /// In what the networks compute on a card; `None` if they are on none.
    pub fn card_precision(&self) -> Option<Precision> {
        self.on_card.first().map(|network| network.precision())
    }

    /// Bytes that the weights of all folds take on a card.
    pub fn card_bytes(&self) -> u64 {
        self.on_card.iter().map(|network| network.bytes().weights).sum()
    }

    /// Bytes that the engines of all folds keep in memory between predictions. The same number as
    /// [`crate::ModelDescription::idle_bytes`] for the same runtime; 0 for a model of parts.
    pub fn idle_bytes(&self) -> u64 {
        self.idle_bytes
    }

    /// Bytes read from weight files when the model was loaded; none are read afterward.
    pub fn weight_bytes_read(&self) -> u64 {
        self.weight_bytes_read
    }

    /// Path of the model folder.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// What happens before and after the network.
    pub fn recipe(&self) -> &Recipe {
        &self.parts.recipe
    }

    /// Input size of the network: 3 numbers, or 2 for a 2-D network.
    pub fn patch(&self) -> &[usize] {
        &self.parts.patch
    }

    /// Output channels of the network.
    pub fn n_classes(&self) -> usize {
        self.parts.n_classes
    }

    /// Number of folds.
    pub fn n_folds(&self) -> usize {
        self.folds.len()
    }

    /// What runs the network.
    pub fn provider(&self) -> &str {
        self.folds[0].handle.provider()
    }

    /// Whether there are cores that a running tile does not use.
    pub(crate) fn leaves_cores(&self) -> bool {
        ![Provider::Cpu, Provider::OpenVino]
            .map(Provider::name)
            .contains(&self.provider())
    }

    pub(crate) fn engine(&self, fold: usize) -> &EngineHandle {
        &self.folds[fold].handle
    }

    /// Nothing runs for now: the engines keep no more than [`Model::idle_bytes`].
    pub(crate) fn rest(&self) {
        self.folds.iter().for_each(|fold| fold.handle.rest());
    }

    pub(crate) fn fold_name(&self, fold: usize) -> String {
        self.folds[fold].name.clone()
    }

    pub(crate) fn fold_names(&self) -> String {
        self.folds
            .iter()
            .map(|fold| fold.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub(crate) fn label_rule(&self) -> &LabelRule {
        &self.parts.label_rule
    }

    pub(crate) fn has_regions(&self) -> bool {
        matches!(self.parts.label_rule, LabelRule::Regions { .. })
    }

    /// True if labels are stored as u16: the largest value decides, not how many there are. Labels without gaps are stored
    /// as nnU-Net does, which takes u16 from 255 foreground labels on.
    pub(crate) fn stores_wide_labels(&self) -> bool {
        self.parts.label_rule.largest_value(self.parts.n_classes) >= u8::MAX.into()
    }

    /// Array axes (0 to 2) to mirror.
    pub(crate) fn mirroring_axes(&self) -> &[usize] {
        &self.parts.mirroring_axes
    }

    /// nnU-Net's default resampling rounds logits to half precision again; the torch function gives f32.
    pub(crate) fn rounds_resampled_logits(&self) -> bool {
        !matches!(
            self.parts.recipe.probabilities_resampling,
            nephrite_nnunet_folder::Resampling::Torch(_)
        )
    }

    pub(crate) fn engine_error(&self, source: EngineError) -> NnunetError {
        NnunetError::Engine {
            model: self.parts.name.clone(),
            source,
        }
    }
}
