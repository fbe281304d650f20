//! How many instances have come or gone, on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::ProgressBar;
use nephrite_types::{NoProgress, Progress, Stage};

use crate::cli::progress::{LINE_EVERY, style};

pub(super) fn on_stderr(quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(NoProgress)
    } else if std::io::stderr().is_terminal() {
        let bar = ProgressBar::no_length();
        bar.set_style(style("{spinner} [{bar:40}] {pos}/{len} instances, {eta} left"));
        Box::new(Bar(bar))
    } else {
        Box::new(Lines(Mutex::new(None)))
    }
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn stage(&self, _: Stage) {}

    fn advance(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// When the last line was written.
struct Lines(Mutex<Option<Instant>>);

impl Progress for Lines {
    fn stage(&self, _: Stage) {}

    fn advance(&self, done: u64, total: u64) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if done == total || last.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            eprintln!("instance {done} of {total}");
            *last = Some(Instant::now());
        }
    }
}
