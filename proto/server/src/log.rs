//! The log on standard error, as text or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Sends the log of this process to its standard error. `NEPHRITE_LOG` says how much of it (`debug`,
/// `nephrite_server=trace` …); `info` if it says nothing.
///
/// # Panics
/// If the process has a log already.
pub fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_env("NEPHRITE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
