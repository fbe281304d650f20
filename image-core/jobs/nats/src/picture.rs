//! All records in memory, and what this process has seen of them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use nephrite_jobs::{
    Board, Choice, Job, JobId, JobSettings, JobState, Lease, Orders, Priority, WorkerCard, choose,
};

use crate::names::Lane;
use crate::numbers::Numbers;
use crate::streams::GONE;

/// How long a job is left alone whose message did not come: it comes in a moment, or another worker has it. Twice as long each
/// time, up to a quarter of a second.
const ABSENT: Duration = Duration::from_millis(15);
const MAX_ABSENT: Duration = Duration::from_millis(250);
const MAX_DOUBLINGS: u32 = 5;
/// It is looked whether the message of a job is there when it has waited so long, and how often after that.
const LOOK: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Workers whose turns are counted.
const MAX_TURNS: usize = 10_000;

/// All records in memory, and what this process has seen of them.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) board: Board,
    settings: JobSettings,
    known: HashMap<JobId, Known>,
    running: HashSet<JobId>,
    workers: HashMap<String, (WorkerCard, Instant)>,
    /// Jobs that each worker has taken.
    turns: HashMap<String, u64>,
    /// Marks of records that were deleted, and since when they are known.
    marks: VecDeque<(u64, Instant)>,
    numbers: Numbers,
    /// True once all records were read.
    pub(crate) is_whole: bool,
}

/// What this process knows of a record.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) revision: u64,
    /// When it was seen to change.
    pub(crate) since: Instant,
    /// False if it was like that when it was read first: it may have been so for long.
    pub(crate) was_seen_to_change: bool,
    /// When it began to wait.
    pub(crate) queued_since: Instant,
    /// Until when it may wait, however the wall clock moves meanwhile.
    deadline: Option<Instant>,
    /// Until when no worker tries to get it.
    left_alone: Option<Instant>,
    /// How often its message did not come since its record changed.
    misses: u32,
    /// When it is looked whether its message is there.
    look: Instant,
    /// It was deleted by this process, which those who follow have not seen yet.
    is_gone: bool,
}

impl Picture {
    pub(crate) fn new(settings: &JobSettings, process: u64) -> Picture {
        Picture {
            board: Board::default(),
            settings: settings.clone(),
            known: HashMap::new(),
            running: HashSet::new(),
            workers: HashMap::new(),
            turns: HashMap::new(),
            marks: VecDeque::new(),
            numbers: Numbers::new(process),
            is_whole: false,
        }
    }

    /// Takes a record, unless a later one is there.
    pub(crate) fn put(&mut self, job: Job, revision: u64) {
        let now = Instant::now();
        let before = self.known.get(&job.id);
        if before.is_some_and(|known| known.revision >= revision) {
            return;
        }
        let waited = before.filter(|_| {
            self.board
                .get(&job.id)
                .is_some_and(|old| old.state == JobState::Queued)
        });
        let queued_since = waited.map_or(now, |known| known.queued_since);
        let look = waited.map_or(now + LOOK, |known| known.look);
        let deadline = job
            .new
            .deadline_unix_ms
            .filter(|_| job.state == JobState::Queued)
            .and_then(|deadline| {
                let left = Duration::from_millis(deadline.saturating_sub(self.settings.clock.unix_ms()));
                waited
                    .and_then(|known| known.deadline)
                    .or_else(|| now.checked_add(left))
            });
        let known = Known {
            revision,
            since: now,
            was_seen_to_change: self.is_whole,
            queued_since,
            deadline,
            left_alone: None,
            misses: 0,
            look,
            is_gone: false,
        };
        match job.state {
            JobState::Running => self.running.insert(job.id.clone()),
            _ => self.running.remove(&job.id),
        };
        self.known.insert(job.id.clone(), known);
        self.board.put(job);
    }

    /// Forgets a job whose record was deleted with that revision. `by_us`: those who follow will hear of it once more.
    pub(crate) fn remove(&mut self, id: &JobId, revision: u64, by_us: bool) {
        let known = self.known.get_mut(id);
        if known.as_ref().is_some_and(|known| known.revision > revision) {
            return;
        }
        self.board.remove(id);
        self.running.remove(id);
        match known.filter(|_| by_us) {
            Some(known) => {
                known.revision = revision;
                known.is_gone = true;
            }
            None => {
                self.known.remove(id);
            }
        }
        if !by_us && revision > 0 {
            self.marks.push_back((revision, Instant::now()));
        }
    }

    /// The newest revision that is known.
    pub(crate) fn newest(&self) -> u64 {
        self.known.values().map(|known| known.revision).max().unwrap_or(0)
    }

