//! The engine: what is in memory follows what is on disk.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nephrite_jobs::{
    Beat, Board, Choice, Ending, EventBody, Happened, Job, JobEngine, JobError, JobEvent, JobId, JobResult,
    JobSettings, JobState, Lease, NewJob, Orders, Page, Query, Submitted, Watched, WorkerCard, check_new,
    outlived,
};

use crate::folder;
use crate::store::{EventRow, Store};

/// Events of one answer.
const MAX_EVENTS: usize = 512;
/// Jobs that are forgotten at once; the rest a second later.
const MAX_FORGOTTEN: usize = 500;
/// A worker that was not heard of for so many leases is gone.
const GONE: u32 = 3;

/// Jobs of one server, on its own disk.
#[derive(Debug)]
pub struct SqliteEngine {
    settings: JobSettings,
    state: Mutex<State>,
    changed: Condvar,
    /// Locked as long as this lives.
    _folder: File,
}

#[derive(Debug)]
struct State {
    store: Store,
    board: Board,
    /// When leases run out.
    leases: HashMap<JobId, Instant>,
    /// Until when jobs with a deadline may wait, however the wall clock moves meanwhile.
    deadlines: HashMap<JobId, Instant>,
    /// Since when jobs wait.
    waiting: HashMap<JobId, Instant>,
    workers: HashMap<String, (WorkerCard, Instant)>,
    /// Jobs that each worker has taken.
    turns: HashMap<String, u64>,
}

