//! How many threads a container may really use.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// How many threads this process may keep busy: the smallest of its CPU affinity and the quotas of its cgroups (version
/// 1 or 2), rounded down, at least 1.
///
/// ONNX Runtime and rayon left alone would count the machine's cores and be throttled in a container.
pub fn thread_count_from_cgroup() -> usize {
    // The standard library reads affinity and cgroups; it fails only where neither can be read.
    available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_thread() {
        assert!(thread_count_from_cgroup() >= 1);
    }
}
