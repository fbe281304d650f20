//! What whoever runs the check may choose: deadline, folders, parameters of ordinary requests.

use std::path::PathBuf;
use std::time::Duration;

/// How to check.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only this operation; all of the service if `None`.
    pub operation: Option<String>,
    /// Values for parameters, as texts: what required parameters without a default need. The masks of the cases have
    /// labels named `label_1`, `label_2` …
    pub set: Vec<(String, String)>,
    /// A folder beneath the service's root, at the same absolute path here and there; cases that need files are skipped
    /// without one.
    pub exchange_folder: Option<PathBuf>,
    /// A folder here that lies outside of the service's root: masks are put there that it must not read.
    pub outside_folder: PathBuf,
    /// For every call.
    pub deadline: Duration,
    /// How much later than its deadline an answer may come.
    pub grace: Duration,
}

impl Default for Options {
    /// All operations, no values, no exchange folder, outside is the system's folder for temporary files, 60 s and 2 s.
    fn default() -> Self {
        Options {
            operation: None,
            set: Vec::new(),
            exchange_folder: None,
            outside_folder: std::env::temp_dir(),
            deadline: Duration::from_secs(60),
            grace: Duration::from_secs(2),
        }
    }
}
