//! Admission by memory: a request starts when what it expects to need at its peak fits beside what others reserved.

use nephrite_types::CancelToken;

use super::{Allowance, Line, MemoryError};

/// What this process may hold at once, and who has reserved how much of it.
///
/// Three things are counted: the process itself with its libraries, what requests reserved before they started, and what is
/// resident but idle. What is resident and in use is part of the reservation of whoever uses it. Idle things are dropped when
/// their room is needed. Requests get in in the order of asking; what is larger than the whole is refused at once.
#[derive(Debug)]
pub struct MemoryBudget {
    allowance: Allowance,
    /// Without the process itself.
    capacity: u64,
    reserved: Line<u64>,
}

/// Memory that is held for later requests, and can be given back.
pub trait Idle {
    /// Bytes that nobody uses, those that the asking request will use left out: they are in its reservation.
    fn bytes(&self) -> u64;
    /// Drops at least so many of them, or all.
    fn drop_bytes(&self, bytes: u64);
}

/// Of a process that keeps nothing between requests.
#[derive(Debug, Clone, Copy)]
pub struct NothingIdle;

impl Idle for NothingIdle {
    fn bytes(&self) -> u64 {
        0
    }

    fn drop_bytes(&self, _: u64) {}
}

/// Bytes that a request may hold; given back when dropped.
#[derive(Debug)]
pub struct Reservation<'a> {
    budget: &'a MemoryBudget,
    bytes: u64,
}

impl MemoryBudget {
    /// `process_bytes` are those of the process before any request.
    pub fn new(allowance: Allowance, process_bytes: u64) -> Self {
        MemoryBudget {
            allowance,
            capacity: allowance.bytes.saturating_sub(process_bytes),
            reserved: Line::default(),
        }
    }

    /// What the whole process may hold.
    pub fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// What all requests together may hold.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Refuses what can never fit.
    ///
    /// # Errors
    /// [`MemoryError::Over`]
    pub fn check(&self, what: &'static str, bytes: u64) -> Result<(), MemoryError> {
        if bytes <= self.capacity {
            return Ok(());
        }
        Err(MemoryError::Over {
            what,
            needed: bytes,
            available: self.capacity,
            bound: self.allowance.source,
        })
    }

    /// Whether so many bytes are free now, or nothing is held: what can never fit is for the request itself to refuse.
    pub fn has_room(&self, bytes: u64) -> bool {
        let reserved = self.reserved.change(|reserved| *reserved);
        reserved == 0 || bytes <= self.capacity - reserved // never more is reserved
    }

    /// Waits until `bytes` fit; drops what is idle if that makes them fit. `what` is for the message of a refusal.
    ///
    /// # Errors
    /// [`MemoryError::Over`] at once if they can never fit; [`MemoryError::Cancelled`].
    pub fn reserve(
        &self,
        what: &'static str,
        bytes: u64,
        idle: &dyn Idle,
        cancel: &CancelToken,
    ) -> Result<Reservation<'_>, MemoryError> {
        self.check(what, bytes)?;
        let left = self.reserved.wait(cancel, |reserved| {
            let left = (self.capacity - *reserved).checked_sub(bytes)?; // never more is reserved
            *reserved += bytes;
            Some(left)
        })?;
        let reservation = Reservation { budget: self, bytes };
        let surplus = idle.bytes().saturating_sub(left);
        if surplus > 0 {
            idle.drop_bytes(surplus);
        }
        Ok(reservation)
    }
}

