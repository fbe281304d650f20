//! What came of a case.

use super::record::Record;
use crate::model::FileRecord;

/// What came of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseReport {
    /// As in `record.json`.
    pub record: Record,
    /// `record.json`, as it was written.
    pub json: String,
    /// Everything in the result folder, by its path below it; the record last.
    pub files: Vec<FileRecord>,
}
