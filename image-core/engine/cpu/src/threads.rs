//! The threads that work on one tile.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::CpuError;

/// A pool of threads. Cheap to clone; all clones are one pool.
#[derive(Clone)]
pub struct Threads {
    pool: Arc<rayon::ThreadPool>,
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Threads({})", self.len())
    }
}

impl Threads {
    /// Starts so many threads, at least one. With `pin`, each stays on one core of those that the calling thread may use (its
    /// affinity mask, which a cpuset bounds), in their order; threads share cores only if there are more threads than cores.
    ///
    /// # Errors
    /// [`CpuError::Threads`] if they cannot be had, or not be pinned.
    pub fn new(n_threads: usize, pin: bool) -> Result<Threads, CpuError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(n_threads.max(1))
            .thread_name(|i| format!("network-{i}"))
            .build()
            .map_err(|error| CpuError::Threads {
                reason: error.to_string(),
            })?;
        if pin {
            pin_to_cores(&pool)?;
        }
        Ok(Threads { pool: Arc::new(pool) })
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Runs something on one of them; what it splits is done by all.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Calls `task(thread, i)` once for every `i` below `n`; none any more once `stop` is set. To be called within
    /// [`Threads::install`].
    pub(crate) fn for_each(&self, n: usize, stop: &AtomicBool, task: impl Fn(usize, usize) + Sync) {
        let next = AtomicUsize::new(0);
        let work = |thread: usize| {
            while !stop.load(Ordering::Relaxed) {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= n {
                    break;
                }
                task(thread, i);
            }
        };
        if n == 1 || self.len() == 1 {
            work(self.pool.current_thread_index().unwrap_or(0));
        } else {
            self.pool.broadcast(|context| work(context.index()));
        }
    }
}

/// Keeps each thread of the pool on one core.
fn pin_to_cores(pool: &rayon::ThreadPool) -> Result<(), CpuError> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if cores.is_empty() {
        let reason =
            "the system does not say which cores this process may use, so no thread can be pinned to one";
        return Err(CpuError::Threads {
            reason: reason.to_owned(),
        });
    }
    let core_of = |thread: usize| cores[thread % cores.len()];
    let pinned = pool.broadcast(|context| core_affinity::set_for_current(core_of(context.index())));
    match pinned.iter().position(|is_pinned| !is_pinned) {
        Some(thread) => Err(CpuError::Threads {
            reason: format!("thread {thread} cannot be pinned to core {}", core_of(thread).id),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids of the cores that each thread may use.
    fn cores(threads: &Threads) -> Vec<Vec<usize>> {
        let allowed = || {
            core_affinity::get_core_ids()
                .unwrap()
                .iter()
                .map(|core| core.id)
                .collect()
        };
        threads.pool.broadcast(|_| allowed())
    }

    #[test]
    fn pinned_threads_stay_on_one_allowed_core_each_and_others_on_all() {
        let allowed: Vec<usize> = core_affinity::get_core_ids()
            .unwrap()
            .iter()
            .map(|core| core.id)
            .collect();
        for n_threads in [1, allowed.len(), allowed.len() + 1] {
            let pinned = cores(&Threads::new(n_threads, true).unwrap());
            let expected: Vec<Vec<usize>> = (0..n_threads)
                .map(|thread| vec![allowed[thread % allowed.len()]])
                .collect();
            assert_eq!(pinned, expected);
        }
        assert_eq!(
            cores(&Threads::new(2, false).unwrap()),
            [allowed.clone(), allowed]
        );
    }

    /// What a cpuset or `taskset` took away is not used.
    #[test]
    fn threads_are_pinned_to_cores_of_the_callers_mask() {
        std::thread::spawn(|| {
            let only = core_affinity::get_core_ids().unwrap().pop().unwrap();
            assert!(core_affinity::set_for_current(only));
            let pinned = cores(&Threads::new(2, true).unwrap());
            assert_eq!(pinned, [[only.id], [only.id]]);
        })
        .join()
        .unwrap();
    }
}
