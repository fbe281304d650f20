//! How a case ends before it is through.

/// Why a case ends early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Failed(String),
    Skipped(String),
}

/// Fails the case unless `holds`.
pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Stop> {
    if holds {
        Ok(())
    } else {
        Err(Stop::Failed(otherwise()))
    }
}
