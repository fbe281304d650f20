//! How long a server that went away is waited for.

use std::time::{Duration, Instant};

use nephrite_proto::RemoteError;
use nephrite_types::ErrorCode;

/// A server that is away longer than this does not come back by itself.
const LIMIT: Duration = Duration::from_secs(60);
/// A connection that lasted as long was a good one.
const STABLE: Duration = Duration::from_secs(5);
/// Before the first try; each later pause is twice as long, up to eight times.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long a server that went away is waited for.
#[derive(Debug, Default)]
pub(super) struct Patience {
    away_since: Option<Instant>,
    connected_at: Option<Instant>,
    tries: u32,
}

impl Patience {
    /// The server answered, and said something.
    pub(super) fn renew(&mut self) {
        *self = Patience::default();
    }

    /// The server took a call whose answer is still to come.
    pub(super) fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    /// How long to wait before the next try.
    ///
    /// # Errors
    /// The error itself, if another try would not help, or the server has been away too long.
    pub(super) fn pause(&mut self, error: RemoteError, now: Instant) -> Result<Duration, RemoteError> {
        let connected_at = self.connected_at.take();
        if connected_at.is_some_and(|then| now.duration_since(then) >= STABLE) {
            self.renew();
        }
        if error.code != ErrorCode::Unavailable {
            return Err(error);
        }
        let away = now.duration_since(*self.away_since.get_or_insert(now));
        if away >= LIMIT {
            return Err(RemoteError {
                message: format!("{}; tried again for {} s", error.message, away.as_secs()),
                ..error
            });
        }
        let pause = FIRST_PAUSE * (1_u32 << self.tries.min(3));
        self.tries += 1;
        Ok(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: ErrorCode) -> RemoteError {
        RemoteError {
            code,
            message: "gone".to_owned(),
        }
    }

    #[test]
    fn pauses_grow_until_the_server_has_been_away_too_long() {
        let mut patience = Patience::default();
        let began = Instant::now();
        let mut pause_after = |seconds| {
            let now = began + Duration::from_secs(seconds);
            let pause = patience.pause(error(ErrorCode::Unavailable), now);
            pause
                .map(|pause| pause.as_millis())
                .map_err(|error| error.message)
        };
        let first: Vec<_> = [0, 1, 2, 3, 59].map(&mut pause_after).into();
        assert_eq!(first, [Ok(250), Ok(500), Ok(1000), Ok(2000), Ok(2000)]);
        assert_eq!(pause_after(61), Err("gone; tried again for 61 s".to_owned()));
    }

    #[test]
    fn only_a_server_that_is_away_is_tried_again() {
        let mut patience = Patience::default();
        let refused = error(ErrorCode::NotFound);
        assert_eq!(patience.pause(refused.clone(), Instant::now()), Err(refused));
    }

    #[test]
    fn a_connection_renews_patience_only_if_it_lasted() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let last_of = |connected_at| {
            let mut patience = Patience::default();
            patience.pause(error(ErrorCode::Unavailable), began).unwrap();
            patience.connected(after(connected_at));
            patience.pause(error(ErrorCode::Unavailable), after(62))
        };
        assert_eq!(last_of(50), Ok(FIRST_PAUSE));
        assert!(last_of(61).is_err());
    }
}