impl Reservation<'_> {
    /// What may be held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// For a request that knows more now than when it asked: takes what is missing to `bytes`, if it is free. It does not
    /// wait, since two that hold something and wait for each other would wait for ever.
    ///
    /// # Errors
    /// [`MemoryError::Over`] if so much can never be had, [`MemoryError::Taken`] if others hold it.
    pub fn grow(&mut self, what: &'static str, bytes: u64) -> Result<(), MemoryError> {
        self.budget.check(what, bytes)?;
        let Some(more) = bytes.checked_sub(self.bytes) else {
            return Ok(());
        };
        self.budget.reserved.change(|reserved| {
            let free = self.budget.capacity - *reserved; // never more is reserved
            if more > free {
                return Err(MemoryError::Taken {
                    what,
                    needed: bytes,
                    free: self.bytes + free,
                });
            }
            *reserved += more;
            self.bytes = bytes;
            Ok(())
        })
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.budget.reserved.change(|reserved| *reserved -= self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use nephrite_types::{Coded, ErrorCode};

    use super::*;

    /// So many bytes are idle.
    struct IdleBytes(AtomicU64);

    impl Idle for IdleBytes {
        fn bytes(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }

        fn drop_bytes(&self, bytes: u64) {
            let before = self.0.load(Ordering::SeqCst);
            self.0.store(before.saturating_sub(bytes), Ordering::SeqCst);
        }
    }

    fn budget(bytes: u64) -> MemoryBudget {
        MemoryBudget::new(Allowance::configured(bytes + 5), 5)
    }

    #[test]
    fn never_more_is_reserved_than_fits_and_everybody_gets_in() {
        let (budget, inside, done) = (budget(10), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for n in 0..32u64 {
                let (budget, inside, done) = (&budget, &inside, &done);
                scope.spawn(move || {
                    let bytes = n % 11;
                    let _reserved = budget
                        .reserve("a test", bytes, &NothingIdle, &CancelToken::new())
                        .unwrap();
                    assert!(inside.fetch_add(bytes, Ordering::SeqCst) + bytes <= 10);
                    std::thread::sleep(Duration::from_millis(2));
                    inside.fetch_sub(bytes, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(done.into_inner(), 32);
    }

    #[test]
    fn what_can_never_fit_is_refused_at_once_and_says_how_much_there_is() {
        let budget = budget(10);
        let _all = budget
            .reserve("a test", 10, &NothingIdle, &CancelToken::new())
            .unwrap();
        let refused = budget
            .reserve("a test", 11, &NothingIdle, &CancelToken::new())
            .unwrap_err();
        assert_eq!(refused.code(), ErrorCode::LimitExceeded);
        assert_eq!(
            refused.to_string(),
            "a test needs about 11 bytes of memory, this process may take 10 (configured)"
        );
    }

    #[test]
    fn only_as_much_of_what_is_idle_is_dropped_as_is_needed() {
        let (budget, idle) = (budget(10), IdleBytes(AtomicU64::new(6)));
        let reserve = |bytes| {
            budget
                .reserve("a test", bytes, &idle, &CancelToken::new())
                .unwrap()
        };
        let four = reserve(4);
        assert_eq!(idle.bytes(), 6, "all fits");
        let three = reserve(3);
        assert_eq!(idle.bytes(), 3);
        drop((four, three));
        let _all = reserve(10);
        assert_eq!(idle.bytes(), 0);
    }

    #[test]
    fn what_turns_out_larger_takes_what_is_free_and_does_not_wait() {
        let budget = budget(10);
        let reserve = |bytes| {
            budget
                .reserve("a test", bytes, &NothingIdle, &CancelToken::new())
                .unwrap()
        };
        let (mut first, second) = (reserve(4), reserve(3));
        first.grow("a test", 2).unwrap();
        assert_eq!(first.bytes(), 4, "it never shrinks");
        first.grow("a test", 7).unwrap();
        let taken = first.grow("a test", 8).unwrap_err();
        assert_eq!(taken.code(), ErrorCode::Overloaded);
        assert_eq!(
            first.grow("a test", 11).unwrap_err().code(),
            ErrorCode::LimitExceeded
        );
        drop(second);
        first.grow("a test", 10).unwrap();
        drop(first);
        let _all = reserve(10);
    }

    #[test]
    fn a_cancelled_request_leaves_the_line() {
        let budget = budget(10);
        let all = budget
            .reserve("a test", 10, &NothingIdle, &CancelToken::new())
            .unwrap();
        let cancelled = CancelToken::new();
        cancelled.cancel();
        let refused = budget.reserve("a test", 1, &NothingIdle, &cancelled).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Cancelled);
        drop(all);
        budget
            .reserve("a test", 10, &NothingIdle, &CancelToken::new())
            .unwrap();
    }
}
