//! For whom a case runs.

use super::CaseError;
use super::record::JobRecord;

/// For whom a case runs, and whether its result may be given its name.
pub trait CaseOwner: Sync {
    /// The job that it is; goes into the record.
    fn job(&self) -> Option<JobRecord>;

    /// Everything is written, and the result folder gets its name next. Whoever has lost the right to that says so here.
    ///
    /// # Errors
    /// Why the folder must go instead.
    fn seal(&self) -> Result<(), CaseError>;
}

/// A caller that waits for the case and does nothing else with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller;

impl CaseOwner for Caller {
    fn job(&self) -> Option<JobRecord> {
        None
    }

    fn seal(&self) -> Result<(), CaseError> {
        Ok(())
    }
}
