//! What is in memory, how much that may be, and who may take it when.

mod counters;
mod file_state;
mod finite;
mod gate;
mod peak;
mod resident;
mod scan_source;
mod text_file;
mod volumes;
mod written_volume;

pub use counters::Counters;
pub use file_state::read_small_file;
pub(crate) use file_state::{changed, io_error};
pub(crate) use gate::{Gate, Pass};
pub use peak::peak_rss_bytes;
pub(crate) use peak::{CUDA_BYTES, ONNX_RUNTIME_BYTES, PROCESS_BYTES};
pub use resident::ResidentEntry;
pub(crate) use resident::ResidentStore;
pub(crate) use scan_source::{OpenScan, ScanIdentity, ScanRules};
pub(crate) use text_file::TextFile;
pub(crate) use volumes::{
    InputKey, InputLease, ScanFile, ScanKey, ScanLease, ScanSize, Volumes, private_input,
};
pub(crate) use written_volume::remove_volume;
