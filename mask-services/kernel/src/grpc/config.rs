//! The configuration file of a mask service.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nephrite_server::settings::{self, limit};
use nephrite_server::{ConfigFault, LogFormat, Section, count, read_config, strings};
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
    /// Every fault: unknown keys, missing ones, values that cannot be. Of a text that is no TOML, the first.
    pub fn from_toml(text: &str, folder: &Path) -> Result<Self, Vec<ConfigFault>> {
        Section::parse(text, |top| {
            let mut config = ServiceConfig::new(PathBuf::new());
            settings::root(top, folder, &mut config.root);
            settings::listen(top, &mut config.listen);
            config.operations = top.take("operations", "a list of at least one name", |value| {
                strings(value).filter(|names| !names.is_empty())
            });
            settings::max_concurrent(
                top,
                "max_concurrent_requests",
                &mut config.max_concurrent_requests,
            );
            settings::max_waiting(top, "max_waiting_requests", &mut config.max_waiting_requests);
            settings::max_message_bytes(top, &mut config.max_message_bytes);
            limit(top, "max_request_bytes", &mut config.max_request_bytes);
            settings::max_memory_bytes(top, &mut config.max_memory_bytes);
            config.threads = top.take("threads", "a whole number of at least 1", |value| {
                NonZeroUsize::new(usize::try_from(count(value)?).ok()?)
            });
            settings::drain_timeout(top, &mut config.drain_timeout);
            settings::log_format(top, &mut config.log_format);
            if let Some(table) = top.table("limits") {
                let mut section = top.within("limits.", table);
                limit(&mut section, "max_voxels", &mut config.limits.max_voxels);
                limit(
                    &mut section,
                    "max_payload_bytes",
                    &mut config.limits.max_payload_bytes,
                );
                limit(&mut section, "max_mask_rows", &mut config.limits.max_mask_rows);
                limit(&mut section, "max_mask_runs", &mut config.limits.max_mask_runs);
            }
            config
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ServiceConfig, Vec<ConfigFault>> {
        ServiceConfig::from_toml(text, Path::new("/etc/nephrite"))
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
        let mut keys: Vec<&str> = faults.iter().map(ConfigFault::key).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            ["limits.max_classes", "operations", "provider", "root", "threads"]
        );
    }
}
