//! Contrast phases of a CT, by the names that requests use.

use serde::{Deserialize, Serialize};

/// Contrast phase of a CT scan. Stated by the caller, never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before contrast medium.
    NonContrast,
    /// Arteries bright, about 20 to 40 s after injection.
    Arterial,
    /// Portal and renal veins and parenchyma bright, about 60 to 80 s.
    PortalVenous,
    /// Renal pelvis and ureters bright, after minutes.
    Delayed,
}

impl Phase {
    /// All phases, in order of time.
    pub const ALL: [Phase; 4] = [
        Phase::NonContrast,
        Phase::Arterial,
        Phase::PortalVenous,
        Phase::Delayed,
    ];

    /// The name used in requests and files.
    pub fn name(self) -> &'static str {
        match self {
            Phase::NonContrast => "non_contrast",
            Phase::Arterial => "arterial",
            Phase::PortalVenous => "portal_venous",
            Phase::Delayed => "delayed",
        }
    }

    /// The phase with this name, if there is one.
    pub fn from_name(name: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
