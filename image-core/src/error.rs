use std::path::PathBuf;

use nephrite_engine::EngineError;
use nephrite_nnunet::NnunetError;
use nephrite_nnunet_folder::FolderError;
use nephrite_resample::ResampleError;
use nephrite_types::{Cancelled, ErrorCode, Shape3, Spacing};
use nephrite_volume::VolumeError;

use crate::PathError;

/// What can go wrong between a request and its result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A path of the request cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A scan could not be read, or a result not written.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A volume could not be resized.
    #[error(transparent)]
    Resample(#[from] ResampleError),
    /// A model folder is broken or not supported.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The model's network could not be built, or failed on the scan.
    #[error(transparent)]
    Nnunet(#[from] NnunetError),
    /// ONNX Runtime or the provider is not there.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Another number of inputs than the model has channels.
    #[error("the model takes {expected} channel(s), {found} input(s) were given; model {}", model.display())]
    ChannelCount {
        /// Channels of the model.
        expected: usize,
        /// Inputs of the request.
        found: usize,
        /// The model's folder.
        model: PathBuf,
    },
    /// An input has another shape than the first.
    #[error("shape {found} (x×y×z) differs from {expected} of the first input; file {}", path.display())]
    ChannelShape {
        /// Of the first input.
        expected: Shape3,
        /// Of this one.
        found: Shape3,
        /// This input.
        path: PathBuf,
    },
    /// An input has another spacing than the first.
    #[error(
        "spacing {:?} mm (x, y, z) differs from {:?} of the first input; file {}",
        found.xyz(), expected.xyz(), path.display()
    )]
    ChannelSpacing {
        /// Of the first input.
        expected: Spacing,
        /// Of this one.
        found: Spacing,
        /// This input.
        path: PathBuf,
    },
    /// The model is the second stage of a cascade, and neither a mask nor the folder of the first stage is there.
    #[error(
        "the model needs the mask of its previous stage {stage}: name it with --previous-stage, or put the folder \
         {} beside the model", folder.display()
    )]
    PreviousStageMissing {
        /// Configuration of the first stage.
        stage: String,
        /// Where its folder would be.
        folder: PathBuf,
    },
    /// A previous-stage mask was given to a model that takes none.
    #[error("the model has no previous stage, but a previous-stage mask was given; model {}", model.display())]
    PreviousStageUnexpected {
        /// The model's folder.
        model: PathBuf,
    },
    /// The output would replace one of its own inputs.
    #[error("the output would replace an input; file {}", path.display())]
    OutputIsInput {
        /// The output.
        path: PathBuf,
    },
    /// An option has a value that cannot be.
    #[error("{option} is {found}, expected {expected}")]
    Option {
        /// The option's name on the command line.
        option: &'static str,
        /// What it may be.
        expected: &'static str,
        /// As given.
        found: String,
    },
    /// No postprocessing file is in the model's folder.
    #[error("no postprocessing.json or postprocessing.pkl for these folds; looked at {}", looked_at.join(", "))]
    PostprocessingMissing {
        /// The files tried.
        looked_at: Vec<String>,
    },
    /// The probabilities could not be written.
    #[error("{}: {source}", path.display())]
    Probabilities {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The caller cancelled, or its deadline passed.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl CoreError {
    /// How a caller can act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            CoreError::Path(error) => error.code(),
            CoreError::Volume(error) => error.code(),
            CoreError::Resample(error) => error.code(),
            CoreError::Folder(error) => error.code(),
            CoreError::Nnunet(error) => error.code(),
            CoreError::Engine(error) => error.code(),
            CoreError::ChannelCount { .. }
            | CoreError::ChannelShape { .. }
            | CoreError::ChannelSpacing { .. }
            | CoreError::PreviousStageMissing { .. }
            | CoreError::PreviousStageUnexpected { .. } => ErrorCode::InvalidInput,
            CoreError::OutputIsInput { .. } | CoreError::Option { .. } => ErrorCode::InvalidArgument,
            CoreError::PostprocessingMissing { .. } => ErrorCode::NotFound,
            CoreError::Probabilities { .. } => ErrorCode::Environment,
            CoreError::Cancelled(Cancelled::ByCaller) => ErrorCode::Cancelled,
            CoreError::Cancelled(Cancelled::DeadlineExceeded) => ErrorCode::DeadlineExceeded,
        }
    }
}
