//! What time it is, for what people read.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock. It stamps what people read and bounds deadlines; whether a lease is over is never read from it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// Another one, for tests.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// Milliseconds since 1970 UTC.
    pub fn unix_ms(&self) -> u64 {
        self.unix_us() / 1000
    }

    /// Microseconds since 1970 UTC.
    pub fn unix_us(&self) -> u64 {
        let since = (self.0)().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Default for Clock {
    /// The machine's.
    fn default() -> Self {
        Clock::new(SystemTime::now)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Clock").field(&self.unix_ms()).finish()
    }
}

impl PartialEq for Clock {
    /// Settings are compared without their clocks.
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}
