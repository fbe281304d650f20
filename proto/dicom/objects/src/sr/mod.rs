//! Structured reports: measurements of labels.

mod content;
mod write;

pub use write::{ReportRequest, write_report};
