//! The streams, and whether those that are there are ours.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use nephrite_jobs::{JobError, JobSettings};

use crate::connect::Link;
use crate::names::Names;

/// Messages of jobs that run, besides those that may wait.
const MAX_RUNNING: usize = 10_000;
/// Workers are forgotten after so many leases.
pub(crate) const GONE: u32 = 3;
/// What workers told is kept so much longer than jobs that have ended, and goes away with them anyway.
const MORE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest time that a stream may be told.
const MAX_AGE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Shortest window in which the server looks for doubles; no message has a name for that.
const DOUBLES: Duration = Duration::from_millis(100);
/// The code of a stream that is there with another configuration.
const NAME_TAKEN: ErrorCode = ErrorCode::STREAM_NAME_EXIST;

/// All streams, as they must be.
pub(crate) fn configs(names: &Names, settings: &JobSettings, replicas: usize) -> [Config; 5] {
    let base = |name: String, subjects: String, what: &str| Config {
        name,
        subjects: vec![subjects],
        description: Some(what.to_owned()),
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        num_replicas: replicas,
        max_messages: -1,
        max_bytes: -1,
        max_consumers: -1,
        max_messages_per_subject: 1,
        duplicate_window: DOUBLES,
        ..Config::default()
    };
    let keep = Duration::from_millis(settings.retention.keep_ms);
    let keep = keep.saturating_add(MORE).min(MAX_AGE);
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    [
        Config {
            discard: DiscardPolicy::New,
            deny_purge: false,
            ..base(names.records(), names.all_records(), "nephrite: jobs")
        },
        Config {
            max_age: (settings.lease * GONE).max(Duration::from_secs(1)),
            ..base(names.workers(), names.all_workers(), "nephrite: workers")
        },
        Config {
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            max_messages: count(settings.max_queued.saturating_add(MAX_RUNNING)),
            ..base(names.queue(), names.all_messages(), "nephrite: the queue of jobs")
        },
        Config {
            max_messages_per_subject: count(settings.max_events.max(1)),
            max_age: keep,
            ..base(names.events(), names.all_events(), "nephrite: what workers told")
        },
        Config {
            max_messages: count(settings.retention.max_ended.max(1)),
            max_age: keep,
            ..base(
                names.dead(),
                names.all_dead(),
                "nephrite: jobs that were tried too often",
            )
        },
    ]
}

/// Makes a stream, or takes the one that is there. Limits of number and age follow the settings; a stream that differs in
/// anything else stays as it is, and is refused.
///
/// # Errors
/// [`JobError::OtherConfiguration`], [`JobError::Unavailable`], [`JobError::Store`].
pub(crate) async fn ensure(link: &Link, wanted: &Config) -> Result<Stream<()>, JobError> {
    let name = &wanted.name;
    let found = match link.context.get_stream(name).await {
        Ok(stream) => Some(stream),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NOT_FOUND => None,
            GetStreamErrorKind::JetStream(said) => return Err(unusable(link, name, &said)),
            _ => return Err(link.away(error)),
        },
    };
    let found = match found {
        Some(stream) => stream,
        None => match create(link, wanted).await? {
            Some(stream) => stream,
            None => link
                .context
                .get_stream(name)
                .await
                .map_err(|error| link.away(error))?, // another process was first
        },
    };
    let is = &found.cached_info().config;
    if let Some(reason) = difference(is, wanted) {
        let what = format!("{}: stream {name}", link.address);
        return Err(JobError::OtherConfiguration { what, reason });
    }
    let limits = |config: &Config| {
        (
            config.max_messages,
            config.max_age,
            config.max_messages_per_subject,
        )
    };
    if limits(is) != limits(wanted) {
        let changed = Config {
            max_messages: wanted.max_messages,
            max_age: wanted.max_age,
            max_messages_per_subject: wanted.max_messages_per_subject,
            ..is.clone()
        };
        tracing::info!(stream = name, "limits of a stream follow the settings");
        let updated = link.context.update_stream(changed).await;
        updated.map_err(|error| match error.kind() {
            CreateStreamErrorKind::JetStream(said) => unusable(link, name, &said),
            _ => link.away(error),
        })?;
    }
    let stream = link.context.get_stream_no_info(name).await;
    stream.map_err(|error| link.away(error))
}

