//! Why a model does not load, or a scan does not get a mask.

use nephrite_engine::EngineError;
use nephrite_nnunet_folder::FolderError;
use nephrite_nnunet_network::NetworkError;
use nephrite_resample::ResampleError;
use nephrite_runs::RunsError;
use nephrite_types::{Cancelled, Coded, ErrorCode, OutOfMemory};

/// What can go wrong between a model folder with scans and a mask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NnunetError {
    /// The model folder is broken.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The network cannot be built from plans and weights.
    #[error("model {model}: {source}")]
    Network {
        /// Path of the model folder or checkpoint.
        model: String,
        /// What does not fit.
        #[source]
        source: NetworkError,
    },
    /// A network that nephrite cannot build, and no exported one beside the checkpoint.
    #[error("model {model}: {reason}; {fold} has no network.onnx to use instead")]
    NetworkNotSupported {
        /// Path of the model folder.
        model: String,
        /// Why it cannot be built.
        reason: String,
        /// Where an exported network would be looked for.
        fold: String,
    },
    /// The engine failed.
    #[error("model {model}: {source}")]
    Engine {
        /// Path of the model folder.
        model: String,
        /// What the runtime said.
        #[source]
        source: EngineError,
    },
    /// Folds of one model that differ in what they should share.
    #[error("model {model}: {fold} has configuration {found}, the first fold has {expected}")]
    FoldsDiffer {
        /// Path of the model folder.
        model: String,
        /// The odd one.
        fold: String,
        /// Of the first fold.
        expected: String,
        /// Of this one.
        found: String,
    },
    /// A checkpoint whose mirroring axes do not exist in its network.
    #[error("model {model}: mirroring axes {axes:?} of a network with {n_axes} spatial axes")]
    MirroringAxes {
        /// Path of the model folder.
        model: String,
        /// From the checkpoint.
        axes: Vec<usize>,
        /// 2 or 3.
        n_axes: usize,
    },
    /// A resampling function that nephrite does not have for this purpose.
    #[error("model {model}: {purpose} with spline order {order} is not supported")]
    UnsupportedOrder {
        /// Path of the model folder.
        model: String,
        /// `resampling_fn_data`, `resampling_fn_probabilities`, `resampling_fn_seg`.
        purpose: &'static str,
        /// From the plans.
        order: u64,
    },
    /// Wrong number of scans.
    #[error("the model needs {expected} input channels ({names}), {found} given")]
    ChannelCount {
        /// Channels of the model.
        expected: usize,
        /// Their names.
        names: String,
        /// Scans given.
        found: usize,
    },
    /// Channels that do not lie on one grid.
    #[error("channel {channel} has {what} {found}, the first channel has {expected}")]
    ChannelsDiffer {
        /// Index of the odd one.
        channel: usize,
        /// `shape` or `spacing`.
        what: &'static str,
        /// Of the first channel.
        expected: String,
        /// Of this one.
        found: String,
    },
    /// A cascade without the mask of its previous stage.
    #[error("the model is the second stage of a cascade and needs the mask of its previous stage {stage}")]
    PreviousStageMissing {
        /// Configuration of the previous stage.
        stage: String,
    },
    /// A mask of a previous stage for a model that has none.
    #[error("a mask of a previous stage is given, but the model is not the second stage of a cascade")]
    PreviousStageUnexpected,
    /// The mask of the previous stage does not lie on the scan's grid.
    #[error("the mask of the previous stage has shape {found:?} (z, y, x), the scan has {expected:?}")]
    PreviousStageShape {
        /// Of the scan.
        expected: [usize; 3],
        /// Of the mask.
        found: [usize; 3],
    },
    /// The scan is too thin for the model's grid: an axis would have no voxels.
    #[error("resampling {crop:?} voxels of {spacing:?} mm to {target:?} mm leaves an axis without voxels")]
    EmptyGrid {
        /// Cropped scan, network axis order.
        crop: [usize; 3],
        /// Its spacing.
        spacing: [f64; 3],
        /// Spacing of the network.
        target: [f64; 3],
    },
    /// An intensity that the plans' normalization cannot take.
    #[error("channel {channel}: {source}")]
    Normalization {
        /// Index of the channel.
        channel: usize,
        /// What is wrong.
        #[source]
        source: crate::preprocess::NotRgb,
    },
    /// A grid or an accumulator over the limits.
    #[error("{what} needs {found} {unit}, the limit is {limit}")]
    OverLimit {
        /// What would be allocated.
        what: &'static str,
        /// Voxels or bytes.
        unit: &'static str,
        /// Allowed.
        limit: u64,
        /// Needed; `u64::MAX` if it cannot be counted.
        found: u64,
    },
    /// A network whose weights and activations take more than the limit: its patch or its features are too large.
    #[error(
        "model {model}: its network would keep {found} bytes in memory for a patch of this size, the limit is {limit}"
    )]
    NetworkTooLarge {
        /// Path of the model folder.
        model: String,
        /// Counted from the architecture.
        found: u64,
        /// `max_network_bytes`.
        limit: u64,
    },
    /// A step size outside (0, 1].
    #[error("tile step size {step} is not greater than 0 and at most 1")]
    TileStepSize {
        /// As given.
        step: f64,
    },
    /// Tiles that would stand less than a voxel apart.
    #[error("tile step size {step} of a patch of {patch:?} voxels is less than one voxel")]
    TileStepUnderVoxel {
        /// As given.
        step: f64,
        /// Of the network; 2 or 3 numbers.
        patch: Vec<usize>,
    },
    /// The network gave NaN or infinity.
    #[error(
        "model {model}: the network gave a value that is not finite, in {fold}, tile {tile} of {n_tiles}"
    )]
    NotFinite {
        /// Path of the model folder.
        model: String,
        /// Which fold.
        fold: String,
        /// Tile, counted from 1.
        tile: usize,
        /// All tiles.
        n_tiles: usize,
    },
    /// A network that labels too many voxels otherwise in half precision than in f32.
    #[error(
        "model {model}, {fold}: in half precision {:.3} % of voxels are labeled as in f32, and {:.3} % are needed; ask for precision f32",
        found * 100.0, needed * 100.0
    )]
    HalfDiffers {
        /// Path of the model folder.
        model: String,
        /// Which fold.
        fold: String,
        /// Share of voxels that agree, 0 to 1.
        found: f64,
        /// Share that is needed.
        needed: f64,
    },
    /// Class sums that overflow half precision, where nnU-Net stops too.
    #[error("model {model}: a logit overflows half precision in plane {plane} of the network grid")]
    HalfOverflow {
        /// Path of the model folder.
        model: String,
        /// Index on axis 0 of the network grid.
        plane: usize,
    },
    /// The machine, or what this process may have of it, has no room for an array.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// Resampling failed.
    #[error(transparent)]
    Resample(#[from] ResampleError),
    /// Postprocessing that writes a value which this model's masks have no room for.
    #[error(
        "postprocessing writes {value} where it removes something, the masks of this model hold values up to {limit}"
    )]
    PostprocessingValue {
        /// From the postprocessing file.
        value: u16,
        /// Of the type that the model's own values need.
        limit: u16,
    },
    /// Postprocessing failed.
    #[error("postprocessing: {0}")]
    Postprocess(#[source] RunsError),
    /// Stopped from outside.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<RunsError> for NnunetError {
    fn from(error: RunsError) -> Self {
        match error {
            RunsError::Cancelled(cancelled) => NnunetError::Cancelled(cancelled),
            other => NnunetError::Postprocess(other),
        }
    }
}

