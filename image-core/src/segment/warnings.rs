//! What is odd, on its way to whoever asked and to the log.

use nephrite_types::{Progress, Warning};

use crate::error::CoreError;

/// Passes a warning on; an error where geometry is strict.
pub(crate) fn warn(warning: &Warning, strict: bool, progress: &dyn Progress) -> Result<(), CoreError> {
    if strict && warning.code.is_geometry() {
        return Err(CoreError::StrictGeometry {
            warning: warning.clone(),
        });
    }
    log(warning);
    progress.warning(warning);
    Ok(())
}

/// Its user is told elsewhere; the log of a server keeps it too.
pub(crate) fn log(warning: &Warning) {
    tracing::info!(code = warning.code.name(), "{}", warning.message);
    tracing::debug!(file = warning.file, "the file of this warning");
}
