//! Bounds the threads that a user asks for by those that the container has.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// `wanted` threads, or as many as the process may keep busy if those are fewer (its CPU affinity and the quotas of its
/// cgroups say). Warns then: more would only take turns, and spin while they wait, so that 256 threads on 2 cores take 15
/// times as long as 2.
pub fn usable_threads(wanted: NonZeroUsize) -> usize {
    let usable = available_parallelism().map_or(1, NonZeroUsize::get);
    if wanted.get() > usable {
        tracing::warn!(
            wanted,
            "{usable} threads are used, for the process may not keep more busy"
        );
    }
    wanted.get().min(usable)
}

/// How many threads a program's rayon pool gets: `wanted` or, without it, what rayon's own environment variables ask for, but
/// no more than are usable. `None` if nobody asks; rayon then takes what is usable.
pub fn pool_threads(wanted: Option<NonZeroUsize>) -> Option<usize> {
    let variables = ["RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"];
    let asked = || {
        let values = variables.into_iter().find_map(|name| std::env::var(name).ok());
        values.as_deref().and_then(asked_for)
    };
    wanted.or_else(asked).map(usable_threads)
}

/// The number in one of rayon's variables; rayon ignores 0 and whatever is no number.
fn asked_for(value: &str) -> Option<NonZeroUsize> {
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_there_are_become_as_many_as_there_are() {
        let usable = available_parallelism().unwrap().get();
        for wanted in [1, 2, 256, 2000, usize::MAX] {
            let wanted = NonZeroUsize::new(wanted).unwrap();
            assert_eq!(usable_threads(wanted), wanted.get().min(usable));
            assert_eq!(pool_threads(Some(wanted)), Some(wanted.get().min(usable)));
        }
    }

    #[test]
    fn what_rayon_ignores_asks_for_nothing() {
        assert_eq!(asked_for("2000"), NonZeroUsize::new(2000));
        for ignored in ["", "0", "-1", "many", "1.5"] {
            assert_eq!(asked_for(ignored), None, "{ignored:?}");
        }
    }
}
