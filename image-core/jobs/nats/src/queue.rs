//! The work queue: messages that hand jobs out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures_util::StreamExt as _;
use nephrite_jobs::{Job, JobError};

use crate::connect::{ANSWER, Link, server_error};
use crate::delivery::Delivery;
use crate::names::{Lane, Names};

/// Consumers that nobody asks are forgotten.
const IDLE: Duration = Duration::from_secs(24 * 3600);

/// The work queue.
#[derive(Debug)]
pub(crate) struct Queue {
    link: Link,
    names: Names,
    stream: Stream<()>,
    lease: Duration,
    consumers: Mutex<HashMap<Lane, Consumer<pull::Config>>>,
}

/// What became of a message that was to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is there, now or since before.
    There,
    /// The queue holds as many as it may.
    Full,
}

impl Queue {
    pub(crate) fn new(link: &Link, names: &Names, stream: Stream<()>, lease: Duration) -> Queue {
        Queue {
            link: link.clone(),
            names: names.clone(),
            stream,
            lease,
            consumers: Mutex::new(HashMap::new()),
        }
    }

    /// Publishes the message of a job. There is never more than one of a job.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn publish(&self, job: &Job) -> Result<Published, JobError> {
        let sent = self
            .link
            .context
            .publish(self.names.message(job), Vec::new().into());
        let acknowledged = match sent.await {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        let error = match acknowledged {
            Ok(_) => return Ok(Published::There),
            Err(error) => error,
        };
        // One code stands for all reasons not to store a message; only its words tell them apart.
        let said = server_error(&error).filter(|said| said.error_code() == ErrorCode::STREAM_STORE_FAILED);
        match said.map(ToString::to_string) {
            Some(words) if words.contains("per subject") => Ok(Published::There),
            Some(words) if words.contains("maximum messages") => Ok(Published::Full),
            _ => Err(self.link.fault(&self.names.queue(), &error)),
        }
    }

    /// Takes the message of a job from the queue, if it is there.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn remove(&self, job: &Job) -> Result<(), JobError> {
        let message = match self
            .stream
            .get_last_raw_message_by_subject(&self.names.message(job))
            .await
        {
            Ok(message) => message,
            Err(error) => {
                return match error.kind() {
                    LastRawMessageErrorKind::NoMessageFound => Ok(()),
                    LastRawMessageErrorKind::JetStream(said) => {
                        Err(self.link.refused(&self.names.queue(), &said))
                    }
                    _ => Err(self.link.away(error)),
                };
            }
        };
        match self.stream.delete_message(message.sequence).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                async_nats::jetstream::stream::DeleteMessageErrorKind::JetStream(_) => Ok(()), // somebody was faster
                _ => Err(self.link.away(error)),
            },
        }
    }

    /// A message of a lane, if there is one that nobody has.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn fetch(&self, lane: &Lane) -> Result<Option<Delivery>, JobError> {
        for _ in 0..2 {
            let consumer = self.consumer(lane).await?;
            match self.fetch_from(&consumer).await? {
                Fetched::Message(delivery) => return Ok(Some(delivery)),
                Fetched::Nothing => return Ok(None),
                Fetched::Gone => drop(self.consumers().remove(lane)), // it was idle too long
            }
        }
        Err(self.link.away("a consumer cannot be asked"))
    }

    async fn fetch_from(&self, consumer: &Consumer<pull::Config>) -> Result<Fetched, JobError> {
        let next = async {
            let mut batch = consumer.fetch().max_messages(1).messages().await?;
            Ok::<_, async_nats::jetstream::consumer::pull::BatchError>(batch.next().await)
        };
        let asked = tokio::time::timeout(ANSWER, next).await;
        let answer = asked.map_err(|_| self.link.away("no answer to a request for a job"))?;
        match answer.map_err(|error| self.link.away(error))? {
            None => Ok(Fetched::Nothing),
            Some(Ok(message)) => Ok(Fetched::Message(Delivery::new(&message))),
            Some(Err(error)) => {
                tracing::debug!(%error, "a consumer is asked anew");
                Ok(Fetched::Gone)
            }
        }
    }

    /// The consumer of a lane; it is made if it is not there, and follows the settings.
    async fn consumer(&self, lane: &Lane) -> Result<Consumer<pull::Config>, JobError> {
        if let Some(consumer) = self.consumers().get(lane) {
            return Ok(consumer.clone());
        }
        let config = pull::Config {
            durable_name: Some(lane.consumer()),
            filter_subject: self.names.lane(lane),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.lease,
            max_deliver: -1, // tries are counted in the record
            max_ack_pending: -1,
            inactive_threshold: IDLE,
            ..pull::Config::default()
        };
        let made = self.stream.create_consumer(config).await;
        let consumer = made.map_err(|error| match error.kind() {
            async_nats::jetstream::stream::ConsumerErrorKind::JetStream(said) => {
                self.link.refused(&self.names.queue(), &said)
            }
            _ => self.link.away(error),
        })?;
        self.consumers().insert(lane.clone(), consumer.clone());
        Ok(consumer)
    }

    fn consumers(&self) -> std::sync::MutexGuard<'_, HashMap<Lane, Consumer<pull::Config>>> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Fetched {
    Message(Delivery),
    Nothing,
    Gone,
}
