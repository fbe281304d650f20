//! How work is told to stop: by its caller, or by a deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A flag that stops work from outside, and an optional deadline. Cheap to clone; all clones share the flag.
///
/// Long work calls [`CancelToken::check`] at least once per tile or per slab.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    flag: Arc<Flag>,
    deadline: Option<Instant>,
}

#[derive(Debug, Default)]
struct Flag {
    is_set: AtomicBool,
    /// Stops this work too.
    parent: Option<Arc<Flag>>,
}

impl Flag {
    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed) || self.parent.as_ref().is_some_and(|parent| parent.is_set())
    }
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

    /// A token for a part of the work: cancelled with this one, or by itself. It has the same deadline.
    #[must_use]
    pub fn child(&self) -> Self {
        CancelToken {
            flag: Arc::new(Flag {
                is_set: AtomicBool::new(false),
                parent: Some(self.flag.clone()),
            }),
            deadline: self.deadline,
        }
    }

    /// When the work must have ended; it travels with calls to other processes.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.flag.is_set.store(true, Ordering::Relaxed);
    }

    /// True if the work should stop.
    pub fn is_cancelled(&self) -> bool {
        self.check().is_err()
    }

    /// # Errors
    /// [`Cancelled`] if the work should stop.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.flag.is_set() {
            return Err(Cancelled::ByCaller);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Cancelled::DeadlineExceeded),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_work_stops_with_the_whole_and_alone() {
        let whole = CancelToken::new();
        let (part, other) = (whole.child(), whole.child().child());
        part.cancel();
        assert!(part.is_cancelled() && !whole.is_cancelled() && !other.is_cancelled());
        whole.cancel();
        assert_eq!(other.check(), Err(Cancelled::ByCaller));
        let late = CancelToken::new().with_deadline(Instant::now()).child();
        assert_eq!(late.check(), Err(Cancelled::DeadlineExceeded));
    }
}