    /// All records are read anew, up to a revision; `newest` was known before. Workers get another lease to be heard of.
    pub(crate) fn begin(&mut self, newest: u64, last_revision: u64) {
        self.marks.clear();
        if newest > last_revision {
            tracing::error!("the records of all jobs are gone; others take their place");
            let workers = std::mem::take(&mut self.workers);
            let numbers = Numbers::new(0);
            let numbers = std::mem::replace(&mut self.numbers, numbers);
            let settings = self.settings.clone();
            *self = Picture {
                workers,
                numbers,
                ..Picture::new(&settings, 0)
            };
            return;
        }
        for id in &self.running {
            if let Some(known) = self.known.get_mut(id) {
                known.since = Instant::now();
                known.was_seen_to_change = true;
            }
        }
    }

    /// All records were read: others that are as old as those are gone.
    pub(crate) fn end(&mut self, read: &HashSet<JobId>, last_revision: u64) {
        let is_lost = |(id, known): &(&JobId, &Known)| known.revision <= last_revision && !read.contains(*id);
        let lost: Vec<JobId> = self
            .known
            .iter()
            .filter(is_lost)
            .map(|(id, _)| id.clone())
            .collect();
        for id in lost {
            self.board.remove(&id);
            self.running.remove(&id);
            self.known.remove(&id);
        }
        self.is_whole = true;
    }

    /// A job and its revision.
    pub(crate) fn get(&self, id: &JobId) -> Option<(&Job, &Known)> {
        let known = self.known.get(id).filter(|known| !known.is_gone)?;
        Some((self.board.get(id)?, known))
    }

    /// The number of a new job.
    pub(crate) fn next_number(&mut self) -> u64 {
        let others = self.board.next_number(0) - 1;
        self.numbers.next(others, self.settings.clock.unix_us())
    }

    pub(crate) fn orders(&self, lease: &Lease) -> Orders {
        match self.board.get(&lease.job.id) {
            Some(job) if job.state == JobState::Running && job.fence == lease.fence => {
                match job.cancel_requested {
                    true => Orders::Cancel,
                    false => Orders::Continue,
                }
            }
            _ => Orders::Lost,
        }
    }

    /// Where a worker looks for a job next: where one waits that it may take, or one that goes no later and whose worker was
    /// not heard of. That job is left alone for a moment by others.
    pub(crate) fn target(&mut self, worker: &WorkerCard, fits: &dyn Fn(&Job) -> bool) -> Option<Lane> {
        let now = Instant::now();
        let is_free = |id: &JobId| {
            let known = self.known.get(id);
            known.is_some_and(|known| known.left_alone.is_none_or(|until| until <= now))
        };
        let is_free_and_fits = |job: &Job| is_free(&job.id) && fits(job);
        let alive = self.processes();
        let holder = |scan: &str| self.board.holder(scan).filter(|process| alive.contains(process));
        let has_waited = |job: &Job| self.has_waited(job);
        let choice = Choice {
            has_waited: &has_waited,
            ..self.choice(worker, &holder, &is_free_and_fits)
        };
        let waits = self.board.choose(choice);
        let is_overdue = |job: &&Job| {
            let goes_no_later = waits.is_none_or(|waits| job.new.priority <= waits.new.priority);
            goes_no_later
                && worker.misfit(&job.new.needs).is_none()
                && is_free_and_fits(job)
                && self.is_overdue(&job.id)
        };
        let mut running = self.running.iter().filter_map(|id| self.board.get(id));
        let (job, patience) = match running.find(is_overdue) {
            Some(overdue) => (overdue, 2 * MAX_ABSENT),
            None => {
                let waits = waits?;
                let misses = self.known.get(&waits.id).map_or(0, |known| known.misses);
                (
                    waits,
                    (ABSENT * 2_u32.pow(misses.min(MAX_DOUBLINGS))).min(MAX_ABSENT),
                )
            }
        };
        let (id, lane) = (job.id.clone(), Lane::of(&job.new));
        self.leave_alone(&id, patience);
        if let Some(known) = self.known.get_mut(&id) {
            known.misses = known.misses.saturating_add(1);
        }
        Some(lane)
    }

    /// Whether a worker may take a job that waits.
    pub(crate) fn may_take(&self, job: &Job, worker: &WorkerCard, fits: &dyn Fn(&Job) -> bool) -> bool {
        let alive = self.processes();
        let holder = |scan: &str| self.board.holder(scan).filter(|process| alive.contains(process));
        let has_waited = |job: &Job| self.has_waited(job);
        let choice = Choice {
            has_waited: &has_waited,
            ..self.choice(worker, &holder, fits)
        };
        let of = |priority: Priority| (priority == job.new.priority).then_some(job).into_iter();
        choose(of, choice).is_some()
    }

