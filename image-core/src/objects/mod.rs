//! Masks as DICOM objects beside the files of their label maps.

mod read;
mod source;
mod write;

pub(crate) use read::mask_of_object;
pub(crate) use source::ObjectSource;
pub(crate) use write::{ObjectRun, object_limits, write_objects};
