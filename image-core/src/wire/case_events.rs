//! Events of a case as messages: where each step runs, how long its tiles take, and not more of them than are wanted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nephrite_proto::v1::case_service_run_response::Event;

use super::case as messages;
use crate::case::CaseEvent;
use crate::masks::StepPlace;

/// Events of one case as messages.
pub(crate) struct CaseMessages {
    /// Tiles of a step are told at most this often.
    every: Duration,
    /// When tiles of a step were told last, and when its first tile began.
    tiles: Mutex<BTreeMap<String, Pace>>,
    /// Where steps run, from their first events.
    places: Mutex<BTreeMap<String, StepPlace>>,
}

struct Pace {
    first: Instant,
    told: Option<Instant>,
}

impl CaseMessages {
    /// Of a case that begins.
    pub(crate) fn new(every: Duration) -> Self {
        CaseMessages {
            every,
            tiles: Mutex::default(),
            places: Mutex::default(),
        }
    }

    /// What an event is in messages; none if these tiles are not worth telling. `crowded` leaves all tiles out.
    pub(crate) fn of(&self, event: &CaseEvent, crowded: bool) -> Vec<Event> {
        match event {
            CaseEvent::Mask(mask) => return messages::masks(mask).into_iter().map(Event::Mask).collect(),
            CaseEvent::Warning { warning, .. } => return vec![Event::Warning(warning.into())],
            _ => {}
        }
        let Some(mut progress) = messages::progress(event) else {
            return Vec::new();
        };
        progress.place = self.place(event, &progress.step).as_ref().map(Into::into);
        if let CaseEvent::Tiles { step, done, total } = event {
            match self.pace(step, *done, *total, crowded) {
                Some(seconds_left) => progress.seconds_left = seconds_left,
                None => return Vec::new(),
            }
        }
        vec![Event::Progress(progress)]
    }

    /// Where the step of an event runs.
    fn place(&self, event: &CaseEvent, step: &str) -> Option<StepPlace> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            CaseEvent::Running { place, .. } => {
                places.insert(step.to_owned(), place.clone());
                Some(place.clone())
            }
            CaseEvent::Skipped { .. } => None,
            _ => places.get(step).cloned(),
        }
    }

    /// Seconds left; `None` if these tiles are not worth telling.
    fn pace(&self, step: &str, done: u64, total: u64, crowded: bool) -> Option<Option<f64>> {
        let mut tiles = self.tiles.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let pace = tiles.entry(step.to_owned()).or_insert(Pace {
            first: now,
            told: None,
        });
        let soon = pace
            .told
            .is_some_and(|told| now.duration_since(told) < self.every);
        if crowded || (soon && done < total) {
            return None;
        }
        let is_first = pace.told.is_none();
        pace.told = Some(now);
        let seconds = now.duration_since(pace.first).as_secs_f64();
        // the first tile began before it was told, nobody knows when
        Some((!is_first && done > 1).then(|| seconds / (done - 1) as f64 * total.saturating_sub(done) as f64))
    }
}
