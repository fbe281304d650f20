//! Progress of a run as events of its stream.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nephrite_proto::v1::run_response::Event;
use nephrite_proto::v1::{Exporting, Loading, RunResponse, TileProgress};
use nephrite_types::{Progress, Stage, Warning};
use tokio::sync::mpsc::Sender;

use super::streaming::Item;

/// Events that may wait for a slow caller.
pub(super) const MAX_WAITING_EVENTS: usize = 64;
/// Of these, places that tiles leave to stages: a run has fewer of them.
const KEPT_FOR_STAGES: usize = 32;
/// Tiles are told at most this often.
const EVERY: Duration = Duration::from_millis(50);

/// Turns progress into events. Never waits: a caller that does not read misses tiles, not stages.
#[derive(Debug)]
pub(super) struct Events<T> {
    sender: Sender<Item<T>>,
    /// Makes an event one of the stream.
    wrap: fn(Event) -> T,
    tiles: Arc<TileCount>,
    state: Mutex<State>,
}

/// Tiles of a run, for its log.
#[derive(Debug, Default)]
pub(super) struct TileCount {
    done: AtomicU64,
    /// Plus one; 0 if nobody cancelled.
    done_when_cancelled: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Stage>,
    /// Of the network that runs now.
    first_tile_starts: Option<Instant>,
    all_tiles_done: bool,
    told: Option<Instant>,
}

impl TileCount {
    /// Notes how far the work was when its caller cancelled.
    pub(super) fn cancelled(&self) {
        let done = self.done.load(Ordering::Relaxed);
        self.done_when_cancelled.store(done + 1, Ordering::Relaxed);
    }

    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Tiles finished after the caller cancelled.
    pub(super) fn done_after_cancel(&self) -> Option<u64> {
        let when = self.done_when_cancelled.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.done().saturating_sub(when))
    }
}

impl Events<RunResponse> {
    pub(super) fn new(sender: Sender<Item<RunResponse>>, tiles: Arc<TileCount>) -> Self {
        Events::with(sender, tiles, |event| RunResponse { event: Some(event) })
    }
}

impl<T> Events<T> {
    /// For a stream whose events have another type.
    pub(super) fn with(sender: Sender<Item<T>>, tiles: Arc<TileCount>, wrap: fn(Event) -> T) -> Self {
        Events {
            sender,
            wrap,
            tiles,
            state: Mutex::default(),
        }
    }

    fn send(&self, event: Event) {
        // Full or closed: see the type.
        let _ = self.sender.try_send(Ok((self.wrap)(event)));
    }
}

impl<T: Send> Progress for Events<T> {
    fn stage(&self, stage: Stage) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Slabs are exported between tiles; that is no stage to tell of until the last tile is done.
        let tells = match stage {
            Stage::LoadModel | Stage::Read | Stage::Preprocess => {
                state.first_tile_starts = None;
                state.all_tiles_done = false;
                true
            }
            Stage::Inference => {
                state.first_tile_starts.get_or_insert_with(Instant::now);
                false
            }
            Stage::Export => state.all_tiles_done,
            Stage::Write => true,
        };
        if !tells || state.last == Some(stage) {
            return;
        }
        state.last = Some(stage);
        let wire = nephrite_proto::v1::Stage::from(stage).into();
        self.send(match stage {
            Stage::Export | Stage::Write => Event::Exporting(Exporting { stage: wire }),
            _ => Event::Loading(Loading { stage: wire }),
        });
    }

    fn advance(&self, done: u64, total: u64) {
        self.tiles.done.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.all_tiles_done = done >= total;
        state.last = Some(Stage::Inference);
        let soon = state.told.is_some_and(|told| now.duration_since(told) < EVERY);
        let crowded = self.sender.capacity() <= KEPT_FOR_STAGES;
        if crowded || (soon && !state.all_tiles_done && done > 1) {
            return;
        }
        state.told = Some(now);
        let seconds_left = state.first_tile_starts.filter(|_| done > 0).map(|start| {
            now.duration_since(start).as_secs_f64() / done as f64 * total.saturating_sub(done) as f64
        });
        self.send(Event::Progress(TileProgress {
            stage: nephrite_proto::v1::Stage::Inference.into(),
            tiles_done: done,
            tiles_total: total,
            seconds_left,
        }));
    }

    fn warning(&self, warning: &Warning) {
        self.send(Event::Warning(warning.into()));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn names(receiver: &mut mpsc::Receiver<Item<RunResponse>>) -> Vec<String> {
        let mut names = Vec::new();
        while let Ok(item) = receiver.try_recv() {
            let stage = |number| nephrite_proto::v1::Stage::try_from(number).unwrap().as_str_name();
            names.push(match item.unwrap().event.unwrap() {
                Event::Loading(event) => format!("loading {}", stage(event.stage)),
                Event::Exporting(event) => format!("exporting {}", stage(event.stage)),
                Event::Progress(event) => format!("{} of {}", event.tiles_done, event.tiles_total),
                other => format!("{other:?}"),
            });
        }
        names
    }

    #[test]
    fn slabs_between_tiles_are_not_told_and_the_last_tile_is() {
        let (sender, mut receiver) = mpsc::channel(MAX_WAITING_EVENTS);
        let events = Events::new(sender, Arc::default());
        events.stage(Stage::Preprocess);
        for done in 1..=3 {
            events.stage(Stage::Inference);
            events.advance(done, 3);
            events.stage(Stage::Export);
        }
        events.stage(Stage::Export);
        events.stage(Stage::Write);
        let expected = [
            "loading STAGE_PREPROCESS",
            "1 of 3",
            "3 of 3",
            "exporting STAGE_EXPORT",
            "exporting STAGE_WRITE",
        ];
        assert_eq!(names(&mut receiver), expected);
    }

    #[test]
    fn a_caller_that_does_not_read_misses_tiles_and_no_stage() {
        let (sender, mut receiver) = mpsc::channel(MAX_WAITING_EVENTS);
        let events = Events::new(sender, Arc::default());
        for _ in 0..500 {
            events.advance(1, 1);
        }
        events.stage(Stage::Export);
        events.stage(Stage::Write);
        let names = names(&mut receiver);
        assert_eq!(names.len(), MAX_WAITING_EVENTS - KEPT_FOR_STAGES + 2);
        assert_eq!(names.last().unwrap(), "exporting STAGE_WRITE");
    }

    #[test]
    fn tiles_after_a_cancel_are_counted() {
        let tiles = TileCount::default();
        assert_eq!(tiles.done_after_cancel(), None);
        tiles.cancelled();
        assert_eq!(tiles.done_after_cancel(), Some(0));
        tiles.done.fetch_add(1, Ordering::Relaxed);
        assert_eq!(tiles.done_after_cancel(), Some(1));
    }
}
