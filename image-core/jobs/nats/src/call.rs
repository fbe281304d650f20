//! Calls that block, on a runtime of our own.

use std::time::Duration;

use nephrite_jobs::JobError;
use tokio::runtime::{Builder, Runtime};

use crate::connect::Link;

/// No call takes longer, whatever the server does.
const LIMIT: Duration = Duration::from_secs(5);

/// Runs what talks to the server.
#[derive(Debug)]
pub(crate) struct Caller {
    runtime: Option<Runtime>,
}

impl Caller {
    /// # Errors
    /// [`JobError::Unavailable`] if the system has no threads left.
    pub(crate) fn new() -> Result<Caller, JobError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("nats")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| JobError::Unavailable {
            address: "threads for NATS".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Caller {
            runtime: Some(runtime),
        })
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is taken when this is dropped")
    }

    /// Waits for an answer, for a few seconds at most. What was given up may still happen.
    ///
    /// # Errors
    /// Those of the call; [`JobError::Unavailable`].
    pub(crate) fn block<T>(
        &self,
        link: &Link,
        call: impl Future<Output = Result<T, JobError>>,
    ) -> Result<T, JobError> {
        let all = async {
            link.wait().await?;
            call.await
        };
        self.runtime().block_on(async {
            let answer = tokio::time::timeout(LIMIT, all).await;
            answer.unwrap_or_else(|_| Err(link.away(format_args!("no answer for {} s", LIMIT.as_secs()))))
        })
    }

    /// Waits for a connection that is away, for a few seconds at most.
    ///
    /// # Errors
    /// [`JobError::Unavailable`]
    pub(crate) fn connected(&self, link: &Link) -> Result<(), JobError> {
        self.runtime().block_on(link.wait())
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
