//! The threads that wait for the sockets of other cores.

use std::sync::OnceLock;

use tokio::runtime::Runtime;

use nephrite_types::ErrorCode;

use crate::error::CoreError;

/// One thread, for all cores of the process. The calling thread polls; messages are counted there.
pub(super) fn runtime() -> Result<&'static Runtime, CoreError> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(1).thread_name("core-calls").enable_all();
        builder.build().map_err(|error| error.to_string())
    });
    made.as_ref().map_err(|reason| CoreError::Remote {
        core: "calls of other cores".to_owned(),
        code: ErrorCode::Environment,
        message: reason.clone(),
    })
}