/// `None`: another process has just made it.
async fn create(link: &Link, wanted: &Config) -> Result<Option<Stream>, JobError> {
    match link.context.create_stream(wanted.clone()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            CreateStreamErrorKind::JetStream(said) if said.error_code() == NAME_TAKEN => Ok(None),
            CreateStreamErrorKind::JetStream(said) => Err(unusable(link, &wanted.name, &said)),
            _ => Err(link.away(error)),
        },
    }
}

fn unusable(link: &Link, stream: &str, said: &async_nats::jetstream::Error) -> JobError {
    match said.error_code() {
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED | ErrorCode::STREAM_SUBJECT_OVERLAP => {
            JobError::OtherConfiguration {
                what: format!("{}: stream {stream}", link.address),
                reason: said.to_string(),
            }
        }
        _ => link.refused(stream, said),
    }
}

/// How a stream differs in what matters.
fn difference(is: &Config, wanted: &Config) -> Option<String> {
    let differs = |what: &str, is: String, wanted: String| {
        (is != wanted).then(|| format!("its {what} is {is}, expected {wanted}"))
    };
    let per_subject = |config: &Config| match wanted.max_messages_per_subject {
        1 => config.max_messages_per_subject.to_string(),
        _ => "limited".to_owned(), // those of a job may follow the settings
    };
    differs(
        "retention",
        format!("{:?}", is.retention),
        format!("{:?}", wanted.retention),
    )
    .or_else(|| {
        differs(
            "storage",
            format!("{:?}", is.storage),
            format!("{:?}", wanted.storage),
        )
    })
    .or_else(|| {
        differs(
            "discard policy",
            format!("{:?}", is.discard),
            format!("{:?}", wanted.discard),
        )
    })
    .or_else(|| differs("subjects", is.subjects.join(" "), wanted.subjects.join(" ")))
    .or_else(|| {
        differs(
            "number of replicas",
            is.num_replicas.to_string(),
            wanted.num_replicas.to_string(),
        )
    })
    .or_else(|| {
        differs(
            "number of messages per subject",
            per_subject(is),
            per_subject(wanted),
        )
    })
    .or_else(|| {
        let refuses = |config: &Config| config.discard_new_per_subject.to_string();
        differs("refusal of doubles", refuses(is), refuses(wanted))
    })
    .or_else(|| {
        differs(
            "way of reading",
            is.allow_direct.to_string(),
            wanted.allow_direct.to_string(),
        )
    })
    .or_else(|| {
        differs(
            "largest message",
            is.max_message_size.max(0).to_string(),
            "0".to_owned(),
        )
    })
    .or_else(|| {
        (is.sealed || is.deny_delete || is.deny_purge || is.no_ack).then(|| "it is closed".to_owned())
    })
    .or_else(|| (is.mirror.is_some() || is.sources.is_some()).then(|| "it copies another one".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = (&'static str, fn(&mut Config));

    #[test]
    fn differences_are_named() {
        let settings = JobSettings::default();
        for config in configs(&Names::new("n"), &settings, 1) {
            assert_eq!(difference(&config, &config), None);
            let changes: [Change; 6] = [
                ("retention", |config| config.retention = RetentionPolicy::Interest),
                ("storage", |config| config.storage = StorageType::Memory),
                ("subjects", |config| config.subjects.push("x".into())),
                ("replicas", |config| config.num_replicas = 3),
                ("doubles", |config| {
                    config.discard_new_per_subject = !config.discard_new_per_subject
                }),
                ("closed", |config| config.sealed = true),
            ];
            for (what, change) in changes {
                let mut other = config.clone();
                change(&mut other);
                let reason = difference(&other, &config).unwrap();
                assert!(reason.contains(what), "{reason}");
            }
            let mut limits = config.clone();
            limits.max_age += Duration::from_secs(1);
            limits.max_messages = 7;
            assert_eq!(difference(&limits, &config), None);
        }
    }
}
