//! Where steps run, as configured.

use std::path::PathBuf;
use std::time::Duration;

use crate::masks::OperationSettings;

/// Where steps run, as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSettings {
    /// Mask operations.
    pub operations: OperationSettings,
    /// Cores that own models, in order of preference. A model that none of them lists runs in this process.
    pub cores: Vec<RemoteCoreSettings>,
    /// For one model step in another core.
    pub core_timeout: Duration,
}

/// A core that owns models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCoreSettings {
    /// Stands in records and errors.
    pub name: String,
    /// Such as `http://kidney-core:7443`.
    pub address: String,
    /// Folders; every model beneath one of them is this core's.
    pub models: Vec<PathBuf>,
}

impl Default for ServiceSettings {
    /// Everything in this process; an hour.
    fn default() -> Self {
        ServiceSettings {
            operations: OperationSettings::default(),
            cores: Vec::new(),
            core_timeout: Duration::from_secs(3600),
        }
    }
}
