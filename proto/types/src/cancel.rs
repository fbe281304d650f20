//! How work is told to stop: by its caller, or by a deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A flag that stops work from outside, and an optional deadline. Cheap to clone; all clones share the flag.
///
/// Long work calls [`CancelToken::check`] at least once per tile or per slab.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    cancelled: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

/// Why work stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cancelled {
    /// The caller cancelled or went away.
    #[error("cancelled by the caller")]
    ByCaller,
    /// The caller's deadline passed.
    #[error("the deadline passed")]
    DeadlineExceeded,
}

impl CancelToken {
    /// A token that nobody has cancelled and that has no deadline.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same flag, with a deadline.
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// When the work must have ended; it travels with calls to other processes.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// True if the work should stop.
    pub fn is_cancelled(&self) -> bool {
        self.check().is_err()
    }

    /// # Errors
    /// [`Cancelled`] if the work should stop.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Cancelled::ByCaller);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Cancelled::DeadlineExceeded),
            _ => Ok(()),
        }
    }
}
