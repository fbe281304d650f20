//! Calls of a server that keeps jobs.

use clap::Args;
use nephrite_proto::{Client, RemoteError, v1};
use nephrite_types::{Cancelled, ErrorCode};

use crate::cli::failure::Failure;
use crate::cli::signals;
use crate::cli::wait::wait;

/// Where a server listens if its configuration does not say.
pub(super) const DEFAULT_SERVER: &str = "http://127.0.0.1:7443";

#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// Address of the server
    #[arg(long, value_name = "URL", env = "NEPHRITE_SERVER", hide_env_values = true, default_value = DEFAULT_SERVER)]
    pub(crate) server: String,
}

/// Makes calls until they end, or the user cancels.
pub(super) fn call<T>(
    server: &ServerArguments,
    calls: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let cancel = signals::cancelled_by_signals();
    let done: Option<Result<T, Failure>> = wait(&cancel, async {
        let client = Client::connect(&server.server).await?;
        calls(client).await
    })?;
    done.unwrap_or_else(|| {
        Err(Failure {
            code: ErrorCode::Cancelled,
            message: Cancelled::ByCaller.to_string(),
        })
    })
}

/// The job of an answer.
pub(crate) fn job(of_answer: Option<v1::Job>) -> Result<v1::Job, RemoteError> {
    of_answer.ok_or_else(|| RemoteError {
        code: ErrorCode::Internal,
        message: "the answer of the server holds no job".to_owned(),
    })
}
