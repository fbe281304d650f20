//! Masks as DICOM objects beside the files of their label maps.

mod read;
mod source;
mod wanted;
mod write;

pub(crate) use read::mask_of_object;
pub(crate) use source::ObjectSource;
pub use wanted::WantedObjects;
pub(crate) use write::{ObjectRun, object_limits, write_objects};
