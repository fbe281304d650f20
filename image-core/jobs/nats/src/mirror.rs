//! Keeps the picture as the records are.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, push};
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt as _;
use nephrite_jobs::{JobError, JobId, WorkerCard};

use crate::connect::Link;
use crate::core::Core;
use crate::names::job_of;
use crate::records::{is_deletion, job_from};
use crate::streams;

/// Longest card of a worker that is read.
const MAX_CARD: usize = 64 << 10;
/// Pause after something failed.
const PAUSE: Duration = Duration::from_millis(200);

/// Follows the records as long as the engine lives.
pub(crate) async fn follow_jobs(weak: Weak<Core>) {
    while let Some(core) = weak.upgrade() {
        let (link, stream, keys) = (
            core.link.clone(),
            core.records.stream().clone(),
            core.names.all_job_records(),
        );
        let newest = core.picture().newest();
        let jobs = Jobs {
            core: Arc::downgrade(&core),
            read: HashSet::new(),
            newest,
        };
        drop(core);
        again(follow(&link, &stream, keys, jobs).await, &link).await;
        if let Some(core) = weak.upgrade()
            && let Err(error) = restore(&core).await
        {
            tracing::debug!(%error, "the streams cannot be looked at");
        }
    }
}

/// Follows the cards of workers as long as the engine lives.
pub(crate) async fn follow_workers(core: Weak<Core>) {
    while let Some(core) = core.upgrade() {
        let (link, stream, keys) = (
            core.link.clone(),
            core.workers.stream().clone(),
            core.names.all_workers(),
        );
        let workers = Workers {
            core: Arc::downgrade(&core),
        };
        drop(core);
        again(follow(&link, &stream, keys, workers).await, &link).await;
    }
}

async fn again(followed: Result<(), JobError>, link: &Link) {
    if let Err(error) = followed {
        tracing::debug!(%error, address = link.address, "records are read anew");
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is done with what is read.
trait Follower {
    /// All that is there comes next; the newest of it has this revision or an earlier one.
    fn begin(&mut self, last_revision: u64);
    /// A key. False: nobody wants more.
    fn key(&mut self, key: &str, value: Option<&[u8]>, revision: u64) -> bool;
    /// All that was there has come.
    fn end(&mut self, last_revision: u64);
}

/// Reads all keys, and then those that change, until the connection was away or nobody wants more.
async fn follow(
    link: &Link,
    stream: &Stream<()>,
    keys: String,
    mut follower: impl Follower,
) -> Result<(), JobError> {
    let mut connected = link.connected.clone();
    connected.mark_unchanged();
    let info = stream.get_info().await.map_err(|error| link.away(error))?;
    let mut last = info.state.last_sequence;
    let config = push::OrderedConfig {
        deliver_subject: link.client.new_inbox(),
        filter_subject: keys,
        deliver_policy: DeliverPolicy::LastPerSubject,
        ..push::OrderedConfig::default()
    };
    let consumer = stream
        .create_consumer(config)
        .await
        .map_err(|error| link.away(error))?;
    let mut is_current = consumer.cached_info().num_pending == 0;
    let mut messages = consumer.messages().await.map_err(|error| link.away(error))?;
    follower.begin(last);
    if is_current {
        follower.end(last);
    }
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            _ = connected.changed() => return Err(link.away("connected anew")),
        };
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(link.away(error)),
            None => return Err(link.away("nothing comes any more")),
        };
        let Ok(info) = message.info() else { continue };
        last = last.max(info.stream_sequence);
        let is_last = info.pending == 0;
        let value = (!is_deletion(message.headers.as_ref())).then_some(&message.payload[..]);
        if !follower.key(&message.subject, value, info.stream_sequence) {
            return Ok(());
        }
        if is_last && !is_current {
            is_current = true;
            follower.end(last);
        }
    }
}

struct Jobs {
    core: Weak<Core>,
    read: HashSet<JobId>,
    newest: u64,
}

impl Follower for Jobs {
    fn begin(&mut self, last_revision: u64) {
        if let Some(core) = self.core.upgrade() {
            core.picture().begin(self.newest, last_revision);
        }
    }

    fn key(&mut self, key: &str, value: Option<&[u8]>, revision: u64) -> bool {
        let Some(core) = self.core.upgrade() else {
            return false;
        };
        let Some(id) = job_of(key) else { return true };
        match value.map(|value| job_from(key, value)) {
            Some(Ok(job)) => {
                self.read.insert(id);
                core.picture().put(job, revision);
            }
            Some(Err(error)) => tracing::warn!(%error, "a record is left out"),
            None => core.picture().remove(&id, revision, false),
        }
        core.notify();
        true
    }

    fn end(&mut self, last_revision: u64) {
        if let Some(core) = self.core.upgrade() {
            core.picture().end(&self.read, last_revision);
            core.notify();
        }
        self.read = HashSet::new();
    }
}

struct Workers {
    core: Weak<Core>,
}

impl Follower for Workers {
    fn begin(&mut self, _last_revision: u64) {}

    fn key(&mut self, key: &str, value: Option<&[u8]>, _revision: u64) -> bool {
        let Some(core) = self.core.upgrade() else {
            return false;
        };
        let value = value.filter(|value| value.len() <= MAX_CARD);
        match value.map(serde_json::from_slice::<WorkerCard>) {
            Some(Ok(card)) => core.picture().heard_of(card),
            Some(Err(error)) => tracing::warn!(%error, "the card of a worker is left out"),
            None => core.picture().withdraw(|name| core.names.worker(name) == key),
        }
        core.notify();
        true
    }

    fn end(&mut self, _last_revision: u64) {}
}

/// Makes streams again that somebody has taken away.
async fn restore(core: &Core) -> Result<(), JobError> {
    for config in streams::configs(&core.names, &core.settings, core.replicas) {
        streams::ensure(&core.link, &config).await?;
    }
    Ok(())
}
