//! The most memory that this process ever held.

/// Of a process that runs a network of next to no size: 16 MB, measured.
pub(crate) const PROCESS_BYTES: u64 = 16_000_000;

/// Of the library of ONNX Runtime, once it is loaded: 26 MB, measured.
pub(crate) const ONNX_RUNTIME_BYTES: u64 = 26_000_000;

/// Of the libraries of CUDA, once a card is open and a network has run there.
pub(crate) const CUDA_BYTES: u64 = 600_000_000;

/// Most memory that this process ever held resident, in bytes; 0 where the system does not tell.
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kib_of(&status, "VmHWM:").unwrap_or(0) * 1024
}

/// The number in a line such as `VmHWM:  123 kB`.
fn kib_of(status: &str, key: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_covers_what_is_held_now() {
        assert!(peak_rss_bytes() > 1 << 20);
        assert_eq!(kib_of("VmPeak:\t1 kB\nVmHWM:\t  77 kB\n", "VmHWM:"), Some(77));
        assert_eq!(kib_of("Name: x", "VmHWM:"), None);
    }
}
