//! Lets a cancel token stop work of a library that knows no token.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use nephrite_types::CancelToken;

/// How often the token is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Does work that knows no token of ours; calls `stop` once, from another thread, if the token asks to stop meanwhile.
pub(crate) fn stoppable<R>(cancel: &CancelToken, stop: impl FnOnce() + Send, work: impl FnOnce() -> R) -> R {
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            while is_done.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                if cancel.is_cancelled() {
                    return stop();
                }
            }
        });
        let result = work();
        drop(done);
        result
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn work_that_is_cancelled_is_told_to_stop_and_other_work_is_not() {
        let stopped = AtomicBool::new(false);
        let stop = || stopped.store(true, Ordering::Relaxed);
        assert_eq!(stoppable(&CancelToken::new(), stop, || 7), 7);
        assert!(!stopped.load(Ordering::Relaxed));
        let cancel = CancelToken::new();
        stoppable(&cancel, stop, || {
            cancel.cancel();
            while !stopped.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        });
        assert!(stopped.load(Ordering::Relaxed));
    }
}
