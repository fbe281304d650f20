//! Seconds of wall time per stage.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nephrite_types::{Progress, Stage, Warning};

use super::StageSeconds;

/// Sums the seconds spent in each stage, keeps warnings, and passes everything on.
///
/// The algorithms read no clock; they say when they switch. Inference and export alternate while slabs stream.
pub(crate) struct StageClock<'a> {
    next: &'a dyn Progress,
    state: Mutex<State>,
}

struct State {
    current: Option<(Stage, Instant)>,
    sums: StageSeconds,
    warnings: Vec<Warning>,
}

impl<'a> StageClock<'a> {
    pub(crate) fn new(next: &'a dyn Progress) -> Self {
        StageClock {
            next,
            state: Mutex::new(State {
                current: None,
                sums: StageSeconds::default(),
                warnings: Vec::new(),
            }),
        }
    }

    /// Ends the current stage and gives the sums so far.
    pub(crate) fn stop(&self) -> StageSeconds {
        self.switch(None);
        self.state.lock().unwrap_or_else(PoisonError::into_inner).sums
    }

    /// Ends the current stage; what follows counts for none until the next begins.
    pub(crate) fn wait(&self) {
        self.switch(None);
    }

    /// The sums of stages that have ended.
    pub(crate) fn so_far(&self) -> StageSeconds {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).sums
    }

    /// The warnings so far, each once.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.warnings.clone()
    }

    fn switch(&self, to: Option<Stage>) {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((stage, since)) = state.current.take() {
            state.sums.add(stage, now.duration_since(since).as_secs_f64());
        }
        state.current = to.map(|stage| (stage, now));
    }
}

impl Progress for StageClock<'_> {
    fn stage(&self, stage: Stage) {
        self.switch(Some(stage));
        self.next.stage(stage);
    }

    fn advance(&self, done: u64, total: u64) {
        self.next.advance(done, total);
    }

    fn warning(&self, warning: &Warning) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.warnings.contains(warning) {
            return;
        }
        state.warnings.push(warning.clone());
        drop(state);
        self.next.warning(warning);
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::NoProgress;

    use super::*;

    #[test]
    fn alternating_stages_are_summed_and_time_after_the_stop_is_not() {
        let clock = StageClock::new(&NoProgress);
        for _ in 0..2 {
            clock.stage(Stage::Inference);
            std::thread::sleep(std::time::Duration::from_millis(20));
            clock.stage(Stage::Export);
        }
        let sums = clock.stop();
        assert!(sums.inference >= 0.04, "{sums:?}");
        assert!(sums.export < 0.02, "{sums:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(clock.stop(), sums);
    }
}
