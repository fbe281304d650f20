//! What the work on a job talks to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nephrite_job_state::Progress;
use nephrite_types::CancelToken;

use crate::engine::{Beat, JobEngine, Lease};
use crate::error::JobError;
use crate::pulse::{Pace, Pulse};

/// Something that the work tells of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// As watchers get it.
    pub body: Vec<u8>,
    /// How far the job is.
    pub progress: Option<Progress>,
    /// Of the step whose tiles it counts: a later note about the same tiles takes its place if it was not sent yet.
    pub tiles_of: Option<String>,
}

/// What the work on a job talks to: it tells how far it is, hears whether it shall stop, and asks before it gives its result
/// a name.
pub struct Desk<'a> {
    engine: &'a dyn JobEngine,
    lease: &'a Lease,
    cancel: CancelToken,
    state: Mutex<State>,
}

struct State {
    pulse: Pulse,
    notes: Vec<Note>,
    progress: Option<Progress>,
}

/// Notes that wait to be sent; tiles are left out first.
const MAX_NOTES: usize = 1024;

impl<'a> Desk<'a> {
    pub(crate) fn new(engine: &'a dyn JobEngine, lease: &'a Lease, cancel: CancelToken, pace: Pace) -> Self {
        Desk {
            engine,
            lease,
            cancel,
            state: Mutex::new(State {
                pulse: Pulse::new(pace, Instant::now()),
                notes: Vec::new(),
                progress: None,
            }),
        }
    }

    /// Stops when the job is cancelled, its deadline passes, its lease is lost, or its worker ends.
    pub fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

    /// Tells something. Never waits.
    pub fn tell(&self, note: Note) {
        let mut state = self.state();
        let now = Instant::now();
        match note.tiles_of {
            Some(_) => state.pulse.tile(now),
            None => state.pulse.sign(now),
        }
        if note.progress.is_some() {
            state.progress.clone_from(&note.progress);
        }
        let waiting = note.tiles_of.as_ref().and_then(|step| {
            state
                .notes
                .iter()
                .position(|other| other.tiles_of.as_ref() == Some(step))
        });
        match waiting {
            Some(i) => {
                state.notes.remove(i);
                state.notes.push(note); // after what happened since
            }
            None if note.tiles_of.is_some() && state.notes.len() >= MAX_NOTES => {}
            None => state.notes.push(note),
        }
    }

    /// The work goes on, and there is nothing to tell.
    pub fn pulse(&self, is_tile: bool) {
        let (mut state, now) = (self.state(), Instant::now());
        match is_tile {
            true => state.pulse.tile(now),
            false => state.pulse.sign(now),
        }
    }

    /// Asks whether the result may be given its name.
    ///
    /// # Errors
    /// [`JobError::Refused`] if the lease is over: then nothing may be written.
    pub fn seal(&self) -> Result<(), JobError> {
        self.state().pulse.sign(Instant::now());
        self.engine.seal(self.lease)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.state().pulse.is_alive(Instant::now())
    }

    /// True if something waits to be sent.
    pub(crate) fn has_notes(&self) -> bool {
        !self.state().notes.is_empty()
    }

    /// Everything that waits.
    pub(crate) fn beat(&self) -> Beat {
        let mut state = self.state();
        Beat {
            events: state.notes.drain(..).map(|note| note.body).collect(),
            progress: state.progress.take(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
