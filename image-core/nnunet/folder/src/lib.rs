//! Reads what a researcher delivers: plans, dataset, checkpoint and postprocessing of a trained nnU-Net.
//!
//! Everything here comes from outside and is hostile until checked. Nothing is executed, no size is believed before it
//! is compared with the file or a limit, and every error names the file, the key and the value.
//!
//! [`ModelFolder`] is the way in; [`Plans`], [`Dataset`], [`Checkpoint`] and [`Postprocessing`] also read single files.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use nephrite_nnunet_folder::{CheckpointKind, FoldSelection, ModelFolder};
//!
//! let path = "models/Dataset701_Kidney/nnUNetTrainer__nnUNetPlans__3d_fullres";
//! let dir = cap_std::fs::Dir::open_ambient_dir(path, cap_std::ambient_authority())?;
//! let model = ModelFolder::open(dir, path, &nephrite_types::Limits::default())?;
//! for fold in model.select_folds(&FoldSelection::Available, CheckpointKind::Final)? {
//!     let mut checkpoint = model.open_checkpoint(fold, CheckpointKind::Final, &nephrite_types::CancelToken::new())?;
//!     let configuration = model.configuration(checkpoint.configuration())?;
//!     println!("{fold}: {:?} of {}", configuration.patch_size, configuration.architecture.class_name);
//!     let (shape, values) = checkpoint.read_tensor_f32("decoder.seg_layers.0.bias")?;
//!     assert_eq!(shape, [values.len()]);
//! }
//! # Ok(())
//! # }
//! ```

mod architecture;
mod archive;
mod checkpoint;
mod checkpoint_file;
mod dataset;
mod describe;
mod error;
mod files;
mod folds;
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod labels;
mod model_folder;
mod nearby;
mod normalization;
mod pickle;
mod plans;
mod postprocessing;
mod resampling;
mod tensor;
mod tensor_names;

pub use architecture::ArchitectureJson;
pub use archive::ArchiveFault;
pub use checkpoint::{Checkpoint, TensorInfo};
pub use checkpoint_file::CheckpointFile;
pub use dataset::Dataset;
pub use describe::{FoldDescription, FolderDescription, LabelDescription};
pub use error::{FolderError, TensorFault};
pub use folds::{CheckpointKind, Fold, FoldName, FoldNameError, FoldSelection};
pub use labels::{Heads, LabelScheme, plain_labels};
pub use model_folder::ModelFolder;
pub use normalization::{IntensityProperties, Normalization};
pub use pickle::{PickleFault, StorageType};
pub use plans::{Configuration, Plans};
pub use postprocessing::{Postprocessing, RemoveAllButLargest};
pub use resampling::{Resampling, SeparateZ, SplineResampling, TorchResampling};
