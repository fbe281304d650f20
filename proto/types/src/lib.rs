//! The vocabulary of nephrite: volumes, label maps, geometry, limits and error codes.
//!
//! Everything else points here; this crate points at nothing of ours. Values that come from outside become one of
//! these checked types at the edge, once; inside, wrong states cannot be written down.
//!
//! **Axis order** is `[z, y, x]`, x fastest, as in a NIfTI file and in the arrays of nnU-Net's readers.
//! **World coordinates** are NIfTI's: millimeters, RAS+ (x to the right, y to the front, z up).

mod bounding_box;
mod cancel;
mod coded;
mod count;
mod error_code;
mod file_identity;
mod file_name;
mod geometry;
mod hidden_name;
mod label_map;
pub mod length;
mod limits;
pub mod memory;
mod output_format;
mod phase;
mod precision;
mod progress;
#[cfg(feature = "test-util")]
mod seeds;
mod segmentation_options;
mod volume;
mod volume_endings;
mod warning;

pub use bounding_box::BoundingBox;
pub use cancel::{CancelToken, Cancelled};
pub use coded::{Coded, with_causes};
pub use count::count;
pub use error_code::ErrorCode;
pub use file_identity::FileIdentity;
pub use file_name::{FileNameFault, check_file_name};
pub use geometry::{Affine, Geometry, GeometryError, Shape3, Spacing};
pub use hidden_name::{HiddenKind, HiddenName};
pub use label_map::{LabelMap, Labels};
pub use limits::Limits;
pub use memory::OutOfMemory;
pub use output_format::{OutputFormat, OutputFormatsFault};
pub use phase::Phase;
pub use precision::{Precision, UnknownPrecision};
pub use progress::{NoProgress, Progress, Stage};
#[cfg(feature = "test-util")]
pub use seeds::seeds;
pub use segmentation_options::{Numerics, OptionKey, OptionKind, OptionOutOfRange, SegmentationOptions};
pub use volume::{IntensityScale, Stored, Volume, VoxelType, Voxels};
pub use volume_endings::{VOLUME_ENDINGS, data_file_of, has_volume_ending};
pub use warning::{Warning, WarningCode};
