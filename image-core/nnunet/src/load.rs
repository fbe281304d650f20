//! From a model folder to a resident model.

use std::error::Error;
use std::io::Read;
use std::sync::Arc;

use nephrite_cpu::{CpuOptions, Network, Threads};
use nephrite_cuda::{Card, NetworkBytes};
use nephrite_engine::{EngineError, EngineThread, TileShape};
use nephrite_nnunet_folder::{
    Checkpoint, CheckpointKind, Configuration, FoldName, FoldSelection, Heads, ModelFolder, Resampling,
};
use nephrite_nnunet_network::{
    Architecture, NetworkError, OnnxExpectation, OnnxNetwork, WeightSource, build_cpu, build_cuda,
    build_onnx, check_onnx, multiply_adds,
};
use nephrite_types::{CancelToken, Limits, SegmentationOptions};
use serde::Serialize;

use crate::export::LabelRule;
use crate::half_check::{HalfCheck, HalfFault, Otherwise, check_half};
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

    /// What runs the networks that nephrite builds.
    ///
    /// # Errors
    /// [`EngineError`] if there are no threads for it, or no card.
    fn kernels(&self) -> Result<Kernels, EngineError> {
        Ok(Kernels::OnnxRuntime)
    }
}

/// What runs the networks that nephrite builds.
#[derive(Debug, Clone)]
pub enum Kernels {
    /// Our own kernels on the CPU.
    Cpu(CpuKernels),
    /// Our own kernels on an NVIDIA card.
    Cuda(CudaKernels),
    /// ONNX Runtime, to which they come as ONNX models.
    OnnxRuntime,
}

/// A network as an engine takes it.
#[derive(Debug)]
pub enum EngineNetwork {
    /// A serialized ONNX model, checked.
    Onnx(Vec<u8>),
    /// For our own kernels on the CPU.
    Cpu(Network),
    /// On an NVIDIA card already.
    Cuda(Arc<nephrite_cuda::Network>),
}

/// How our own kernels run on the CPU.
#[derive(Debug, Clone)]
pub struct CpuKernels {
    /// Instructions and precision.
    pub options: CpuOptions,
    /// Shared by all networks.
    pub threads: Threads,
}

/// How our own kernels run on an NVIDIA card.
#[derive(Debug, Clone)]
pub struct CudaKernels {
    /// Where the networks go.
    pub card: Arc<Card>,
    /// In what they compute.
    pub precision: nephrite_cuda::Precision,
    /// What networks in half precision must show; nothing if `None`.
    pub half_check: Option<HalfCheck>,
}

impl From<&Kernels> for NetworkRuntime {
    fn from(kernels: &Kernels) -> Self {
        match kernels {
            Kernels::Cpu(kernels) => NetworkRuntime::Kernels {
                options: kernels.options,
                n_threads: kernels.threads.len(),
            },
            Kernels::Cuda(kernels) => NetworkRuntime::Cuda {
                precision: kernels.precision,
            },
            Kernels::OnnxRuntime => NetworkRuntime::OnnxRuntime,
        }
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

/// Why the check of a fold failed.
enum FoldFault {
    Network(NetworkError),
    Half(HalfFault),
}

/// Compares a network in half precision with the same in f32, which is dropped then.
fn check_fold(
    architecture: &Architecture,
    checkpoint: &mut Checkpoint,
    built: &Built,
    kernels: &CudaKernels,
    rule: &LabelRule,
    cancel: &CancelToken,
) -> Result<(), FoldFault> {
    let (Some(check), EngineNetwork::Cuda(half)) = (&kernels.half_check, &built.network) else {
        return Ok(());
    };
    if half.precision() != nephrite_cuda::Precision::Half {
        return Ok(());
    }
    let single = nephrite_cuda::Precision::Single;
    let mut weights = CheckpointWeights(checkpoint);
    let single = build_cuda(architecture, &mut weights, &kernels.card, single, cancel);
    check_half(half, &single.map_err(FoldFault::Network)?, rule, check).map_err(FoldFault::Half)
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
        kernels: &Kernels,
        cancel: &CancelToken,
    ) -> Result<Self, NetworkError> {
        let mut weights = CheckpointWeights(checkpoint);
        let runtime = NetworkRuntime::from(kernels);
        match kernels {
            Kernels::OnnxRuntime => build_onnx(architecture, &mut weights).map(Built::from),
            Kernels::Cpu(CpuKernels { options, threads }) => {
                let built = build_cpu(architecture, &mut weights, *options, threads, cancel)?;
                Ok(Built {
                    network: EngineNetwork::Cpu(built.network),
                    n_parameters: built.n_parameters,
                    idle_bytes: runtime.idle_bytes(&built.memory),
                })
            }
            Kernels::Cuda(CudaKernels { card, precision, .. }) => {
                let network = build_cuda(architecture, &mut weights, card, *precision, cancel)?;
                Ok(Built {
                    network: EngineNetwork::Cuda(Arc::new(network)),
                    n_parameters: architecture.n_parameters(),
                    idle_bytes: runtime.idle_bytes(&runtime.memory(architecture)?),
                })
            }
        }
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
    /// What the networks of all chosen folds take on an NVIDIA card at most, in bytes: weights as long as they are loaded, and values between
    /// layers while one runs. `None` if they are not on one, or not built in.
    #[serde(skip)]
    pub on_card: Option<NetworkBytes>,
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
    let on_card = architecture.and_then(|architecture| runtime.on_card(architecture).ok().flatten());
    let on_card = on_card.map(|of_fold| NetworkBytes {
        weights: of_fold.weights.saturating_mul(n_folds),
        ..of_fold
    });
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
        on_card,
        resident_bytes,
        idle_bytes,
        building_bytes,
        expected_memory_bytes: resident_bytes.map(|bytes| bytes.saturating_add(sums)),
    })
}
