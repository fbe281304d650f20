//! The workers of a process: threads that take jobs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nephrite_jobs::{
    Clock, Desk, Job, JobEngine, JobFailure, JobResult, JobRunner, Lease, Stopping, Worker, WorkerCard,
};
use nephrite_types::{CancelToken, ErrorCode};

use super::ServeConfig;
use super::services::Work;
use crate::case::CaseServices;
use crate::core::Core;
use crate::jobs::{CaseRunner, JobsConfig};

/// How often jobs are looked through for those whose worker is gone or whose deadline passed.
const KEEP_HOUSE: Duration = Duration::from_secs(1);

/// How long a process that ends waits for what its workers have to say.
const LAST_WORD: Duration = Duration::from_secs(10);
/// A server opens right after its workers are there.
const UNTIL_OPEN: Duration = Duration::from_millis(10);

/// What the threads of a process share.
#[derive(Debug, Clone)]
pub(super) struct Workers {
    pub(super) work: Arc<Work>,
    pub(super) services: Arc<CaseServices>,
    pub(super) engine: Arc<dyn JobEngine>,
    /// Take no more jobs.
    pub(super) stopping: CancelToken,
    /// Those that take jobs.
    pub(super) threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Workers {
    /// Starts the threads; they end when `stopping` is cancelled and the jobs at hand have ended, or were cancelled by the end
    /// of the drain.
    pub(super) fn start(&self, config: &ServeConfig, jobs: &JobsConfig) -> std::io::Result<()> {
        let cards = cards(config, jobs, self.work.shared());
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for card in cards {
            let (workers, pace, beat) = (self.clone(), jobs.pace, jobs.beat());
            let thread = std::thread::Builder::new().name(format!("worker {}", card.name));
            threads.push(thread.spawn(move || workers.again(|| workers.one(card.clone(), pace, beat)))?);
        }
        let workers = self.clone();
        let thread = std::thread::Builder::new().name("job house".to_owned());
        thread.spawn(move || workers.again(|| workers.keep_house()))?;
        Ok(())
    }

    /// Waits until all have said how their jobs ended, for a while: one that hangs loses its lease.
    pub(super) fn wait(&self) {
        let until = Instant::now() + LAST_WORD;
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(UNTIL_OPEN);
        }
    }

    /// A bug ends no worker: what panicked is begun again. The panic hook has written where.
    fn again(&self, work: impl Fn()) {
        while catch_unwind(AssertUnwindSafe(&work)).is_err() && !self.stopping.is_cancelled() {
            std::thread::sleep(KEEP_HOUSE);
        }
    }

    fn one(&self, card: WorkerCard, pace: nephrite_jobs::Pace, beat: Duration) {
        while !self.work.is_open() {
            if self.stopping.is_cancelled() {
                return;
            }
            std::thread::sleep(UNTIL_OPEN);
        }
        let now = CancelToken::new();
        let runner = Runner {
            work: &self.work,
            now: &now,
            cases: CaseRunner {
                core: self.work.shared(),
                services: &self.services,
            },
        };
        let worker = Worker {
            engine: &*self.engine,
            card,
            runner: &runner,
            pace,
            beat,
            clock: Clock::default(),
            stopping: Stopping {
                soon: self.stopping.clone(),
                now: now.clone(),
            },
        };
        worker.work();
    }

    fn keep_house(&self) {
        while !self.stopping.is_cancelled() {
            if let Err(error) = self.engine.keep_house() {
                tracing::warn!(%error, "jobs cannot be looked through now");
            }
            std::thread::sleep(KEEP_HOUSE);
        }
    }
}

/// Runs cases; a drain waits for them.
struct Runner<'a> {
    work: &'a Arc<Work>,
    /// The end of the drain cancels it.
    now: &'a CancelToken,
    cases: CaseRunner<'a>,
}

impl JobRunner for Runner<'_> {
    fn fits(&self, job: &Job) -> bool {
        self.cases.fits(job)
    }

    fn run(&self, lease: &Lease, desk: &Desk<'_>) -> Result<JobResult, (JobFailure, bool)> {
        let attended = self.work.attend(self.now.clone()).map_err(|refusal| {
            self.now.cancel(); // it began to stop just now: the job is given back
            let failure = JobFailure {
                code: ErrorCode::Unavailable.name().to_owned(),
                message: refusal.to_string(),
            };
            (failure, true)
        })?;
        let ran = self.cases.run(lease, desk);
        drop(attended);
        ran
    }
}

/// What the workers of this process have.
fn cards(config: &ServeConfig, jobs: &JobsConfig, core: &Core) -> Vec<WorkerCard> {
    let machine = config.worker.name.clone().unwrap_or_else(machine);
    let process = format!("{machine}/{}", std::process::id());
    let absolute = |folder: &std::path::PathBuf| core.absolute_text(folder);
    let capabilities = config.capabilities();
    let card = |n: usize| WorkerCard {
        name: format!("{process}/{n}"),
        process: process.clone(),
        capabilities: capabilities.clone(),
        models: config.worker.models.iter().map(absolute).collect(),
        memory_bytes: Some(core.memory().allowance().bytes),
    };
    (1..=jobs.workers).map(card).collect()
}

/// The name of this machine, or of its container.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
