//! Calls of servers, until they end or the user cancels.

use std::time::Duration;

use nephrite_types::{CancelToken, ErrorCode};

use super::failure::Failure;

/// How often it is looked whether the user has cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(20);

/// What calls ended with; `None` if the user cancelled before.
pub(crate) fn wait<T>(cancel: &CancelToken, calls: impl Future<Output = T>) -> Result<Option<T>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure {
        code: ErrorCode::Environment,
        message: format!("no runtime for calls: {error}"),
    })?;
    Ok(runtime.block_on(async {
        tokio::select! {
            done = calls => Some(done),
            () = cancelled(cancel) => None,
        }
    }))
}

async fn cancelled(cancel: &CancelToken) {
    while cancel.check().is_ok() {
        tokio::time::sleep(CANCEL_INTERVAL).await;
    }
}
