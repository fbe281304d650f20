//! Ctrl-C and SIGTERM cancel the work at hand.

use nephrite_types::CancelToken;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// A token that the first Ctrl-C, SIGTERM or SIGHUP cancels. The second one ends the process at once.
pub(crate) fn cancelled_by_signals() -> CancelToken {
    let cancel = CancelToken::new();
    let token = cancel.clone();
    match Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        Ok(mut signals) => {
            std::thread::spawn(move || {
                for signal in signals.forever() {
                    if token.is_cancelled() {
                        let _ = emulate_default_handler(signal); // does not return
                    }
                    token.cancel();
                }
            });
        }
        Err(error) => tracing::warn!(%error, "signals keep their default action"),
    }
    cancel
}
