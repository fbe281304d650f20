//! Keys and values that change by compare-and-set alone.

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use nephrite_jobs::{Job, JobError};

use crate::connect::{Link, server_error};

/// Says what a value means; the name that all clients of NATS use.
const OPERATION: &str = "KV-Operation";
/// Of a key that was deleted.
const DELETED: &str = "DEL";
/// Longest value that is read.
const MAX_VALUE: usize = 1 << 20;

/// A bucket. Keys are whole subjects.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    link: Link,
    stream: Stream<()>,
    name: String,
}

/// A key as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `None` if it was deleted, or never there.
    pub(crate) value: Option<Vec<u8>>,
    /// What a writer must name; 0 if nothing of the key is left.
    pub(crate) revision: u64,
}

impl Records {
    pub(crate) fn new(link: &Link, stream: Stream<()>, name: String) -> Records {
        Records {
            link: link.clone(),
            stream,
            name,
        }
    }

    /// The stream of the bucket.
    pub(crate) fn stream(&self) -> &Stream<()> {
        &self.stream
    }

    /// Reads a key, as the leader has it.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn read(&self, key: &str) -> Result<Entry, JobError> {
        match self.stream.get_last_raw_message_by_subject(key).await {
            Ok(message) => Ok(Entry {
                value: (!is_deletion(Some(&message.headers))).then(|| message.payload.to_vec()),
                revision: message.sequence,
            }),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(Entry {
                    value: None,
                    revision: 0,
                }),
                LastRawMessageErrorKind::JetStream(said) => Err(self.link.refused(&self.name, &said)),
                _ => Err(self.link.away(error)),
            },
        }
    }

    /// Writes a key if it still has that revision. `None`: somebody else was first.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn write(
        &self,
        key: &str,
        value: Vec<u8>,
        revision: u64,
    ) -> Result<Option<u64>, JobError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
        self.send(key, headers, value).await
    }

    /// Writes a key, whatever it has.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), JobError> {
        self.send(key, HeaderMap::new(), value).await.map(drop)
    }

    /// Says that a key is deleted, if it still has that revision, so that those who follow hear of it. Gives the revision of
    /// the mark that stays; `None`: somebody else was first.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn mark_deleted(
        &self,
        key: &str,
        revision: Option<u64>,
    ) -> Result<Option<u64>, JobError> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, DELETED);
        if let Some(revision) = revision {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
        }
        self.send(key, headers, Vec::new()).await
    }

    /// Takes a revision away without a trace; one that was written over is gone already.
    ///
    /// # Errors
    /// [`JobError::Unavailable`]
    pub(crate) async fn erase(&self, revision: u64) -> Result<(), JobError> {
        match self.stream.delete_message(revision).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                async_nats::jetstream::stream::DeleteMessageErrorKind::JetStream(_) => Ok(()), // not there
                _ => Err(self.link.away(error)),
            },
        }
    }

    async fn send(&self, key: &str, headers: HeaderMap, value: Vec<u8>) -> Result<Option<u64>, JobError> {
        let size = value.len();
        if size > MAX_VALUE {
            return Err(too_large(key, size));
        }
        let sent = self
            .link
            .context
            .publish_with_headers(key.to_owned(), headers, value.into());
        let acknowledged = match sent.await {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        let error = match acknowledged {
            Ok(written) => return Ok(Some(written.sequence)),
            Err(error) => error,
        };
        if error.kind() == async_nats::jetstream::context::PublishErrorKind::MaxPayloadExceeded {
            return Err(too_large(key, size));
        }
        match server_error(&error) {
            Some(said) if is_conflict(said.error_code()) => Ok(None),
            _ => Err(self.link.fault(&self.name, &error)),
        }
    }
}

/// The second stands for a write that the leader of a cluster has not finished.
fn is_conflict(code: ErrorCode) -> bool {
    [
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE,
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT,
    ]
    .contains(&code)
}

/// True if the headers are those of a key that was deleted.
pub(crate) fn is_deletion(headers: Option<&HeaderMap>) -> bool {
    let operation = headers.and_then(|headers| headers.get(OPERATION));
    operation.is_some_and(|operation| ["DEL", "PURGE"].contains(&operation.as_str()))
}

/// A job from its record.
///
/// # Errors
/// [`JobError::Corrupt`]
pub(crate) fn job_from(key: &str, value: &[u8]) -> Result<Job, JobError> {
    let corrupt = |reason: String| JobError::Corrupt {
        what: format!("the record {key}"),
        reason,
    };
    if value.len() > MAX_VALUE {
        return Err(too_large(key, value.len()));
    }
    let job: Job = serde_json::from_slice(value).map_err(|error| corrupt(error.to_string()))?;
    if !key.ends_with(job.id.as_str()) {
        return Err(corrupt(format!("it is of job {}", job.id)));
    }
    Ok(job)
}

/// The record of a job.
pub(crate) fn record_of(job: &Job) -> Vec<u8> {
    serde_json::to_vec(job).expect("a job has text keys and finite numbers only")
}

fn too_large(key: &str, size: usize) -> JobError {
    JobError::Corrupt {
        what: format!("the record {key}"),
        reason: format!("it has {size} bytes, more than {MAX_VALUE} or than the server takes"),
    }
}
