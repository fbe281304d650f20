//! What the machine can do, and what this process holds of it.

use nephrite_cpu::roofline::{copy_gbytes_per_second, peak_gflops};
use nephrite_cpu::{CpuError, Level, Threads};
use serde_json::{Value, json};

/// Blocks that fit the first cache, the second, the third, and none.
const COPIED_BYTES: [usize; 4] = [32 << 10, 512 << 10, 8 << 20, 256 << 20];

/// Peaks of every level that runs here, and copies.
pub(crate) fn roofline(threads: &Threads) -> Result<Value, CpuError> {
    let mut peaks = Vec::new();
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        peaks.push(json!({ "level": level.name(), "gflops": peak_gflops(level, threads)? }));
    }
    let copies: Vec<Value> = COPIED_BYTES
        .iter()
        .map(|bytes| json!({ "bytes": bytes, "gbytes_per_second": copy_gbytes_per_second(*bytes, threads) }))
        .collect();
    Ok(json!({ "threads": threads.len(), "peaks": peaks, "copies": copies }))
}

/// `{"peak_rss_bytes": …, "rss_bytes": …}` of this process; null where the system does not say.
pub(crate) fn memory() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace()
            .nth(1)?
            .parse::<u64>()
            .ok()
            .map(|kib| kib * 1024)
    };
    json!({ "peak_rss_bytes": bytes("VmHWM:"), "rss_bytes": bytes("VmRSS:") })
}
