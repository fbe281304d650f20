//! From a model folder to a resident model.

use std::error::Error;
use std::io::Read;

use nephrite_cpu::{CpuOptions, Network, Threads};
use nephrite_engine::{EngineError, EngineThread, TileShape};
use nephrite_nnunet_folder::{
    Checkpoint, CheckpointKind, Configuration, FoldName, FoldSelection, Heads, ModelFolder, Resampling,
};
use nephrite_nnunet_network::{
    Architecture, NetworkError, OnnxExpectation, OnnxNetwork, WeightSource, build_cpu, build_onnx,
    check_onnx, multiply_adds,
};
use nephrite_types::{CancelToken, Limits, SegmentationOptions};
use serde::Serialize;

use crate::export::LabelRule;
use crate::recipe::Recipe;
use crate::tiles::TileGrid;
use crate::{Model, ModelParts, NetworkRuntime, NnunetError};

/// Makes engines of networks. The one place where this crate meets a runtime.
pub trait EngineFactory {
    /// An engine for a network, on a thread of its own; warm when it returns. `name` is for threads and logs; `cancel`
    /// stops the building, the engine itself runs on.
    ///
    /// # Errors
    /// [`EngineError`] if the runtime refuses the model or is not there.
    fn build(
        &self,
        name: &str,
        network: EngineNetwork,
        shape: TileShape,
        cancel: &CancelToken,
    ) -> Result<EngineThread, EngineError>;

    /// Our own kernels, if they run the networks that nephrite builds; otherwise those come as ONNX models.
    ///
    /// # Errors
    /// [`EngineError`] if there are no threads for them.
    fn cpu_kernels(&self) -> Result<Option<CpuKernels>, EngineError> {
        Ok(None)
    }
}

/// A network as an engine takes it.
#[derive(Debug)]
pub enum EngineNetwork {
    /// A serialized ONNX model, checked.
    Onnx(Vec<u8>),
    /// For our own kernels.
    Cpu(Network),
}

/// How our own kernels run.
#[derive(Debug, Clone)]
pub struct CpuKernels {
    /// Instructions and precision.
    pub options: CpuOptions,
    /// Shared by all networks.
    pub threads: Threads,
}

impl From<Option<&CpuKernels>> for NetworkRuntime {
    fn from(kernels: Option<&CpuKernels>) -> Self {
        kernels.map_or(NetworkRuntime::OnnxRuntime, |kernels| NetworkRuntime::Kernels {
            options: kernels.options,
            n_threads: kernels.threads.len(),
        })
    }
}

/// What of a model folder is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOptions {
    /// Which folds; their logits are averaged.
    pub folds: FoldSelection,
    /// Which checkpoint of every fold.
    pub checkpoint: CheckpointKind,
}

/// The checkpoints of the chosen folds, open; pickles are read, weights are not.
struct OpenModel {
    name: String,
    folds: Vec<(FoldName, Checkpoint)>,
    configuration: Configuration,
    parts: ModelParts,
    /// `None` if nephrite cannot build the network; why, if so.
    architecture: Result<Architecture, NetworkError>,
}

impl OpenModel {
    fn open(
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
        let kernels = factory.cpu_kernels().map_err(in_engine)?;
        if let Ok(architecture) = &open.architecture {
            let in_network = |source| NnunetError::Network {
                model: open.name.clone(),
                source,
            };
            let runtime = NetworkRuntime::from(kernels.as_ref());
            let memory = runtime.memory(architecture).map_err(in_network)?;
            check_network_memory(&open.name, memory.total(), limits)?;
        }
        let shape = TileShape {
            n_channels: open.parts.recipe.n_input_channels(),
            n_classes: open.parts.n_classes,
            patch: open.parts.patch.clone(),
        };
        let mut engines = Vec::new();
        let (mut weight_bytes_read, mut idle_bytes) = (0, 0u64);
        for (fold, mut checkpoint) in std::mem::take(&mut open.folds) {
            let fold_name = fold.directory();
            let network = match &open.architecture {
                Ok(architecture) => {
                    let built = Built::new(architecture, &mut checkpoint, kernels.as_ref(), cancel);
                    built.map_err(|source| {
                        cancel.check().err().map_or_else(
                            || NnunetError::Network {
                                model: format!("{}/{fold_name}", open.name),
                                source,
                            },
                            NnunetError::Cancelled,
                        )
                    })?
                }
                Err(unknown) => {
                    let network = exported_network(folder, fold, &shape, limits, unknown)?;
                    check_network_memory(&open.name, network.memory.total(), limits)?;
                    weight_bytes_read += network.bytes.len() as u64;
                    Built::from(network)
                }
            };
            weight_bytes_read += checkpoint.bytes_read();
            idle_bytes = idle_bytes.saturating_add(network.idle_bytes);
            tracing::debug!(
                model = open.name,
                fold = fold_name,
                parameters = network.n_parameters,
                "network built"
            );
            let engine = factory
                .build(
                    &format!("{}-{fold_name}", open.configuration.name),
                    network.network,
                    shape.clone(),
                    cancel,
                )
                .map_err(|source| match source {
                    EngineError::Cancelled(cancelled) => NnunetError::Cancelled(cancelled),
                    source => NnunetError::Engine {
                        model: open.name.clone(),
                        source,
                    },
                })?;
            engines.push((fold_name, engine));
        }
        Ok(Model::from_parts(open.parts, engines)?.with_costs(weight_bytes_read, idle_bytes))
    }
}