impl Coded for NnunetError {
    fn code(&self) -> ErrorCode {
        match self {
            NnunetError::Folder(error) => error.code(),
            NnunetError::Network { source, .. } => source.code(),
            NnunetError::Engine { source, .. } => source.code(),
            NnunetError::Resample(error) => error.code(),
            NnunetError::Postprocess(error) => error.code(),
            NnunetError::FoldsDiffer { .. }
            | NnunetError::NetworkNotSupported { .. }
            | NnunetError::MirroringAxes { .. }
            | NnunetError::UnsupportedOrder { .. }
            | NnunetError::PostprocessingValue { .. }
            | NnunetError::NotFinite { .. }
            | NnunetError::HalfDiffers { .. }
            | NnunetError::HalfOverflow { .. } => ErrorCode::InvalidModel,
            NnunetError::ChannelCount { .. }
            | NnunetError::ChannelsDiffer { .. }
            | NnunetError::PreviousStageMissing { .. }
            | NnunetError::PreviousStageUnexpected
            | NnunetError::PreviousStageShape { .. }
            | NnunetError::EmptyGrid { .. }
            | NnunetError::Normalization { .. } => ErrorCode::InvalidInput,
            NnunetError::OverLimit { .. } | NnunetError::NetworkTooLarge { .. } => ErrorCode::LimitExceeded,
            NnunetError::OutOfMemory(error) => error.code(),
            NnunetError::TileStepSize { .. } | NnunetError::TileStepUnderVoxel { .. } => {
                ErrorCode::InvalidArgument
            }
            NnunetError::Cancelled(cancelled) => cancelled.code(),
        }
    }
}
