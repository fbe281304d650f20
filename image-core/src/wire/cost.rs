//! What something cost and which files it used, as messages.

use nephrite_proto::v1;

use crate::memory::Counters;
use crate::model::FileRecord;

impl From<&Counters> for v1::CaseCounters {
    fn from(counters: &Counters) -> Self {
        v1::CaseCounters {
            scan_reads: counters.scan_reads,
            scan_bytes_read: counters.scan_bytes_read,
            scan_cache_hits: counters.scan_cache_hits,
            preprocessings: counters.preprocessings,
            preprocessing_cache_hits: counters.preprocessing_cache_hits,
            model_loads: counters.model_loads,
            weight_bytes_read: counters.weight_bytes_read,
            model_cache_hits: counters.model_cache_hits,
            mask_resamples: counters.mask_resamples,
            wire_bytes_sent: counters.wire_bytes_sent,
            wire_bytes_received: counters.wire_bytes_received,
            largest_message_bytes: counters.largest_message_bytes,
            exchange_files: counters.exchange_files,
        }
    }
}

impl From<&v1::CaseCounters> for Counters {
    fn from(wire: &v1::CaseCounters) -> Self {
        Counters {
            scan_reads: wire.scan_reads,
            scan_bytes_read: wire.scan_bytes_read,
            scan_cache_hits: wire.scan_cache_hits,
            preprocessings: wire.preprocessings,
            preprocessing_cache_hits: wire.preprocessing_cache_hits,
            model_loads: wire.model_loads,
            weight_bytes_read: wire.weight_bytes_read,
            model_cache_hits: wire.model_cache_hits,
            mask_resamples: wire.mask_resamples,
            wire_bytes_sent: wire.wire_bytes_sent,
            wire_bytes_received: wire.wire_bytes_received,
            largest_message_bytes: wire.largest_message_bytes,
            exchange_files: wire.exchange_files,
        }
    }
}

pub(crate) fn file(file: &FileRecord) -> v1::CaseFile {
    v1::CaseFile {
        path: file.path.clone(),
        sha256: file.sha256.clone(),
        bytes: file.bytes,
    }
}
