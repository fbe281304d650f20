//! The demo's patient as DICOM series, and whether every file that a case makes of them says the same.

mod agreement;
mod demo;
mod layout;
mod results;
mod series;

pub use agreement::Agreement;
pub use demo::{CaseTask, DicomDemo};
pub(crate) use series::write_series;