impl SqliteEngine {
    /// Takes the folder for this process; it is made if it is not there. Jobs that the process before was running when it
    /// died wait again, or are dead if that was their last try.
    ///
    /// # Errors
    /// [`JobError::Store`], [`JobError::NetworkFileSystem`], [`JobError::Locked`], [`JobError::NewerSchema`],
    /// [`JobError::Corrupt`].
    pub fn open(folder: &Path, settings: JobSettings) -> Result<SqliteEngine, JobError> {
        let lock = folder::take(folder)?;
        let store = Store::open(folder)?;
        let jobs = store.jobs()?;
        let mut state = State {
            store,
            board: Board::default(),
            leases: HashMap::new(),
            deadlines: HashMap::new(),
            waiting: HashMap::new(),
            workers: HashMap::new(),
            turns: HashMap::new(),
        };
        let now = settings.clock.unix_ms();
        for mut job in jobs {
            if job.state == JobState::Running {
                let worker = job.worker.as_deref().unwrap_or_default();
                let reason = format!("the server ended while worker {worker} had the job");
                refused(&job.id.clone(), job.apply(JobEvent::LeaseLost { reason }, now))?;
                state.store.write(&[&job], &[], settings.max_events)?;
            }
            state.remember(job, &settings);
        }
        Ok(SqliteEngine {
            settings,
            state: Mutex::new(state),
            changed: Condvar::new(),
            _folder: lock,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets something happen to a job, on disk and then in memory.
    fn apply(&self, state: &mut State, id: &JobId, event: JobEvent) -> Result<Job, JobError> {
        self.apply_with(state, id, event, &[])
    }

    fn apply_with(
        &self,
        state: &mut State,
        id: &JobId,
        event: JobEvent,
        told: &[Vec<u8>],
    ) -> Result<Job, JobError> {
        let mut job = state.job(id)?.clone();
        let now = self.settings.clock.unix_ms();
        let first = job.last_sequence + 1;
        refused(id, job.apply(event, now))?;
        let events: Vec<EventRow> = (first..)
            .zip(told)
            .map(|(n, body)| (n, now, body.clone()))
            .collect();
        state.store.write(&[&job], &events, self.settings.max_events)?;
        state.remember(job.clone(), &self.settings);
        self.changed.notify_all();
        Ok(job)
    }

    fn add(&self, new: NewJob, make: impl FnOnce(NewJob, u64, u64) -> Job) -> Result<Submitted, JobError> {
        let id = JobId::of(&new.tenant, &new.key);
        let mut state = self.state();
        if let Some(job) = state.board.get(&id) {
            if job.new.request != new.request || job.new.output != new.output {
                return Err(JobError::KeyTaken { key: new.key, id });
            }
            return Ok(Submitted {
                job: job.clone(),
                is_new: false,
            });
        }
        check_new(&new, &self.settings)?;
        let clock = &self.settings.clock;
        let number = state.board.next_number(clock.unix_us());
        let job = make(new, number, clock.unix_ms());
        if !job.state.has_ended() {
            self.check_room(&state, &job)?;
        }
        state.store.write(&[&job], &[], self.settings.max_events)?;
        state.remember(job.clone(), &self.settings);
        self.changed.notify_all();
        Ok(Submitted { job, is_new: true })
    }

    fn check_room(&self, state: &State, job: &Job) -> Result<(), JobError> {
        if let Some(id) = state.board.writes(&job.new.output).filter(|id| **id != job.id) {
            return Err(JobError::OutputTaken {
                output: job.new.output.clone(),
                id: id.clone(),
            });
        }
        let limit = self.settings.max_queued;
        match state.board.n_queued() >= limit {
            true => Err(JobError::Full { limit }),
            false => Ok(()),
        }
    }

    /// Takes jobs from workers that were not heard of, and gives up those whose deadline passed.
    fn expire(&self, state: &mut State, now: Instant) -> Result<(), JobError> {
        let passed = |times: &HashMap<JobId, Instant>| -> Vec<JobId> {
            let over = times.iter().filter(|(_, until)| **until <= now);
            over.map(|(id, _)| id.clone()).collect()
        };
        for id in passed(&state.leases) {
            let worker = state.job(&id)?.worker.clone().unwrap_or_default();
            let lease = self.settings.lease.as_secs_f64();
            let reason = format!("worker {worker} was not heard of for {lease:.0} s");
            tracing::warn!(job = id.as_str(), worker, "a worker lost its job");
            self.apply(state, &id, JobEvent::LeaseLost { reason })?;
        }
        for id in passed(&state.deadlines) {
            if state.job(&id)?.state == JobState::Queued {
                self.apply(state, &id, JobEvent::DeadlinePassed)?;
            }
        }
        Ok(())
    }

    fn try_lease(
        &self,
        state: &mut State,
        worker: &WorkerCard,
        fits: &dyn Fn(&Job) -> bool,
    ) -> Result<Option<Lease>, JobError> {
        let now = Instant::now();
        self.expire(state, now)?;
        let is_alive = |process: &str| {
            let patience = self.settings.lease * GONE;
            let mut workers = state.workers.values();
            workers.any(|(card, seen)| card.process == process && now.duration_since(*seen) <= patience)
        };
        let waited = |job: &Job| {
            let since = state.waiting.get(&job.id);
            since.is_none_or(|since| now.duration_since(*since) >= self.settings.affinity)
        };
        let holder = |scan: &str| state.board.holder(scan).filter(|process| is_alive(process));
        let choice = Choice {
            worker,
            turn: state.turns.get(&worker.name).copied().unwrap_or(0),
            holder: &holder,
            has_waited: &waited,
            fits,
        };
        let Some(id) = state.board.choose(choice).map(|job| job.id.clone()) else {
            return Ok(None);
        };
        let event = JobEvent::Lease {
            worker: worker.name.clone(),
            process: worker.process.clone(),
        };
        let job = self.apply(state, &id, event)?;
        state.leases.insert(id, now + self.settings.lease);
        *state.turns.entry(worker.name.clone()).or_default() += 1;
        state.workers.insert(worker.name.clone(), (worker.clone(), now));
        Ok(Some(Lease {
            fence: job.fence,
            job,
        }))
    }

    /// The lease goes on from now, if it is this one's.
    fn extend(&self, state: &mut State, lease: &Lease) {
        let id = &lease.job.id;
        let is_ours = state.board.get(id).is_some_and(|job| job.fence == lease.fence);
        if let Some(until) = state.leases.get_mut(id).filter(|_| is_ours) {
            *until = Instant::now() + self.settings.lease;
        }
    }
}

impl State {
    fn job(&self, id: &JobId) -> Result<&Job, JobError> {
        self.board
            .get(id)
            .ok_or_else(|| JobError::Unknown { id: id.clone() })
    }

    /// Takes a job as it was written.
    fn remember(&mut self, job: Job, settings: &JobSettings) {
        let now = Instant::now();
        if job.state == JobState::Queued {
            self.waiting.entry(job.id.clone()).or_insert(now);
        } else {
            self.waiting.remove(&job.id);
        }
        if job.state != JobState::Running {
            self.leases.remove(&job.id);
        }
        match job.new.deadline_unix_ms.filter(|_| !job.state.has_ended()) {
            Some(deadline) => {
                let left = Duration::from_millis(deadline.saturating_sub(settings.clock.unix_ms()));
                if let Some(until) = now.checked_add(left) {
                    self.deadlines.entry(job.id.clone()).or_insert(until);
                }
            }
            None => {
                self.deadlines.remove(&job.id);
            }
        }
        self.board.put(job);
    }

    fn forget(&mut self, ids: &[JobId]) -> Result<(), JobError> {
        self.store.forget(ids)?;
        for id in ids {
            self.board.remove(id);
        }
        Ok(())
    }
}

impl JobEngine for SqliteEngine {
    fn submit(&self, new: NewJob) -> Result<Submitted, JobError> {
        self.add(new, Job::queued)
    }

    fn answer(&self, new: NewJob, result: JobResult) -> Result<Submitted, JobError> {
        self.add(new, |new, number, now| Job::answered(new, number, result, now))
    }

    fn lease(
        &self,
        worker: &WorkerCard,
        fits: &dyn Fn(&Job) -> bool,
        patience: Duration,
    ) -> Result<Option<Lease>, JobError> {
        let until = Instant::now() + patience;
        let mut state = self.state();
        loop {
            if let Some(lease) = self.try_lease(&mut state, worker, fits)? {
                return Ok(Some(lease));
            }
            let now = Instant::now();
            let Some(left) = until.checked_duration_since(now).filter(|left| !left.is_zero()) else {
                return Ok(None);
            };
            // Leases run out and jobs have waited long enough without anything that is told.
            let nap = left.min(Duration::from_millis(100));
            let woken = self.changed.wait_timeout(state, nap);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn orders(&self, lease: &Lease) -> Orders {
        let state = self.state();
        match state.board.get(&lease.job.id) {
            Some(job) if job.state == JobState::Running && job.fence == lease.fence => {
                match job.cancel_requested {
                    true => Orders::Cancel,
                    false => Orders::Continue,
                }
            }
            _ => Orders::Lost,
        }
    }

    fn heartbeat(&self, lease: &Lease, beat: Beat) -> Result<(), JobError> {
        let mut state = self.state();
        let event = JobEvent::Beat {
            fence: lease.fence,
            events: beat.events.len() as u64,
            progress: beat.progress,
        };
        let is_news = !beat.events.is_empty()
            || matches!(
                &event,
                JobEvent::Beat {
                    progress: Some(_),
                    ..
                }
            );
        if is_news {
            let applied = self.apply_with(&mut state, &lease.job.id, event, &beat.events);
            // A disk that is full takes no job from a worker that lives.
            if !matches!(&applied, Err(error) if error.is_lease_over()) {
                self.extend(&mut state, lease);
            }
            return applied.map(drop);
        }
        // nothing to write: leases are in memory
        let mut job = state.job(&lease.job.id)?.clone();
        refused(&lease.job.id, job.apply(event, self.settings.clock.unix_ms()))?;
        self.extend(&mut state, lease);
        Ok(())
    }

    fn seal(&self, lease: &Lease) -> Result<(), JobError> {
        let mut state = self.state();
        let mut job = state.job(&lease.job.id)?.clone();
        let event = JobEvent::Seal { fence: lease.fence };
        refused(&lease.job.id, job.apply(event, self.settings.clock.unix_ms()))?;
        self.extend(&mut state, lease);
        Ok(())
    }

    fn complete(&self, lease: &Lease, result: JobResult) -> Result<Job, JobError> {
        let mut state = self.state();
        let job = state.job(&lease.job.id)?;
        let is_said = job.state == JobState::Succeeded && job.fence == lease.fence;
        if is_said && job.result.as_ref() == Some(&result) {
            return Ok(job.clone());
        }
        let fence = lease.fence;
        self.apply(&mut state, &lease.job.id, JobEvent::Complete { fence, result })
    }

    fn fail(&self, lease: &Lease, ending: Ending) -> Result<Job, JobError> {
        let mut state = self.state();
        let event = ending.event(lease.fence);
        self.apply(&mut state, &lease.job.id, event)
    }

    fn cancel(&self, id: &JobId) -> Result<Job, JobError> {
        self.apply(&mut self.state(), id, JobEvent::Cancel)
    }

    fn retry(&self, id: &JobId) -> Result<Job, JobError> {
        let mut state = self.state();
        let job = state.job(id)?.clone();
        refused(
            id,
            job.clone().apply(JobEvent::Retry, self.settings.clock.unix_ms()),
        )?;
        self.check_room(&state, &job)?;
        self.apply(&mut state, id, JobEvent::Retry)
    }

    fn purge(&self, id: &JobId) -> Result<Job, JobError> {
        let mut state = self.state();
        let job = state.job(id)?.clone();
        refused(id, job.check_purge())?;
        state.forget(std::slice::from_ref(id))?;
        self.changed.notify_all();
        Ok(job)
    }

    fn get(&self, id: &JobId) -> Result<Job, JobError> {
        self.state().job(id).cloned()
    }

    fn list(&self, query: &Query) -> Result<Page, JobError> {
        Ok(self.state().board.page(query)?)
    }

    fn places(&self, ids: &[JobId]) -> Vec<Option<u64>> {
        self.state().board.places(ids)
    }

    fn watch(&self, id: &JobId, after: u64, patience: Duration) -> Result<Watched, JobError> {
        let until = Instant::now() + patience;
        let mut state = self.state();
        loop {
            let job = state.job(id)?.clone();
            let told = state.store.events(id, after, MAX_EVENTS)?;
            let changes = job.log.iter().filter(|entry| entry.sequence > after);
            let mut events: Vec<Happened> = changes
                .map(|entry| Happened {
                    sequence: entry.sequence,
                    unix_ms: entry.unix_ms,
                    body: EventBody::State(entry.clone()),
                })
                .collect();
            // Those of a later page follow what is told of in this one.
            if let Some((last, ..)) = told.last().filter(|_| told.len() == MAX_EVENTS) {
                events.retain(|event| event.sequence < *last);
            }
            events.extend(told.into_iter().map(|(sequence, unix_ms, body)| Happened {
                sequence,
                unix_ms,
                body: EventBody::Told(body),
            }));
            events.sort_by_key(|event| event.sequence);
            let left = until.saturating_duration_since(Instant::now());
            if !events.is_empty() || left.is_zero() || job.state.has_ended() {
                return Ok(Watched { events, job });
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn advertise(&self, worker: &WorkerCard) -> Result<(), JobError> {
        let entry = (worker.clone(), Instant::now());
        self.state().workers.insert(worker.name.clone(), entry);
        Ok(())
    }

    fn withdraw(&self, worker: &WorkerCard) -> Result<(), JobError> {
        let mut state = self.state();
        state.workers.remove(&worker.name);
        state.turns.remove(&worker.name);
        Ok(())
    }

    fn workers(&self) -> Vec<WorkerCard> {
        let patience = self.settings.lease * GONE;
        let state = self.state();
        let alive = state
            .workers
            .values()
            .filter(|(_, seen)| seen.elapsed() <= patience);
        let mut workers: Vec<WorkerCard> = alive.map(|(card, _)| card.clone()).collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        workers
    }

    fn keep_house(&self) -> Result<(), JobError> {
        let mut state = self.state();
        self.expire(&mut state, Instant::now())?;
        let now = self.settings.clock.unix_ms();
        let mut old = outlived(state.board.jobs(), self.settings.retention, now);
        old.truncate(MAX_FORGOTTEN);
        if !old.is_empty() {
            tracing::info!(jobs = old.len(), "jobs that ended long ago are forgotten");
            state.forget(&old)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), JobError> {
        self.state().store.check()
    }
}

fn refused<T>(id: &JobId, applied: Result<T, nephrite_jobs::Refused>) -> Result<T, JobError> {
    applied.map_err(|source| JobError::Refused {
        id: id.clone(),
        source,
    })
}
