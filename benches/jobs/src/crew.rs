//! Workers on threads of this process: the real ones, with simulated work.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::bail;
use nephrite_jobs::{Clock, NewJob, Pace, Stopping, Worker, WorkerCard};
use nephrite_types::CancelToken;

use crate::line::Line;
use crate::place::{Place, Process};
use crate::runner::Simulated;
use crate::scans::Scans;
use crate::tally::{Parting, Tally};

/// A worker on a thread of its own.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    cut: CancelToken,
    stopping: Stopping,
    thread: JoinHandle<()>,
    process: Arc<Process>,
}

/// Who works where.
#[derive(Debug, Clone)]
pub(crate) struct Hire {
    /// Unique among all of a run.
    pub(crate) name: String,
    /// What its card says of its process.
    pub(crate) process: String,
    /// What that holds of scans.
    pub(crate) scans: Option<Arc<Scans>>,
}

impl Member {
    pub(crate) fn hire(place: &Place, process: Arc<Process>, tally: &Arc<Tally>, hire: Hire) -> Member {
        let (cut, stopping) = (CancelToken::new(), Stopping::default());
        let line = Line {
            engine: process.engine.clone(),
            cut: cut.clone(),
            tally: tally.clone(),
        };
        let runner = Simulated {
            worker: hire.name.clone(),
            tally: tally.clone(),
            scans: hire.scans,
        };
        let card = WorkerCard {
            name: hire.name.clone(),
            process: hire.process,
            capabilities: Vec::new(),
            models: Vec::new(),
            memory_bytes: None,
        };
        let (beat, told) = (place.lease() / 3, stopping.clone());
        let thread = std::thread::spawn(move || {
            let worker = Worker {
                engine: &line,
                card,
                runner: &runner,
                pace: Pace::default(),
                beat,
                clock: Clock::default(),
                stopping: told,
            };
            worker.work();
        });
        Member {
            name: hire.name,
            cut,
            stopping,
            thread,
            process,
        }
    }

    /// From now on nothing of it arrives.
    pub(crate) fn kill(&self, tally: &Tally) {
        self.cut.cancel();
        self.stopping.soon.cancel();
        tally.gone(&self.name, Parting::Killed);
    }

    /// Gives back what it has, and ends.
    pub(crate) fn leave(&self, tally: &Tally) {
        tally.gone(&self.name, Parting::Left);
        self.stopping.soon.cancel();
        self.stopping.now.cancel();
    }

    /// Takes no more jobs.
    pub(crate) fn stop_soon(&self) {
        self.stopping.soon.cancel();
    }

    /// Whether its thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its thread. Its process ends with the last of its workers.
    pub(crate) fn join(self) {
        if self.thread.join().is_err() {
            eprintln!("the thread of {} panicked", self.name);
        }
        drop(self.process);
    }
}

/// So many workers, some to a process.
pub(crate) fn crew(
    place: &Place,
    tally: &Arc<Tally>,
    workers: usize,
    per_process: usize,
) -> anyhow::Result<Vec<Member>> {
    let n_processes = workers.div_ceil(per_process);
    let processes: Vec<Arc<Process>> = (0..n_processes)
        .map(|_| place.process())
        .collect::<Result<_, _>>()?;
    let hire = |n: usize| {
        let hire = Hire {
            name: format!("w{n}"),
            process: format!("p{}", n / per_process),
            scans: None,
        };
        Member::hire(place, processes[n / per_process].clone(), tally, hire)
    };
    Ok((0..workers).map(hire).collect())
}

/// Ends all of them.
pub(crate) fn dismiss(crew: Vec<Member>) {
    crew.iter().for_each(Member::stop_soon);
    crew.into_iter().for_each(Member::join);
}

/// Submits a job, however often that takes.
pub(crate) fn submit(process: &Process, tally: &Tally, new: NewJob) -> anyhow::Result<()> {
    tally.submitted(&new.key);
    for _ in 0..10 {
        match process.engine.submit(new.clone()) {
            Ok(_) => return Ok(()),
            Err(error) if error.may_pass() => eprintln!("submit: {error}"),
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("job {} cannot be submitted", new.key);
}

/// Waits until so many jobs have a result.
pub(crate) fn wait(tally: &Tally, jobs: usize, limit: Duration) -> anyhow::Result<()> {
    let began = Instant::now();
    while tally.n_completed() < jobs {
        if began.elapsed() > limit {
            bail!(
                "{} of {jobs} jobs have ended after {limit:?}",
                tally.n_completed()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
