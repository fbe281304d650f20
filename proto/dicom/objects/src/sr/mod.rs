//! Structured reports: measurements of labels.

mod content;
mod read;
mod write;

pub use read::{ReportedVolume, read_report};
pub use write::{ReportRequest, write_report};
