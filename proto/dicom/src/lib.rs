//! Lists the DICOM series of a folder and reads one as a scan; opens hostile DICOM files within limits.
//!
//! [`open_header`] and [`open_object`] are the only way in which a DICOM file is opened, here and in crates that build on this
//! one. Files come as open handles and folders as [`cap_std::fs::Dir`].

mod file_error;
mod guard;
mod limits;

#[cfg(test)]
mod tests;

pub use file_error::{FileError, FileFault};
pub use guard::{
    DicomHeader, DicomObject, Encoding, Fragments, PixelCoding, PixelElement, TransferSyntax, open_bytes,
    open_header, open_object,
};
pub use limits::DicomLimits;
