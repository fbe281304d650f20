//! What a model folder is, without its weights.

use nephrite_cuda::NetworkBytes;
use nephrite_nnunet_folder::ModelFolder;
use nephrite_nnunet_network::{Architecture, NetworkError, multiply_adds};
use nephrite_types::{CancelToken, Limits, SegmentationOptions};
use serde::Serialize;

use crate::open_model::{ModelOptions, OpenModel, not_supported};
use crate::recipe::Recipe;
use crate::tiles::TileGrid;
use crate::{NetworkRuntime, NnunetError};

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
/// As [`crate::Model::load`], as far as it can be known without weights.
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
