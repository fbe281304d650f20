//! Whether work goes on: slow machines are told from those that hang.

use std::time::{Duration, Instant};

/// How long work may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between signs of any kind: a stage, a step, a tile. Longer than the longest operation and the slowest first tile.
    pub stall: Duration,
    /// Between tiles at least, however fast they are.
    pub least: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            stall: Duration::from_secs(600),
            least: Duration::from_secs(60),
        }
    }
}

/// A tile may take so many times the slowest one so far.
const SLOWER: u32 = 10;

/// When work was heard of, and how long it may be silent now. A worker whose work hangs stops sending signs of life, though
/// its process is well.
#[derive(Debug, Clone)]
pub struct Pulse {
    pace: Pace,
    last: Instant,
    /// Between two tiles of one step.
    slowest: Option<Duration>,
    /// The last sign was a tile.
    in_tiles: bool,
}

impl Pulse {
    /// Of work that begins now.
    pub fn new(pace: Pace, now: Instant) -> Pulse {
        Pulse {
            pace,
            last: now,
            slowest: None,
            in_tiles: false,
        }
    }

    /// A tile is finished, and more follow.
    pub fn tile(&mut self, now: Instant) {
        if self.in_tiles {
            let took = now.saturating_duration_since(self.last);
            self.slowest = Some(self.slowest.map_or(took, |slowest| slowest.max(took)));
        }
        self.in_tiles = true;
        self.last = now;
    }

    /// Something else happened: another step, another stage, the last tile.
    pub fn sign(&mut self, now: Instant) {
        self.in_tiles = false;
        self.last = now;
    }

    /// How long it may be silent from its last sign on.
    pub fn allowance(&self) -> Duration {
        match self.slowest {
            Some(slowest) if self.in_tiles => (slowest * SLOWER).max(self.pace.least).min(self.pace.stall),
            _ => self.pace.stall,
        }
    }

    /// Whether it goes on, as far as can be told.
    pub fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) <= self.allowance()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn slow_tiles_have_time_and_a_hang_is_seen() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Pace::default(), start);
        assert!(pulse.is_alive(start + seconds(600)), "a model is loaded");
        assert!(!pulse.is_alive(start + seconds(601)));

        // A fast card: one minute is enough to know.
        (1..=20).for_each(|n| pulse.tile(start + seconds(n)));
        assert_eq!(pulse.allowance(), seconds(60));
        assert!(!pulse.is_alive(start + seconds(20 + 61)));

        // A slow machine: tiles of 45 s, and one of 300 s, are no hang.
        let mut pulse = Pulse::new(Pace::default(), start);
        (1..=3).for_each(|n| pulse.tile(start + seconds(45 * n)));
        assert!(pulse.is_alive(start + seconds(135 + 300)));
        assert!(!pulse.is_alive(start + seconds(135 + 451)));

        // What follows the last tile is no tile.
        pulse.sign(start + seconds(140));
        assert_eq!(pulse.allowance(), seconds(600));
        // The pause before the first tile of the next step is none either.
        pulse.tile(start + seconds(400));
        pulse.tile(start + seconds(410));
        assert_eq!(pulse.allowance(), seconds(450));
    }
}
