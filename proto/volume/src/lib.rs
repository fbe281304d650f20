//! Reads scans from NIfTI, NRRD, and MetaImage as nnU-Net's readers do; writes label maps and volumes.
//!
//! [`read_volume`] gives a [`Scan`]: the voxels `[z, y, x]` in their stored type, and a [`SourceGeometry`] with which
//! [`write_label_map`] writes a mask that lies where the scan lay. Files come as open handles and folders as
//! [`cap_std::fs::Dir`]: which path may be opened is for the caller to say. Nothing in a file is believed before it is
//! checked; see [`VolumeError`] for what can be wrong with one.
//!
//! ```
//! use nephrite_types::{CancelToken, Labels, Limits};
//! use nephrite_volume::{Reader, VolumeError, read_volume, write_label_map};
//!
//! /// Marks what is brighter than 300.
//! fn threshold(scan: std::fs::File, out: &cap_std::fs::Dir) -> Result<(), VolumeError> {
//!     let scan = read_volume(scan, "scan.nii.gz", Reader::SimpleItk, &Limits::default(), &CancelToken::new())?;
//!     let labels = Labels::U8(scan.volume.to_intensities().mapv(|v| u8::from(v > 300.0)));
//!     write_label_map(out, "mask.nii.gz", &labels, &scan.source)?;
//!     Ok(())
//! }
//! ```

mod adler;
mod array_geometry;
mod atomic;
mod atomic_files;
mod atomic_pair;
mod data_file;
mod data_file_name;
mod error;
mod file_header;
mod foreign_header;
mod format;
mod from_grid;
#[doc(hidden)]
pub mod fuzzing;
mod grid;
mod gzip;
mod hash;
mod header;
mod header_lines;
mod info;
mod input;
mod intensity_scale;
mod label_map;
mod labels;
mod lattice;
mod meta_image;
mod nrrd;
mod orientation;
mod payload;
mod read;
mod reader;
mod scan_header;
mod source;
mod source_geometry;
mod text_headers;
mod unchanged;
mod volume_files;
mod voxel_bytes;
mod world;
mod write;
mod zlib;

#[cfg(test)]
mod tests;

pub use atomic::{write_atomically, write_identified};
pub use atomic_files::write_files_atomically;
pub use error::{Form, VolumeError};
pub use file_header::Format;
pub use hash::{FileHash, hash_file};
pub use header::Version;
pub use info::{Unit, VolumeInfo, inspect};
pub use label_map::{LabelMapSize, NamedLabelMap, label_map_size, read_label_map, read_named_label_map};
pub use labels::{labels_from_volume, read_label_volume};
pub use lattice::{Displacement, displacement, same_voxels};
pub use orientation::Orientation;
pub use read::{Scan, read_volume, read_volume_hashed};
pub use reader::{Reader, World};
pub use scan_header::ScanHeader;
pub use source_geometry::SourceGeometry;
pub use volume_files::{VolumeFiles, VolumeIdentity, hash_volume};
pub use write::{WriteSummary, write_label_map, write_volume};
