//! The configuration file of a mask service.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nephrite_server::LogFormat;
use nephrite_server::settings::{self, limit};
use nephrite_settings::kind::{list, text};
use nephrite_settings::{Fault, Reference, Section, parse, read_config};
use nephrite_types::Limits;

use super::ServiceError;

/// What a mask service is told by its configuration file; all of it checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder that all paths of requests lie beneath: the shared volume.
    pub root: PathBuf,
    /// Names of the operations to serve; all that the program has if not given.
    pub operations: Option<Vec<String>>,
    /// Requests that work at once, at least 1.
    pub max_concurrent_requests: usize,
    /// Requests that wait for their turn; one more is refused.
    pub max_waiting_requests: usize,
    /// Bytes of one request message.
    pub max_message_bytes: usize,
    /// Bytes of all masks of one request, in run form.
    pub max_request_bytes: u64,
    /// Bytes that the process may hold; what machine, control group and resource limits allow, minus a tenth, if not given.
    /// A request waits for what it expects to need, and is refused if it can never fit.
    pub max_memory_bytes: Option<u64>,
    /// Threads for computing; what the control group grants if not given.
    pub threads: Option<NonZeroUsize>,
    /// How long running requests may go on after the service was asked to stop.
    pub drain_timeout: Duration,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What one mask may cost.
    pub limits: Limits,
}

impl ServiceConfig {
    /// The defaults, for a root folder.
    pub fn new(root: PathBuf) -> Self {
        ServiceConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 7444)),
            root,
            operations: None,
            max_concurrent_requests: 2,
            max_waiting_requests: 16,
            max_message_bytes: 8 << 20,
            max_request_bytes: 1 << 30,
            max_memory_bytes: None,
            threads: None,
            drain_timeout: Duration::from_secs(30),
            log_format: LogFormat::Text,
            limits: Limits::default(),
        }
    }

    /// Reads a configuration file. `root` is relative to its folder.
    ///
    /// # Errors
    /// [`ServiceError::Config`] with all faults at once.
    pub fn read(path: &Path) -> Result<Self, ServiceError> {
        Ok(read_config(path, ServiceConfig::from_toml)?)
    }

    /// Reads configuration text; relative paths start at `folder`.
    ///
    /// # Errors
    /// Every fault, with its place. Of a text that is no TOML, those of its form.
    pub fn from_toml(text: &[u8], folder: &Path) -> Result<Self, Vec<Fault>> {
        parse(text, |top| read_top(top, folder))
    }

    /// All keys of the file.
    pub fn reference() -> Reference {
        let about = "What `mask-services --config FILE` reads, and every service that is made from the Rust template.";
        Reference::of("Mask services", about, |top| read_top(top, Path::new("")))
    }
}

fn read_top(top: &mut Section<'_>, folder: &Path) -> ServiceConfig {
    let default = ServiceConfig::new(settings::root(top, folder));
    let name = text("a name", |name| Some(name.to_owned()));
    ServiceConfig {
        listen: settings::listen(top, default.listen),
        operations: top.option(
            "operations",
            list(name, 1, "a list of at least one name"),
            "all that the program has",
            "names of the operations to serve: one, some or all",
        ),
        max_concurrent_requests: settings::max_concurrent(
            top,
            "max_concurrent_requests",
            default.max_concurrent_requests,
            "requests that work at once",
        ),
        max_waiting_requests: settings::max_waiting(
            top,
            "max_waiting_requests",
            default.max_waiting_requests,
            "requests that wait; one more is RESOURCE_EXHAUSTED",
        ),
        max_message_bytes: settings::max_message_bytes(top, default.max_message_bytes),
        max_request_bytes: limit(
            top,
            "max_request_bytes",
            default.max_request_bytes,
            "all masks of a request together, decoded",
        ),
        max_memory_bytes: settings::max_memory_bytes(top),
        threads: settings::threads(top),
        drain_timeout: settings::drain_timeout(top, default.drain_timeout),
        log_format: settings::log_format(top, default.log_format),
        limits: top.table("limits", "what one mask may cost", |section| {
            read_limits(section, default.limits)
        }),
        root: default.root,
    }
}

fn read_limits(section: &mut Section<'_>, default: Limits) -> Limits {
    Limits {
        max_voxels: limit(section, "max_voxels", default.max_voxels, "voxels"),
        max_payload_bytes: limit(
            section,
            "max_payload_bytes",
            default.max_payload_bytes,
            "bytes of the voxels of a file",
        ),
        max_mask_rows: limit(
            section,
            "max_mask_rows",
            default.max_mask_rows,
            "rows, z times y; each takes 4 bytes",
        ),
        max_mask_runs: limit(
            section,
            "max_mask_runs",
            default.max_mask_runs,
            "runs; each takes 12 bytes",
        ),
        ..default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ServiceConfig, Vec<Fault>> {
        ServiceConfig::from_toml(text.as_bytes(), Path::new("/etc/nephrite"))
    }

    #[test]
    fn a_root_is_enough_and_every_key_is_taken() {
        let least = read("root = 'data'").unwrap();
        assert_eq!(least, ServiceConfig::new("/etc/nephrite/data".into()));
        let found = read(
            "root = '/data'\nlisten = '0.0.0.0:1'\noperations = ['merge']\nmax_concurrent_requests = 3\n\
             max_waiting_requests = 0\nmax_message_bytes = 4096\nmax_request_bytes = 5\nmax_memory_bytes = 12\nthreads = 6\n\
             drain_timeout_seconds = 7\nlog_format = 'json'\n[limits]\nmax_voxels = 8\nmax_payload_bytes = 9\n\
             max_mask_rows = 10\nmax_mask_runs = 11",
        );
        let expected = ServiceConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], 1)),
            root: "/data".into(),
            operations: Some(vec!["merge".to_owned()]),
            max_concurrent_requests: 3,
            max_waiting_requests: 0,
            max_message_bytes: 4096,
            max_request_bytes: 5,
            max_memory_bytes: Some(12),
            threads: NonZeroUsize::new(6),
            drain_timeout: Duration::from_secs(7),
            log_format: LogFormat::Json,
            limits: Limits {
                max_voxels: 8,
                max_payload_bytes: 9,
                max_mask_rows: 10,
                max_mask_runs: 11,
                ..Limits::default()
            },
        };
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let faults =
            read("operations = []\nthreads = 0\nprovider = 'cpu'\n[limits]\nmax_classes = 3").unwrap_err();
        let mut keys: Vec<&str> = faults.iter().map(|fault| fault.kind.key()).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            ["limits.max_classes", "operations", "provider", "root", "threads"]
        );
    }
}
