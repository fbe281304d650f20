//! From a model folder to a resident model.

use nephrite_engine::{EngineError, TileShape};
use nephrite_nnunet_folder::ModelFolder;
use nephrite_nnunet_network::NetworkError;
use nephrite_types::{CancelToken, Limits};

use crate::built::{Built, FoldFault, check_fold, exported_network};
use crate::half_check::{HalfFault, Otherwise};
use crate::kernels::{EngineFactory, EngineNetwork, Kernels};
use crate::open_model::{ModelOptions, OpenModel};
use crate::{Model, NetworkRuntime, NnunetError};

impl Model {
    /// Reads the weights of every chosen fold and makes an engine of each; weights stay resident.
    ///
    /// A network that nephrite cannot build is taken from `network.onnx` in the fold's folder, after a check. `cancel` stops the
    /// reading of weights, the building of graphs and the first run of each engine.
    ///
    /// # Errors
    /// [`NnunetError`] naming the file and what is wrong with it.
    pub fn load(
        folder: &ModelFolder,
        options: &ModelOptions,
        limits: &Limits,
        factory: &dyn EngineFactory,
        cancel: &CancelToken,
    ) -> Result<Model, NnunetError> {
        let mut open = OpenModel::open(folder, options, limits, cancel)?;
        let in_engine = |source| NnunetError::Engine {
            model: open.name.clone(),
            source,
        };
        let mut kernels = factory.kernels().map_err(in_engine)?;
        if let Ok(architecture) = &open.architecture {
            let in_network = |source| NnunetError::Network {
                model: open.name.clone(),
                source,
            };
            let runtime = NetworkRuntime::from(&kernels);
            let memory = runtime.memory(architecture).map_err(in_network)?;
            let on_card = runtime.on_card(architecture).map_err(in_network)?;
            let on_card = on_card.map_or(0, |bytes| bytes.weights.saturating_add(bytes.arena));
            check_network_memory(&open.name, memory.total().max(on_card), limits)?;
        }
        let mut loading = Loading {
            folder,
            limits,
            cancel,
            shape: TileShape {
                n_channels: open.parts.recipe.n_input_channels(),
                n_classes: open.parts.n_classes,
                patch: open.parts.patch.clone(),
            },
            open: &mut open,
            weight_bytes_read: 0,
        };
        let built = match loading.all_folds(&kernels) {
            Err(NnunetError::HalfDiffers { fold, found, .. }) if may_run_in_single(&mut kernels) => {
                tracing::warn!(
                    model = loading.open.name,
                    fold,
                    agreement = found,
                    "half precision does not agree with f32: the model runs in f32"
                );
                loading.all_folds(&kernels)
            }
            built => built,
        }?;
        let (shape, weight_bytes_read) = (loading.shape, loading.weight_bytes_read);
        let idle_bytes = built
            .iter()
            .fold(0u64, |sum, (_, built)| sum.saturating_add(built.idle_bytes));
        let mut engines = Vec::new();
        let mut on_card = Vec::new();
        for (fold_name, built) in built {
            if let EngineNetwork::Cuda(network) = &built.network {
                on_card.push(network.clone());
            }
            let name = format!("{}-{fold_name}", open.configuration.name);
            let engine = factory.build(&name, built.network, shape.clone(), cancel);
            let engine = engine.map_err(|source| match source {
                EngineError::Cancelled(cancelled) => NnunetError::Cancelled(cancelled),
                source => NnunetError::Engine {
                    model: open.name.clone(),
                    source,
                },
            })?;
            engines.push((fold_name, engine));
        }
        let model = Model::from_parts(open.parts, engines)?.with_costs(weight_bytes_read, idle_bytes);
        Ok(match on_card.is_empty() {
            true => model,
            false => model.with_networks_on_card(on_card),
        })
    }
}

/// Asks for f32 if half precision was asked for, and may be left.
fn may_run_in_single(kernels: &mut Kernels) -> bool {
    match kernels {
        Kernels::Cuda(kernels)
            if kernels
                .half_check
                .is_some_and(|check| check.otherwise == Otherwise::Single) =>
        {
            kernels.precision = nephrite_cuda::Precision::Single;
            kernels.half_check = None;
            true
        }
        _ => false,
    }
}

/// The networks of a model on their way into memory.
struct Loading<'a> {
    folder: &'a ModelFolder,
    limits: &'a Limits,
    cancel: &'a CancelToken,
    shape: TileShape,
    open: &'a mut OpenModel,
    weight_bytes_read: u64,
}

impl Loading<'_> {
    /// The network of each fold, with the fold's name.
    fn all_folds(&mut self, kernels: &Kernels) -> Result<Vec<(String, Built)>, NnunetError> {
        let n_folds = self.open.folds.len();
        (0..n_folds).map(|fold| self.fold(fold, kernels)).collect()
    }

    fn fold(&mut self, at: usize, kernels: &Kernels) -> Result<(String, Built), NnunetError> {
        let OpenModel {
            name,
            folds,
            parts,
            architecture,
            ..
        } = &mut *self.open;
        let (fold, checkpoint) = &mut folds[at];
        let fold_name = fold.directory();
        let before = checkpoint.bytes_read();
        let network = match architecture {
            Ok(architecture) => {
                let built = Built::new(architecture, checkpoint, kernels, self.cancel);
                let built = built.map_err(|source| network_error(name, &fold_name, source, self.cancel))?;
                if let Kernels::Cuda(kernels) = kernels {
                    let rule = &parts.label_rule;
                    let checked = check_fold(architecture, checkpoint, &built, kernels, rule, self.cancel);
                    checked.map_err(|fault| half_error(name, &fold_name, fault, self.cancel))?;
                }
                built
            }
            Err(unknown) => {
                let network = exported_network(self.folder, *fold, &self.shape, self.limits, unknown)?;
                check_network_memory(name, network.memory.total(), self.limits)?;
                self.weight_bytes_read += network.bytes.len() as u64;
                Built::from(network)
            }
        };
        self.weight_bytes_read += checkpoint.bytes_read() - before;
        tracing::debug!(
            model = name,
            fold = fold_name,
            parameters = network.n_parameters,
            "network built"
        );
        Ok((fold_name, network))
    }
}

fn network_error(model: &str, fold: &str, source: NetworkError, cancel: &CancelToken) -> NnunetError {
    let of_network = || NnunetError::Network {
        model: format!("{model}/{fold}"),
        source,
    };
    cancel
        .check()
        .err()
        .map_or_else(of_network, NnunetError::Cancelled)
}

fn half_error(model: &str, fold: &str, fault: FoldFault, cancel: &CancelToken) -> NnunetError {
    match fault {
        FoldFault::Network(source) => network_error(model, fold, source, cancel),
        FoldFault::Half(HalfFault::Cuda(source)) => network_error(model, fold, source.into(), cancel),
        FoldFault::Half(HalfFault::Differs { found, needed }) => NnunetError::HalfDiffers {
            model: model.to_owned(),
            fold: fold.to_owned(),
            found,
            needed,
        },
    }
}

/// Refuses a network that would take too much, before its weights are read and it is run once.
fn check_network_memory(model: &str, found: u64, limits: &Limits) -> Result<(), NnunetError> {
    let limit = limits.max_network_bytes;
    match found > limit {
        true => Err(NnunetError::NetworkTooLarge {
            model: model.to_owned(),
            found,
            limit,
        }),
        false => Ok(()),
    }
}
