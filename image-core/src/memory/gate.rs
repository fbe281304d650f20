//! A gate that lets in as much at once as fits.

use nephrite_server::memory::Line;
use nephrite_types::{CancelToken, Cancelled};

/// Lets in as much at once as fits, in the order of asking. What is larger than the whole goes in alone.
#[derive(Debug)]
pub(crate) struct Gate {
    capacity: u64,
    inside: Line<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    amount: u64,
    n: usize,
}

/// The right to be inside; given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    amount: u64,
}

impl Gate {
    pub(crate) fn new(capacity: u64) -> Self {
        Gate {
            capacity,
            inside: Line::default(),
        }
    }

    /// Waits until `amount` fits.
    pub(crate) fn enter(&self, amount: u64, cancel: &CancelToken) -> Result<Pass<'_>, Cancelled> {
        self.inside.wait(cancel, |inside| {
            let together = inside.amount.saturating_add(amount);
            (inside.n == 0 || together <= self.capacity).then(|| {
                inside.amount = together;
                inside.n += 1;
                Pass { gate: self, amount }
            })
        })
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.inside.change(|inside| {
            inside.amount = inside.amount.saturating_sub(self.amount);
            inside.n -= 1;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn never_more_inside_than_fits_and_everybody_gets_in() {
        let (gate, inside, done) = (Gate::new(10), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for n in 0..16u64 {
                let (gate, inside, done) = (&gate, &inside, &done);
                scope.spawn(move || {
                    let amount = n % 7;
                    let _pass = gate.enter(amount, &CancelToken::new()).unwrap();
                    assert!(inside.fetch_add(amount, Ordering::SeqCst) + amount <= 10);
                    std::thread::sleep(Duration::from_millis(2));
                    inside.fetch_sub(amount, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(done.into_inner(), 16);
    }

    #[test]
    fn what_is_too_large_goes_in_alone_and_a_cancelled_one_leaves_the_line() {
        let gate = Gate::new(10);
        let large = gate.enter(100, &CancelToken::new()).unwrap();
        let cancelled = CancelToken::new();
        cancelled.cancel();
        assert!(gate.enter(1, &cancelled).is_err());
        drop(large);
        let _one = gate.enter(1, &CancelToken::new()).unwrap();
        let _nine = gate.enter(9, &CancelToken::new()).unwrap();
        assert!(gate.enter(1, &cancelled).is_err());
    }
}
