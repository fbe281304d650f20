//! What stays in memory between requests, as the budget sees it.

use nephrite_server::memory::Idle;

use crate::resident::{ModelKey, ModelStore};
use crate::volumes::{ScanKey, VolumeStore};

/// Resident models and volumes; those that the asking request will use are left alone.
pub(crate) struct Residents<'a> {
    pub(crate) models: &'a ModelStore,
    pub(crate) volumes: &'a VolumeStore,
    pub(crate) wanted_models: &'a [&'a ModelKey],
    /// With what was made of it.
    pub(crate) wanted_scan: Option<&'a ScanKey>,
}

impl Residents<'_> {
    fn wants_model(&self, key: &ModelKey) -> bool {
        self.wanted_models.contains(&key)
    }
}

impl Idle for Residents<'_> {
    fn bytes(&self) -> u64 {
        let models = self.models.idle_bytes(|key| self.wants_model(key));
        let volumes = self
            .volumes
            .idle_bytes(|key| Some(key.scan()) == self.wanted_scan);
        models.saturating_add(volumes)
    }

    fn drop_bytes(&self, bytes: u64) {
        // Volumes first: reading a scan again costs less than making a network again.
        let dropped = self
            .volumes
            .drop_idle(bytes, |key| Some(key.scan()) == self.wanted_scan);
        let left = bytes.saturating_sub(dropped);
        if left > 0 {
            self.models.drop_idle(left, |key| self.wants_model(key));
        }
    }
}
