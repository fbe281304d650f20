//! Where a step runs, as events, records and messages state it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a step runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StepPlace {
    /// In the process that runs the case.
    InProcess,
    /// At a mask service.
    Service {
        /// What the configuration calls it.
        name: String,
        /// Such as `http://cleanup:7444`.
        address: String,
    },
    /// In another core.
    Core {
        /// What the configuration calls it.
        name: String,
        /// Such as `http://kidney-core:7443`.
        address: String,
    },
}

impl fmt::Display for StepPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepPlace::InProcess => f.write_str("in process"),
            StepPlace::Service { name, address } | StepPlace::Core { name, address } => {
                write!(f, "{name} ({address})")
            }
        }
    }
}
