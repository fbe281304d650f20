//! How much memory of a card is in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts bytes of a card that are in use here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage(Arc<AtomicUsize>);

/// Bytes in use until dropped.
#[derive(Debug)]
pub(crate) struct Used {
    usage: Usage,
    bytes: usize,
}

impl Usage {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self, bytes: usize) -> Used {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        let usage = self.clone();
        Used { usage, bytes }
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.usage.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
