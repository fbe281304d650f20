//! Lists the DICOM series of a folder and reads one as a scan; opens hostile DICOM files within limits.
//!
//! [`list`] reads headers and gives a [`Listing`]; [`Listing::select`] names one [`Series`], whose [`Series::header`] is what
//! plans need; [`read`] gives its voxels as a reader of nnU-Net would have the NIfTI file that dcm2niix writes of it.
//!
//! [`open_header`] and [`open_object`] are the only way in which a DICOM file is opened, here and in crates that build on this
//! one. Files come as open handles and folders as [`cap_std::fs::Dir`].
//!
//! ```
//! use nephrite_dicom::{DicomError, DicomLimits, DicomScan, SeriesOptions, list, read};
//! use nephrite_types::{CancelToken, Limits};
//! use nephrite_volume::Reader;
//!
//! fn only_series(folder: &cap_std::fs::Dir) -> Result<DicomScan, DicomError> {
//!     let (limits, cancel) = (DicomLimits::default(), CancelToken::new());
//!     let listing = list(folder, "scan", &limits, &SeriesOptions::default(), &cancel)?;
//!     let series = listing.select(None)?;
//!     read(folder, series, Reader::SimpleItk, &Limits::default(), &limits, &cancel)
//! }
//! ```

mod attributes;
mod decode;
mod error;
mod file_error;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod limits;
mod pixel_format;
mod series;
mod series_fault;
#[cfg(feature = "test-util")]
pub mod test_util;

#[cfg(test)]
mod tests;

pub use decode::Frames;
pub use error::DicomError;
pub use file_error::{FileError, FileFault};
pub use guard::{
    DicomHeader, DicomObject, Encoding, Fragments, PixelCoding, PixelElement, TransferSyntax, open_bytes,
    open_header, open_object,
};
pub use limits::DicomLimits;
pub use pixel_format::PixelFormat;
pub use series::{
    ArrayAxes, BrokenFiles, DicomScan, Duplicates, FrameOfReference, Layout, Listing, OtherFile,
    PhaseContradiction, PhaseEvidence, Problem, Series, SeriesOptions, SeriesSummary, SingleFile,
    SourceSlice, Study, Tilt, check_phase, hash_series, list, read,
};
pub use series_fault::{DuplicatePixels, SeriesFault};
