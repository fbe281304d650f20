//! Calls that block, on a runtime of our own.

use std::time::Duration;

use nephrite_types::CancelToken;
use tokio::runtime::{Builder, Runtime};

use crate::at::At;
use crate::error::DicomWebError;

/// How often it is looked whether the caller has cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(20);

/// Runs what talks to the server. What is done with an answer is done on the thread that waits for it.
#[derive(Debug)]
pub(crate) struct Caller {
    runtime: Option<Runtime>,
}

impl Caller {
    /// # Errors
    /// [`DicomWebError::System`] if the system has no threads left.
    pub(crate) fn new(at: &At) -> Result<Caller, DicomWebError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dicomweb")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| DicomWebError::System {
            at: at.clone(),
            reason: error.to_string(),
        })?;
        Ok(Caller {
            runtime: Some(runtime),
        })
    }

    /// Waits for a call, until the caller cancels or it has taken too long.
    ///
    /// # Errors
    /// Those of the call; [`DicomWebError::Cancelled`], [`DicomWebError::TimedOut`].
    pub(crate) fn block<T>(
        &self,
        at: &At,
        longest: Duration,
        cancel: &CancelToken,
        call: impl Future<Output = Result<T, DicomWebError>>,
    ) -> Result<T, DicomWebError> {
        cancel.check()?;
        let runtime = self.runtime.as_ref().expect("it is taken when this is dropped");
        runtime.block_on(async {
            tokio::select! {
                biased;
                error = cancelled(cancel) => Err(error),
                () = tokio::time::sleep(longest) => Err(DicomWebError::TimedOut {
                    at: at.clone(),
                    what: "the call went on",
                    after: longest,
                }),
                done = call => done,
            }
        })
    }
}

async fn cancelled(cancel: &CancelToken) -> DicomWebError {
    loop {
        if let Err(cancelled) = cancel.check() {
            return cancelled.into();
        }
        tokio::time::sleep(CANCEL_INTERVAL).await;
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
