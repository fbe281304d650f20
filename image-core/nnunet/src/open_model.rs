//! A model folder whose checkpoints are open.

use nephrite_nnunet_folder::{
    Checkpoint, CheckpointKind, Configuration, FoldName, FoldSelection, Heads, ModelFolder, Resampling,
};
use nephrite_nnunet_network::{Architecture, NetworkError};
use nephrite_types::{CancelToken, Limits};

use crate::export::LabelRule;
use crate::recipe::Recipe;
use crate::{ModelParts, NnunetError};

/// What of a model folder is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOptions {
    /// Which folds; their logits are averaged.
    pub folds: FoldSelection,
    /// Which checkpoint of every fold.
    pub checkpoint: CheckpointKind,
}

/// The checkpoints of the chosen folds, open; pickles are read, weights are not.
pub(crate) struct OpenModel {
    pub(crate) name: String,
    pub(crate) folds: Vec<(FoldName, Checkpoint)>,
    pub(crate) configuration: Configuration,
    pub(crate) parts: ModelParts,
    /// `None` if nephrite cannot build the network; why, if so.
    pub(crate) architecture: Result<Architecture, NetworkError>,
}

impl OpenModel {
    pub(crate) fn open(
        folder: &ModelFolder,
        options: &ModelOptions,
        limits: &Limits,
        cancel: &CancelToken,
    ) -> Result<Self, NnunetError> {
        let name = folder.name().to_owned();
        let mut folds = Vec::new();
        for fold in folder.select_folds(&options.folds, options.checkpoint)? {
            folds.push((fold, folder.open_checkpoint(fold, options.checkpoint, cancel)?));
        }
        // The first fold decides, as in nnU-Net.
        let (_, first) = &folds[0];
        let configuration = folder.configuration(first.configuration())?;
        if let Some((fold, odd)) = folds
            .iter()
            .find(|(_, c)| c.configuration() != first.configuration())
        {
            return Err(NnunetError::FoldsDiffer {
                model: name,
                fold: fold.directory(),
                expected: first.configuration().to_owned(),
                found: odd.configuration().to_owned(),
            });
        }
        check_orders(&name, &configuration)?;
        let labels = &folder.dataset().labels;
        let parts = ModelParts {
            name: name.clone(),
            recipe: Recipe::new(folder.plans(), &configuration, folder.dataset()),
            patch: configuration.patch_size.clone(),
            n_classes: labels.n_heads(),
            label_rule: match &labels.heads {
                Heads::Labels(_) => LabelRule::Argmax,
                Heads::Regions { class_order, .. } => LabelRule::Regions {
                    class_order: class_order.clone(),
                },
            },
            mirroring_axes: first.mirroring_axes().unwrap_or_default().to_vec(),
        };
        if parts.n_classes > limits.max_classes {
            return Err(NnunetError::OverLimit {
                what: "the network's output",
                unit: "classes",
                limit: limits.max_classes as u64,
                found: parts.n_classes as u64,
            });
        }
        let architecture = Architecture::parse(
            &configuration.architecture.class_name,
            &configuration.architecture.arch_kwargs,
            parts.recipe.n_input_channels(),
            parts.n_classes,
            &parts.patch,
        );
        Ok(OpenModel {
            name,
            folds,
            configuration,
            parts,
            architecture,
        })
    }
}

/// Logits are resampled while they stream by: splines of order 3 would need them whole.
fn check_orders(model: &str, configuration: &Configuration) -> Result<(), NnunetError> {
    if let Resampling::Spline(spline) = &configuration.resampling_probabilities {
        for order in [spline.order, spline.order_z] {
            if order > 1 {
                return Err(NnunetError::UnsupportedOrder {
                    model: model.to_owned(),
                    purpose: "resampling_fn_probabilities",
                    order: order.into(),
                });
            }
        }
    }
    Ok(())
}

/// A network that nephrite cannot build, and that nobody exported.
pub(crate) fn not_supported(model: &str, fold: FoldName, error: &NetworkError) -> NnunetError {
    NnunetError::NetworkNotSupported {
        model: model.to_owned(),
        reason: error.to_string(),
        fold: fold.directory(),
    }
}
