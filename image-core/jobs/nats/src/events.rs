//! What workers told, as it is kept and read.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use nephrite_jobs::{EventBody, Happened, JobError, JobId};

use crate::connect::Link;
use crate::names::Names;

/// Bytes before the body of an event: its number and its time.
const HEAD: usize = 16;
/// Events that are on their way at once.
const AT_ONCE: usize = 128;
/// Places in streams that are remembered.
const MAX_PLACES: usize = 4096;

/// What workers told.
#[derive(Debug)]
pub(crate) struct Events {
    link: Link,
    names: Names,
    stream: Stream<()>,
    /// Of a job and an event number: where in the stream the next event is, at the earliest.
    places: Mutex<BTreeMap<(JobId, u64), u64>>,
}

impl Events {
    pub(crate) fn new(link: &Link, names: &Names, stream: Stream<()>) -> Events {
        Events {
            link: link.clone(),
            names: names.clone(),
            stream,
            places: Mutex::new(BTreeMap::new()),
        }
    }

    /// Keeps events, the first with the given number.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn tell(
        &self,
        id: &JobId,
        first: u64,
        unix_ms: u64,
        bodies: &[Vec<u8>],
    ) -> Result<(), JobError> {
        let subject = self.names.events_of(id);
        let fault = |error| self.link.fault(&self.names.events(), &error);
        let numbered: Vec<(u64, &Vec<u8>)> = (first..).zip(bodies).collect();
        for some in numbered.chunks(AT_ONCE) {
            let mut sent = Vec::with_capacity(some.len());
            for (sequence, body) in some {
                let event = packed(*sequence, unix_ms, body);
                let acknowledgement = self.link.context.publish(subject.clone(), event.into()).await;
                sent.push(acknowledgement.map_err(fault)?);
            }
            for acknowledgement in sent {
                acknowledgement.await.map_err(fault)?;
            }
        }
        Ok(())
    }

    /// The events of a job after a number, so many at most, the oldest first.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn after(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Happened>, JobError> {
        let subject = self.names.events_of(id);
        let known = (id.clone(), 0)..=(id.clone(), after);
        let mut place = self
            .places()
            .range(known)
            .next_back()
            .map_or(1, |(_, place)| *place);
        let mut events: Vec<Happened> = Vec::new();
        let mut last = after;
        while events.len() < limit {
            let next = self
                .stream
                .raw_message_builder()
                .sequence(place)
                .next_by_subject(&subject);
            let message = match next.send().await {
                Ok(message) => message,
                Err(error) => match error.kind() {
                    LastRawMessageErrorKind::NoMessageFound => break,
                    LastRawMessageErrorKind::JetStream(said) => {
                        return Err(self.link.refused(&self.names.events(), &said));
                    }
                    _ => return Err(self.link.away(error)),
                },
            };
            place = message.sequence + 1;
            match unpacked(&message.payload) {
                Some(event) if event.sequence > last => {
                    last = event.sequence;
                    events.push(event);
                }
                Some(_) => {} // told before
                None => tracing::warn!(job = id.as_str(), "an event of the job cannot be read"),
            }
        }
        let mut places = self.places();
        if places.len() >= MAX_PLACES {
            places.clear();
        }
        places.insert((id.clone(), last), place);
        Ok(events)
    }

    /// Forgets the events of a job.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn forget(&self, id: &JobId) -> Result<(), JobError> {
        let purged = self.stream.purge().filter(self.names.events_of(id)).await;
        self.places().retain(|(of, _), _| of != id);
        match purged {
            Ok(_) => Ok(()),
            Err(error) => Err(self.link.away(error)),
        }
    }

    fn places(&self) -> std::sync::MutexGuard<'_, BTreeMap<(JobId, u64), u64>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn packed(sequence: u64, unix_ms: u64, body: &[u8]) -> Vec<u8> {
    let mut event = Vec::with_capacity(HEAD + body.len());
    event.extend(sequence.to_le_bytes());
    event.extend(unix_ms.to_le_bytes());
    event.extend(body);
    event
}

fn unpacked(event: &[u8]) -> Option<Happened> {
    let (sequence, rest) = event.split_first_chunk()?;
    let (unix_ms, body) = rest.split_first_chunk()?;
    Some(Happened {
        sequence: u64::from_le_bytes(*sequence),
        unix_ms: u64::from_le_bytes(*unix_ms),
        body: EventBody::Told(body.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_as_they_were_told() {
        for body in [&b""[..], b"x", &[0; 1000]] {
            let event = unpacked(&packed(7, u64::MAX, body)).unwrap();
            assert_eq!((event.sequence, event.unix_ms), (7, u64::MAX));
            assert_eq!(event.body, EventBody::Told(body.to_vec()));
        }
        for short in 0..HEAD {
            assert_eq!(unpacked(&vec![0; short]), None);
        }
    }
}
