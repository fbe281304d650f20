//! Events of a job until it has ended, whatever becomes of the connection.

use std::time::Instant;

use nephrite_proto::v1::watch_response::Event;
use nephrite_proto::{Client, RemoteError, v1};
use nephrite_types::ErrorCode;

use super::call;
use super::outcome::has_ended;
use super::patience::Patience;

/// What there is to tell.
pub(super) enum News {
    /// Something happened to the job.
    Event(Box<v1::WatchResponse>),
    /// The connection broke, and why; it is made again.
    Lost(String),
    /// The connection is there again.
    Back,
}

/// Gives everything that happens after an event to `take`, until the job has ended or `take` says that nobody listens. Where
/// the connection breaks, it goes on after the last event that came.
///
/// The job as it ended; `None` if nobody listens.
pub(super) async fn follow(
    client: &Client,
    id: &str,
    after_sequence: u64,
    mut take: impl FnMut(News) -> bool,
) -> Result<Option<v1::Job>, RemoteError> {
    let mut watch = Watch {
        client,
        id,
        after_sequence,
        ended: None,
        patience: Patience::default(),
        is_lost: false,
    };
    loop {
        let error = match watch.connect(&mut take).await {
            Ok(ended) => return Ok(ended),
            Err(error) => error,
        };
        let why = error.message.clone();
        let pause = watch.patience.pause(error, Instant::now())?;
        let is_news = !std::mem::replace(&mut watch.is_lost, true);
        if is_news && !take(News::Lost(why)) {
            return Ok(None);
        }
        tokio::time::sleep(pause).await;
    }
}

struct Watch<'a> {
    client: &'a Client,
    id: &'a str,
    /// Number of the last event that came.
    after_sequence: u64,
    /// The job, if it had ended with that event.
    ended: Option<v1::Job>,
    patience: Patience,
    is_lost: bool,
}

impl Watch<'_> {
    /// As long as one connection lasts.
    async fn connect(&mut self, take: &mut impl FnMut(News) -> bool) -> Result<Option<v1::Job>, RemoteError> {
        let request = v1::WatchRequest {
            id: self.id.to_owned(),
            after_sequence: self.after_sequence,
        };
        let mut events = self.client.watch_job(request).await?;
        self.patience.connected(Instant::now());
        if std::mem::take(&mut self.is_lost) && !take(News::Back) {
            return Ok(None);
        }
        while let Some(event) = events.next().await? {
            self.patience.renew();
            self.after_sequence = event.sequence;
            if let Some(Event::State(change)) = &event.event {
                self.ended = ended_with(change);
            }
            if !take(News::Event(Box::new(event))) {
                return Ok(None);
            }
        }
        self.end().await.map(Some)
    }

    /// The job, after the last event of a stream.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] if it has not ended: the server ended the stream because it stops.
    async fn end(&mut self) -> Result<v1::Job, RemoteError> {
        if let Some(job) = self.ended.take() {
            return Ok(job);
        }
        let request = v1::GetJobRequest {
            id: self.id.to_owned(),
        };
        let job = call::job(self.client.get_job(request).await?.job)?;
        if has_ended(job.state()) {
            return Ok(job);
        }
        Err(RemoteError {
            code: ErrorCode::Unavailable,
            message: "the server ended the events of a job that has not ended".to_owned(),
        })
    }
}

/// The job, if a change of its state was its end. It may not be the last one: a job can be tried again.
fn ended_with(change: &v1::JobStateChange) -> Option<v1::Job> {
    let job = change.job.as_ref()?;
    (has_ended(change.state()) && has_ended(job.state())).then(|| job.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::jobs::sample;

    #[test]
    fn only_an_end_is_an_end() {
        let change = |state: v1::JobState, job| v1::JobStateChange {
            state: state.into(),
            job,
            ..v1::JobStateChange::default()
        };
        let failed = change(v1::JobState::Failed, Some(sample::failed()));
        assert_eq!(ended_with(&failed), Some(sample::failed()));
        let tried_again = change(v1::JobState::Failed, Some(sample::waiting()));
        assert_eq!(ended_with(&tried_again), None);
        assert_eq!(ended_with(&change(v1::JobState::Failed, None)), None);
        let running = change(v1::JobState::Running, Some(sample::running()));
        assert_eq!(ended_with(&running), None);
    }
}
