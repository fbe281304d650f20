//! What happens to a job, on standard error: its steps as those of a case that runs here, and lines between them.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use nephrite_image_core::case::{CaseEvent, CaseEvents, StepPlace};
use nephrite_proto::convert::warning;
use nephrite_proto::v1;
use nephrite_proto::v1::watch_response::Event;

use super::outcome::has_ended;
use crate::cli::case_progress;
use crate::cli::run_at_server::case_event;

/// Shows what happens to a job on standard error.
pub(super) struct Display {
    /// Nothing but warnings.
    quiet: bool,
    /// Bars are taken off a terminal before a line is printed, and come back with the next event.
    is_terminal: bool,
    bars: Option<Box<dyn CaseEvents>>,
    /// Steps that run, and where.
    running: BTreeMap<String, StepPlace>,
    /// How a job ended that did not succeed. Whoever waits for the job says so at the end; it is a line of its own only if the
    /// job went on.
    held: Option<String>,
}

impl Display {
    pub(super) fn new(quiet: bool) -> Self {
        Display {
            quiet,
            is_terminal: std::io::stderr().is_terminal(),
            bars: None,
            running: BTreeMap::new(),
            held: None,
        }
    }

    /// Prints a line between the steps.
    pub(super) fn line(&mut self, line: &str) {
        if self.is_terminal {
            self.bars = None;
        }
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    /// Shows what happened.
    pub(super) fn event(&mut self, event: v1::WatchResponse) {
        if let Some(held) = self.held.take() {
            self.line(&held);
        }
        match event.event {
            Some(Event::State(change)) => self.state(&change),
            Some(Event::Progress(progress)) => self.progress(progress),
            Some(Event::Warning(odd)) => {
                if let Some(warning) = warning(&odd) {
                    self.bars().event(CaseEvent::Warning { step: None, warning });
                }
            }
            Some(Event::Mask(_)) | None => {}
        }
    }

    /// No step runs across a change of state.
    fn state(&mut self, change: &v1::JobStateChange) {
        self.bars = None;
        self.running.clear();
        let Some(line) = state_line(change) else { return };
        let state = change.state();
        if has_ended(state) && state != v1::JobState::Succeeded {
            self.held = Some(line);
        } else {
            self.line(&line);
        }
    }

    fn progress(&mut self, progress: v1::StepProgress) {
        let place = progress.place.clone();
        let Some(event) = case_event(progress) else { return };
        match &event {
            CaseEvent::Running { step, place } => {
                self.bars(); // those that run already are in it
                self.running.insert(step.clone(), place.clone());
            }
            // Its beginning came before the first event that was asked for.
            CaseEvent::Stage { step, .. } | CaseEvent::Tiles { step, .. }
                if !self.running.contains_key(step) =>
            {
                let place = place.and_then(|place| StepPlace::try_from(place).ok());
                let place = place.unwrap_or(StepPlace::InProcess);
                self.bars().event(begins(step, &place));
                self.running.insert(step.clone(), place);
            }
            CaseEvent::Done { step } | CaseEvent::Skipped { step, .. } => {
                self.bars();
                self.running.remove(step);
            }
            _ => {}
        }
        self.bars().event(event);
    }

    /// Where events of steps are shown: with those that run already.
    fn bars(&mut self) -> &dyn CaseEvents {
        let bars = self.bars.get_or_insert_with(|| {
            let bars = case_progress::on_stderr(self.quiet);
            for (step, place) in &self.running {
                bars.event(begins(step, place));
            }
            bars
        });
        &**bars
    }
}

fn begins(step: &str, place: &StepPlace) -> CaseEvent {
    CaseEvent::Running {
        step: step.to_owned(),
        place: place.clone(),
    }
}

/// A change of state as a line; none if a newer server knows that state.
fn state_line(change: &v1::JobStateChange) -> Option<String> {
    let job = change.job.as_ref();
    let text = match change.state() {
        v1::JobState::Unspecified => return None,
        v1::JobState::Queued => match job.and_then(|job| job.place) {
            Some(place) => format!("job waits, place {place}"),
            None => "job waits".to_owned(),
        },
        v1::JobState::Running => format!("job runs on {}, try {}", change.worker, change.attempt),
        v1::JobState::Succeeded => match job.and_then(|job| job.request.as_ref()) {
            Some(case) => format!("job has succeeded: {}", case.output),
            None => "job has succeeded".to_owned(),
        },
        v1::JobState::Failed => "job has failed".to_owned(),
        v1::JobState::Cancelled => "job was cancelled".to_owned(),
        v1::JobState::Expired => "the deadline of the job passed".to_owned(),
        v1::JobState::Dead => "job was given up".to_owned(),
    };
    Some(match &*change.reason {
        "" => text,
        reason => format!("{text}: {reason}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::jobs::sample;

    fn change(state: v1::JobState, job: v1::Job) -> v1::JobStateChange {
        v1::JobStateChange {
            state: state.into(),
            attempt: job.executions,
            worker: job.worker.clone(),
            job: Some(job),
            ..v1::JobStateChange::default()
        }
    }

    #[test]
    fn each_change_of_state_is_a_line() {
        let line = |state, job| state_line(&change(state, job)).unwrap();
        assert_eq!(
            line(v1::JobState::Queued, sample::waiting()),
            "job waits, place 2"
        );
        assert_eq!(
            line(v1::JobState::Running, sample::running()),
            "job runs on core-1, try 1"
        );
        let succeeded = line(v1::JobState::Succeeded, sample::running());
        assert_eq!(succeeded, "job has succeeded: results/17");
        let lost = v1::JobStateChange {
            state: v1::JobState::Queued.into(),
            reason: "its worker died".to_owned(),
            ..v1::JobStateChange::default()
        };
        assert_eq!(state_line(&lost).unwrap(), "job waits: its worker died");
        assert_eq!(state_line(&v1::JobStateChange::default()), None);
    }

    #[test]
    fn steps_that_run_are_known_until_the_state_changes() {
        let event = |event| v1::WatchResponse {
            event: Some(event),
            ..v1::WatchResponse::default()
        };
        let step = |name: &str, state: v1::StepState, stage: Option<v1::Stage>| {
            let running = v1::StepProgress {
                step: name.to_owned(),
                state: state.into(),
                stage: stage.map(Into::into),
                ..v1::StepProgress::default()
            };
            event(Event::Progress(running))
        };
        let mut display = Display::new(true);
        display.event(step("a", v1::StepState::Running, Some(v1::Stage::Read)));
        display.event(step("b", v1::StepState::Running, Some(v1::Stage::Read)));
        display.event(step("a", v1::StepState::Done, None));
        assert!(display.running.keys().eq(["b"]), "{:?}", display.running);
        let failed = change(v1::JobState::Failed, sample::failed());
        display.event(event(Event::State(failed)));
        assert!(display.running.is_empty() && display.held.is_some());
        let again = change(v1::JobState::Queued, sample::waiting());
        display.event(event(Event::State(again)));
        assert_eq!(display.held, None);
    }
}
