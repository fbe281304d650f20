//! The demo: draws a patient, has every phase segmented by the model that was trained for it, and shows how well that went.
//!
//! It knows nothing of what runs the networks. [`run`] writes models and scans into a folder, says by their paths what is
//! to be segmented ([`Task`]), and reads the masks back from their files. So the program `nephrite` can take it as an
//! optional dependency (cargo feature `demo`) and run the core in between; a crate that used the core itself would close a
//! circle, and a package of its own for the program would take all tests of the program along. Production builds have
//! neither this crate nor the models (`tests/tidy.rs`).
//!
//! [`DicomDemo`] is the same patient as DICOM series, and compares what a case makes of them.

mod dicom;
mod error;
mod folder;
mod mask_file;
mod masks;
mod patient;
mod picture;
mod run;
mod slice;
mod table;

pub use dicom::{Agreement, CaseTask, DicomDemo};
pub use error::DemoError;
pub use patient::write_patient;
pub use run::{Task, run};