/// A network with its weights, and what is known of it.
struct Built {
    network: EngineNetwork,
    n_parameters: u64,
    /// What its engine keeps between predictions.
    idle_bytes: u64,
}

impl Built {
    fn new(
        architecture: &Architecture,
        checkpoint: &mut Checkpoint,
        kernels: Option<&CpuKernels>,
        cancel: &CancelToken,
    ) -> Result<Self, NetworkError> {
        let mut weights = CheckpointWeights(checkpoint);
        let Some(CpuKernels { options, threads }) = kernels else {
            return build_onnx(architecture, &mut weights).map(Built::from);
        };
        let built = build_cpu(architecture, &mut weights, *options, threads, cancel)?;
        Ok(Built {
            network: EngineNetwork::Cpu(built.network),
            n_parameters: built.n_parameters,
            idle_bytes: NetworkRuntime::from(kernels).idle_bytes(&built.memory),
        })
    }
}

impl From<OnnxNetwork> for Built {
    fn from(network: OnnxNetwork) -> Self {
        Built {
            n_parameters: network.n_parameters,
            idle_bytes: NetworkRuntime::OnnxRuntime.idle_bytes(&network.memory),
            network: EngineNetwork::Onnx(network.bytes),
        }
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

/// `network.onnx` of a fold, checked; `unknown` says why it is needed.
fn exported_network(
    folder: &ModelFolder,
    fold: FoldName,
    shape: &TileShape,
    limits: &Limits,
    unknown: &NetworkError,
) -> Result<OnnxNetwork, NnunetError> {
    let Some((file, name)) = folder.open_onnx(fold)? else {
        return Err(not_supported(folder.name(), fold, unknown));
    };
    let unreadable = |cause| nephrite_nnunet_folder::FolderError::Io {
        file: name.clone(),
        cause,
    };
    let mut bytes = Vec::new();
    // one byte more than allowed, so that `check_onnx` sees that it is too much
    file.into_std()
        .take(limits.max_checkpoint_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let expected = OnnxExpectation {
        n_channels: shape.n_channels,
        n_classes: shape.n_classes,
        patch: &shape.patch,
        max_bytes: limits.max_checkpoint_bytes,
        max_memory_bytes: limits.max_network_bytes,
    };
    check_onnx(bytes, &expected).map_err(|source| NnunetError::Network { model: name, source })
}

fn not_supported(model: &str, fold: FoldName, error: &NetworkError) -> NnunetError {
    NnunetError::NetworkNotSupported {
        model: model.to_owned(),
        reason: error.to_string(),
        fold: fold.directory(),
    }
}

/// A checkpoint as the network builder sees it.
struct CheckpointWeights<'a>(&'a mut Checkpoint);

impl WeightSource for CheckpointWeights<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.tensor_info(name).map(|info| info.shape)
    }

    fn read_f32(&mut self, name: &str) -> Result<Vec<f32>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.read_tensor_f32(name)?.1)
    }

    fn names(&self) -> Vec<String> {
        self.0.tensor_names().map(str::to_owned).collect()
    }
}

