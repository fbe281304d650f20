//! Masks as DICOM objects beside the files of their label maps, and DICOM objects where a file of a mask may stand.

mod grid;
mod mask_file;
mod read;
mod source;
mod wanted;
mod write;

pub(crate) use grid::ObjectGrid;
pub(crate) use mask_file::{MaskFile, SeenMask, read_mask_object};
pub(crate) use source::ObjectSource;
pub use wanted::WantedObjects;
pub(crate) use write::{ObjectRun, object_limits, write_objects};
