//! What a process holds of scans: the last few, as the cache of a real one does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The last few scans of a process.
#[derive(Debug)]
pub(crate) struct Scans {
    most: usize,
    read: Duration,
    /// With when each is read; the one that was used last stands last.
    held: Mutex<VecDeque<(String, Instant)>>,
    reads: AtomicU64,
}

impl Scans {
    /// Holds so many at most; each takes so long to read.
    pub(crate) fn new(most: usize, read: Duration) -> Scans {
        Scans {
            most,
            read,
            held: Mutex::new(VecDeque::new()),
            reads: AtomicU64::new(0),
        }
    }

    /// When the scan is there. Two who want it at once read it once.
    pub(crate) fn want(&self, scan: &str) -> Instant {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let found = held.iter().position(|(name, _)| name == scan);
        let entry = found.and_then(|i| held.remove(i)).unwrap_or_else(|| {
            self.reads.fetch_add(1, Ordering::Relaxed);
            (scan.to_owned(), Instant::now() + self.read)
        });
        let ready = entry.1;
        held.push_back(entry);
        if held.len() > self.most {
            held.pop_front();
        }
        ready
    }

    /// How often something was read.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_that_was_used_longest_ago_goes() {
        let scans = Scans::new(2, Duration::ZERO);
        for scan in ["a", "b", "a", "c", "a", "b"] {
            scans.want(scan);
        }
        assert_eq!(scans.reads(), 4, "b was pushed out by c");
    }
}