/// What a model folder is, for people. Spacings in mm and sizes are in network axis order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelDescription {
    /// Path of the folder.
    pub folder: String,
    /// From the plans.
    pub dataset: Option<String>,
    /// From the plans.
    pub plans: Option<String>,
    /// From the first chosen checkpoint.
    pub configuration: String,
    /// From the first chosen checkpoint.
    pub trainer: Option<String>,
    /// nnU-Net's reader class.
    pub reader: String,
    /// Image channels in order.
    pub channels: Vec<ChannelDescription>,
    /// Values of the mask and what they are called.
    pub labels: Vec<LabelDescription>,
    /// True if labels are overlapping regions.
    pub regions: bool,
    /// Output channels.
    pub n_classes: usize,
    /// Axis order of the network.
    pub transpose_forward: [usize; 3],
    /// Grid of the network.
    pub spacing_mm: Vec<f64>,
    /// Input size of the network.
    pub patch_size: Vec<usize>,
    /// Class name.
    pub network: String,
    /// False if an exported `network.onnx` is needed.
    pub network_is_built_in: bool,
    /// Weights of one fold; `None` if the network is not built in.
    pub n_parameters: Option<u64>,
    /// The chosen folds.
    pub folds: Vec<String>,
    /// All folds of the folder with their checkpoints.
    pub available_folds: Vec<FoldDescription>,
    /// Axes that are mirrored at test time.
    pub mirroring_axes: Vec<usize>,
    /// Cascade: configuration of the previous stage.
    pub previous_stage: Option<String>,
    /// What the engines of all chosen folds hold while they run, in bytes, with the runtime that was asked about: weights as they
    /// are computed with, values between layers, and working memory. `None` if the network is not built in.
    pub resident_bytes: Option<u64>,
    /// What they keep of that between predictions. `None` if the network is not built in.
    pub idle_bytes: Option<u64>,
    /// What making the engine of one fold holds at its peak, in bytes, with the runtime that was asked about; no less than what
    /// it keeps between predictions. `None` if the network is not built in.
    #[serde(skip)]
    pub building_bytes: Option<u64>,
    /// [`ModelDescription::resident_bytes`], and class sums of one patch depth on a plane of 512 × 512. `None` if the
    /// network is not built in.
    pub expected_memory_bytes: Option<u64>,
    /// Multiply-accumulates of one run of the network of one fold on one patch. `None` if the network is not built in.
    pub multiply_adds_per_tile: Option<u64>,
    /// What happens before and after the network.
    #[serde(skip)]
    pub recipe: Recipe,
}

impl ModelDescription {
    /// Runs of the network for a scan: tiles, each with every chosen fold and mirroring. `shape` and `spacing` are those of
    /// the scan, or of the part of it that is not all zero, `[z, y, x]` of the reader.
    ///
    /// `None` if the network's grid would have no voxels.
    ///
    /// # Errors
    /// As [`TileGrid::count`].
    pub fn network_runs(
        &self,
        shape: [usize; 3],
        spacing: [f64; 3],
        options: &SegmentationOptions,
        limits: &Limits,
    ) -> Result<Option<NetworkRuns>, NnunetError> {
        let (shape, spacing) = (
            self.transpose_forward.map(|axis| shape[axis]),
            self.transpose_forward.map(|axis| spacing[axis]),
        );
        let Some(grid) = self.recipe.network_shape(shape, spacing) else {
            return Ok(None);
        };
        let tiles = TileGrid::count(grid, &self.patch_size, options.tile_step_size, limits)?;
        let n_axes = if options.mirroring {
            self.mirroring_axes.len()
        } else {
            0
        };
        let n_flips = 1u64 << n_axes.min(3);
        Ok(Some(NetworkRuns {
            grid,
            tiles,
            runs: tiles
                .saturating_mul(n_flips)
                .saturating_mul(self.folds.len() as u64),
        }))
    }
}

/// The plane of the network's grid that [`ModelDescription::expected_memory_bytes`] holds for.
const DESCRIBED_PLANE: [usize; 2] = [512, 512];

/// Bytes of the class sums and weights of one patch depth, all f32.
fn class_sums(patch: &[usize], plane: [usize; 2], n_classes: usize) -> u64 {
    let depth = if patch.len() == 2 { 1 } else { patch[0] as u64 };
    let n_plane = (plane[0] as u64).saturating_mul(plane[1] as u64);
    let values = depth.saturating_mul(n_plane).saturating_mul(n_classes as u64 + 1);
    values.saturating_mul(4)
}

/// What a scan means for a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkRuns {
    /// Shape of the network's grid, axis order of the network.
    pub grid: [usize; 3],
    /// Places where a patch lies.
    pub tiles: u64,
    /// Runs of the network: tiles times folds times mirrorings.
    pub runs: u64,
}