    fn choice<'a>(
        &self,
        worker: &'a WorkerCard,
        holder: &'a dyn Fn(&str) -> Option<&'a str>,
        fits: &'a dyn Fn(&Job) -> bool,
    ) -> Choice<'a> {
        Choice {
            worker,
            turn: self.turns.get(&worker.name).copied().unwrap_or(0),
            holder,
            has_waited: &|_| false,
            fits,
        }
    }

    fn has_waited(&self, job: &Job) -> bool {
        let known = self.known.get(&job.id);
        known.is_none_or(|known| known.queued_since.elapsed() >= self.settings.affinity)
    }

    fn processes(&self) -> HashSet<&str> {
        let patience = self.settings.lease * GONE;
        let alive = self
            .workers
            .values()
            .filter(|(_, heard)| heard.elapsed() <= patience);
        alive.map(|(card, _)| card.process.as_str()).collect()
    }

    /// True if the worker of a job was not heard of for about a lease, or if nobody here has ever heard of it.
    pub(crate) fn is_overdue(&self, id: &JobId) -> bool {
        self.silent(id)
            .is_none_or(|silent| silent >= self.settings.lease.mul_f64(0.75))
    }

    /// How long nothing was heard of a job; `None` if nothing ever was.
    pub(crate) fn silent(&self, id: &JobId) -> Option<Duration> {
        let known = self.known.get(id).filter(|known| known.was_seen_to_change)?;
        Some(known.since.elapsed())
    }

    /// No worker of this process tries to get the job for a while.
    pub(crate) fn leave_alone(&mut self, id: &JobId, until: Duration) {
        if let Some(known) = self.known.get_mut(id) {
            known.left_alone = Some(Instant::now() + until);
        }
    }

    /// The message of a job is there.
    pub(crate) fn published(&mut self, id: &JobId) {
        if let Some(known) = self.known.get_mut(id) {
            known.look = Instant::now() + LOOK_AGAIN;
            known.left_alone = None;
            known.misses = 0;
        }
    }

    /// A worker has taken a job.
    pub(crate) fn took(&mut self, worker: &WorkerCard) {
        if self.turns.len() >= MAX_TURNS {
            self.turns.clear();
        }
        *self.turns.entry(worker.name.clone()).or_default() += 1;
        self.heard_of(worker.clone());
    }

    /// A worker lives.
    pub(crate) fn heard_of(&mut self, worker: WorkerCard) {
        let patience = self.settings.lease * GONE;
        self.workers.retain(|_, (_, heard)| heard.elapsed() <= patience);
        self.workers.insert(worker.name.clone(), (worker, Instant::now()));
    }

    /// Workers whose key this is are gone.
    pub(crate) fn withdraw(&mut self, is_it: impl Fn(&str) -> bool) {
        self.workers.retain(|name, _| !is_it(name));
    }

    pub(crate) fn forget_turns(&mut self, worker: &str) {
        self.turns.remove(worker);
    }

    /// Workers that were heard of not long ago, by their names.
    pub(crate) fn workers(&self) -> Vec<WorkerCard> {
        let patience = self.settings.lease * GONE;
        let alive = self
            .workers
            .values()
            .filter(|(_, heard)| heard.elapsed() <= patience);
        let mut workers: Vec<WorkerCard> = alive.map(|(card, _)| card.clone()).collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        workers
    }

    /// Jobs that wait and whose deadline is over.
    pub(crate) fn expired(&self) -> Vec<JobId> {
        let now = Instant::now();
        let is_over = |known: &Known| known.deadline.is_some_and(|deadline| deadline <= now);
        let over = self.known.iter().filter(|(_, known)| is_over(known));
        over.map(|(id, _)| id.clone()).collect()
    }

    /// Whether a job that waits may wait no longer.
    pub(crate) fn is_expired(&self, id: &JobId) -> bool {
        let deadline = self.known.get(id).and_then(|known| known.deadline);
        deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Jobs that run and of which nothing was heard for so long.
    pub(crate) fn silent_for(&self, patience: Duration) -> Vec<JobId> {
        let is_silent = |id: &&JobId| {
            self.known
                .get(*id)
                .is_some_and(|known| known.since.elapsed() > patience)
        };
        self.running.iter().filter(is_silent).cloned().collect()
    }

    /// Jobs that wait and whose message may be lost, so many at most.
    pub(crate) fn unpublished(&self, limit: usize) -> Vec<Job> {
        let now = Instant::now();
        let queued = Priority::ALL
            .into_iter()
            .flat_map(|priority| self.board.queued(priority));
        let is_due = |job: &&Job| self.known.get(&job.id).is_some_and(|known| known.look <= now);
        queued.filter(is_due).take(limit).cloned().collect()
    }

    /// Marks that all who follow have seen, so many at most.
    pub(crate) fn old_marks(&mut self, age: Duration, limit: usize) -> Vec<u64> {
        let n = self
            .marks
            .iter()
            .take(limit)
            .take_while(|(_, since)| since.elapsed() > age)
            .count();
        self.marks.drain(..n).map(|(revision, _)| revision).collect()
    }
}
