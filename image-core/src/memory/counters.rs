//! What a case, or a step of one, cost.

use nephrite_kernel::Traffic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a case, or a step of one, cost; summed over all processes that took part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Scans that were read and decoded.
    pub scan_reads: u64,
    /// Compressed bytes read from scans.
    pub scan_bytes_read: u64,
    /// Scans that were in memory already.
    pub scan_cache_hits: u64,
    /// Scans that were normalized and resampled for a network.
    pub preprocessings: u64,
    /// Network inputs that were in memory already.
    pub preprocessing_cache_hits: u64,
    /// Models that were loaded.
    pub model_loads: u64,
    /// Bytes read from weight files.
    pub weight_bytes_read: u64,
    /// Models that were in memory already.
    pub model_cache_hits: u64,
    /// Masks that were brought to another grid.
    pub mask_resamples: u64,
    /// Bytes of messages sent to other processes.
    pub wire_bytes_sent: u64,
    /// Bytes of messages that came from other processes.
    pub wire_bytes_received: u64,
    /// The largest of these messages.
    pub largest_message_bytes: u64,
    /// Masks that were too large for a message and went by file.
    pub exchange_files: u64,
}

impl Counters {
    /// Adds what crossed.
    pub(crate) fn add_traffic(&mut self, traffic: &Traffic) {
        self.wire_bytes_sent += traffic.sent;
        self.wire_bytes_received += traffic.received;
        self.largest_message_bytes = self.largest_message_bytes.max(traffic.largest_message);
        self.exchange_files += traffic.exchange_files;
    }

    /// Adds what another step cost.
    pub fn add(&mut self, other: &Counters) {
        self.scan_reads += other.scan_reads;
        self.scan_bytes_read += other.scan_bytes_read;
        self.scan_cache_hits += other.scan_cache_hits;
        self.preprocessings += other.preprocessings;
        self.preprocessing_cache_hits += other.preprocessing_cache_hits;
        self.model_loads += other.model_loads;
        self.weight_bytes_read += other.weight_bytes_read;
        self.model_cache_hits += other.model_cache_hits;
        self.mask_resamples += other.mask_resamples;
        self.wire_bytes_sent += other.wire_bytes_sent;
        self.wire_bytes_received += other.wire_bytes_received;
        self.largest_message_bytes = self.largest_message_bytes.max(other.largest_message_bytes);
        self.exchange_files += other.exchange_files;
    }
}