/// One image channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChannelDescription {
    /// As in `dataset.json`.
    pub name: String,
    /// nnU-Net's scheme.
    pub normalization: String,
}

/// One value of the mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelDescription {
    /// As in `dataset.json`.
    pub name: String,
    /// Value in the mask.
    pub id: u16,
}

/// One fold folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoldDescription {
    /// `fold_0`, `fold_all`.
    pub name: String,
    /// `checkpoint_final.pth` …
    pub checkpoints: Vec<String>,
    /// An exported network lies beside them.
    pub has_onnx: bool,
}

/// Describes a model folder. Reads the JSON files and the pickles of the chosen checkpoints, no weights; `cancel` stops it.
///
/// What networks take is said for `runtime`; [`NetworkRuntime::default`] is for those who have no settings.
///
/// # Errors
/// As [`Model::load`], as far as it can be known without weights.
pub fn describe(
    folder: &ModelFolder,
    options: &ModelOptions,
    runtime: NetworkRuntime,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<ModelDescription, NnunetError> {
    let open = OpenModel::open(folder, options, limits, cancel)?;
    let (plans, dataset) = (folder.plans(), folder.dataset());
    let configuration = &open.configuration;
    let architecture = match &open.architecture {
        Ok(architecture) => Some(architecture),
        Err(NetworkError::UnknownNetwork { .. }) => None,
        Err(error) => return Err(not_supported(&open.name, open.folds[0].0, error)),
    };
    let of_fold =
        architecture.and_then(|architecture| Some((architecture, runtime.memory(architecture).ok()?)));
    let n_folds = open.folds.len() as u64;
    // every fold has weights and activations of its own
    let resident_bytes = of_fold.map(|(_, kept)| kept.total().saturating_mul(n_folds));
    let idle_bytes = of_fold.map(|(_, kept)| runtime.idle_bytes(&kept).saturating_mul(n_folds));
    let reads = open
        .folds
        .iter()
        .map(|(_, checkpoint)| checkpoint.largest_read_bytes());
    let largest_read = reads.max().unwrap_or(0);
    let building_bytes =
        of_fold.map(|(architecture, kept)| runtime.building_bytes(architecture, &kept, largest_read));
    let sums = class_sums(&configuration.patch_size, DESCRIBED_PLANE, open.parts.n_classes);
    let available_folds = folder.folds()?;
    Ok(ModelDescription {
        folder: open.name.clone(),
        dataset: plans.dataset_name.clone(),
        plans: plans.plans_name.clone(),
        configuration: configuration.name.clone(),
        trainer: open.folds[0].1.trainer_name().map(str::to_owned),
        reader: plans.image_reader_writer.clone(),
        channels: open
            .parts
            .recipe
            .channels
            .iter()
            .map(|channel| ChannelDescription {
                name: channel.name.clone(),
                normalization: channel.normalization.scheme_name().to_owned(),
            })
            .collect(),
        labels: dataset
            .labels
            .value_names()
            .into_iter()
            .map(|(id, name)| LabelDescription {
                name: name.to_owned(),
                id,
            })
            .collect(),
        regions: dataset.labels.has_regions(),
        n_classes: open.parts.n_classes,
        transpose_forward: plans.transpose_forward,
        spacing_mm: configuration.spacing.clone(),
        patch_size: configuration.patch_size.clone(),
        network: configuration.architecture.class_name.clone(),
        network_is_built_in: architecture.is_some(),
        n_parameters: architecture.map(Architecture::n_parameters),
        folds: open.folds.iter().map(|(fold, _)| fold.directory()).collect(),
        available_folds: available_folds
            .iter()
            .map(|fold| FoldDescription {
                name: fold.name.directory(),
                checkpoints: fold
                    .checkpoints
                    .iter()
                    .map(|c| c.file_name().to_owned())
                    .collect(),
                has_onnx: fold.has_onnx,
            })
            .collect(),
        mirroring_axes: open.parts.mirroring_axes.clone(),
        previous_stage: configuration.previous_stage.clone(),
        multiply_adds_per_tile: architecture.map(multiply_adds),
        recipe: open.parts.recipe.clone(),
        resident_bytes,
        idle_bytes,
        building_bytes,
        expected_memory_bytes: resident_bytes.map(|bytes| bytes.saturating_add(sums)),
    })
}
