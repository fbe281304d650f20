//! A client of DICOMweb servers: series from them, objects to them.
//!
//! * [`Address`] is what a request may name, `dicomweb://NAME/study/series`: a server by its name in the configuration, never by
//!   a URL.
//! * [`DicomWeb::pull`] fetches a study or a series into a folder. Instances are listed first (QIDO-RS), then come in one answer
//!   (WADO-RS), and are compared with the list and with the server's metadata: servers end an answer early without a word.
//!   What is not whole is not kept.
//! * [`DicomWeb::push`] stores files (STOW-RS), and tells what became of each.
//!
//! What comes from a server is hostile until checked: pieces, parts, headers, lists and JSON have limits, nothing is held in memory
//! but a piece and a list of UIDs, and messages show nothing that may be about a patient. Redirects are not followed.

mod address;
mod at;
mod caller;
mod client;
mod compare;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod instance_file;
mod json;
mod json_guard;
mod media_type;
mod multipart;
mod pull;
mod push;
mod qido;
mod retry;
mod secret;
mod settings;
mod spool;
mod stow_body;
mod stow_file;
mod stow_reply;
mod tls;
mod uid;
mod wado;

pub use address::{Address, AddressFault, ServerName};
pub use at::At;
pub use client::DicomWeb;
pub use error::DicomWebError;
pub use multipart::MultipartFault;
pub use pull::PulledSeries;
pub use push::PushedFile;
pub use qido::SeriesEntry;
pub use settings::{BaseUrl, BaseUrlFault, Credentials, ServerSettings, TransferLimits};
pub use stow_file::is_dicom_file;
pub use stow_reply::Outcome;
pub use uid::{Uid, UidFault};
