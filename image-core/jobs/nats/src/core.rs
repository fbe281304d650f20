//! What all parts of an engine share.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nephrite_jobs::{JobError, JobId, JobSettings, JobState};

use crate::connect::Link;
use crate::delivery::Delivery;
use crate::events::Events;
use crate::names::Names;
use crate::picture::Picture;
use crate::queue::Queue;
use crate::records::Records;
use crate::settings::NatsSettings;
use crate::streams;

/// What all parts of an engine share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: JobSettings,
    pub(crate) replicas: usize,
    pub(crate) names: Names,
    pub(crate) link: Link,
    pub(crate) records: Records,
    pub(crate) workers: Records,
    pub(crate) queue: Queue,
    pub(crate) events: Events,
    picture: Mutex<Picture>,
    changed: Condvar,
    /// Messages of the jobs that workers of this process have.
    held: Mutex<HashMap<(JobId, u64), Delivery>>,
}

impl Core {
    /// Connects, and makes what is not there.
    ///
    /// # Errors
    /// [`JobError::NotAllowed`], [`JobError::Unavailable`], [`JobError::OtherConfiguration`], [`JobError::Store`].
    pub(crate) async fn open(settings: JobSettings, nats: &NatsSettings) -> Result<Core, JobError> {
        nats.check()?;
        let began = Instant::now();
        let link = Link::open(nats).await?;
        let names = Names::new(&nats.name);
        loop {
            // A cluster that has just started has no leader for a while.
            match Core::on(&link, &names, &settings, nats.replicas).await {
                Err(JobError::Unavailable { .. } | JobError::Store { .. })
                    if began.elapsed() < nats.connect_timeout =>
                {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                opened => return opened,
            }
        }
    }

    async fn on(
        link: &Link,
        names: &Names,
        settings: &JobSettings,
        replicas: usize,
    ) -> Result<Core, JobError> {
        let [records, workers, queue, events, dead] = streams::configs(names, settings, replicas);
        let records = Records::new(link, streams::ensure(link, &records).await?, names.records());
        let workers = Records::new(link, streams::ensure(link, &workers).await?, names.workers());
        let queue = Queue::new(link, names, streams::ensure(link, &queue).await?, settings.lease);
        let events = Events::new(link, names, streams::ensure(link, &events).await?);
        streams::ensure(link, &dead).await?;
        let process = count(link, names, &records).await?;
        Ok(Core {
            settings: settings.clone(),
            replicas,
            names: names.clone(),
            link: link.clone(),
            records,
            workers,
            queue,
            events,
            picture: Mutex::new(Picture::new(settings, process)),
            changed: Condvar::new(),
            held: Mutex::new(HashMap::new()),
        })
    }

    /// The picture; whoever changes it says so with [`Core::notify`].
    pub(crate) fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something changed.
    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits until something changed, or for so long.
    pub(crate) fn wait<'a>(
        &self,
        picture: MutexGuard<'a, Picture>,
        patience: Duration,
    ) -> MutexGuard<'a, Picture> {
        let woken = self.changed.wait_timeout(picture, patience);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Lets go of messages whose leases are over: their workers have heard of it and say nothing more.
    pub(crate) fn drop_held(&self) {
        let picture = self.picture();
        let is_running = |id: &JobId, fence: u64| {
            let job = picture.board.get(id);
            job.is_some_and(|job| job.state == JobState::Running && job.fence == fence)
        };
        self.held().retain(|(id, fence), _| is_running(id, *fence));
    }

    /// Messages of the jobs that workers of this process have, by job and fence.
    pub(crate) fn held(&self) -> MutexGuard<'_, HashMap<(JobId, u64), Delivery>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of this process among all that there have been.
async fn count(link: &Link, names: &Names, records: &Records) -> Result<u64, JobError> {
    let key = names.count();
    for _ in 0..64 {
        let entry = records.read(&key).await?;
        let text = entry
            .value
            .map(|value| String::from_utf8_lossy(&value).into_owned());
        let next = text
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
            .wrapping_add(1);
        let written = records
            .write(&key, next.to_string().into_bytes(), entry.revision)
            .await?;
        if written.is_some() {
            return Ok(next);
        }
    }
    Err(link.away("many processes start at once"))
}
