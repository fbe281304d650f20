//! Where the jobs of a run are kept, and the processes that keep them.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use clap::ValueEnum;
use nephrite_jobs::{JobEngine, JobSettings};
use nephrite_jobs_nats::{NatsEngine, NatsSettings};
use nephrite_jobs_sqlite::SqliteEngine;
use nephrite_types::CancelToken;
use serde::Serialize;

use crate::cpu::CpuMeter;
use crate::nats::Server;

/// What keeps the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// One process, on its own disk.
    Sqlite,
    /// Many processes.
    Nats,
}

/// What all scenarios are told.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) kind: Kind,
    pub(crate) nats_server: PathBuf,
    pub(crate) state: Option<PathBuf>,
    pub(crate) seed: u64,
}

/// An empty place for jobs.
#[derive(Debug)]
pub(crate) struct Place {
    settings: JobSettings,
    kept: Kept,
    /// Its files go last.
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
enum Kept {
    Sqlite(Arc<Process>),
    Nats(Server),
}

/// A process that serves jobs: its engine, and the thread that keeps house about once a second.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) engine: Arc<dyn JobEngine>,
    stop: CancelToken,
    keeper: Option<JoinHandle<()>>,
}

impl Bench {
    pub(crate) fn place(&self, settings: JobSettings) -> anyhow::Result<Place> {
        let mut folder = tempfile::Builder::new();
        folder.prefix("bench-jobs-");
        let folder = match &self.state {
            Some(parent) => folder.tempdir_in(parent),
            None => folder.tempdir(),
        }?;
        let kept = match self.kind {
            Kind::Sqlite => {
                let engine = SqliteEngine::open(folder.path(), settings.clone())?;
                Kept::Sqlite(Arc::new(Process::new(Arc::new(engine))))
            }
            Kind::Nats => Kept::Nats(Server::start(&self.nats_server, folder.path())?),
        };
        Ok(Place {
            settings,
            kept,
            _folder: folder,
        })
    }
}

impl Place {
    /// Another process. With SQLite there is one, which all share.
    pub(crate) fn process(&self) -> anyhow::Result<Arc<Process>> {
        match &self.kept {
            Kept::Sqlite(process) => Ok(process.clone()),
            Kept::Nats(server) => {
                let nats = NatsSettings {
                    url: server.url(),
                    ..NatsSettings::default()
                };
                let engine = NatsEngine::open(self.settings.clone(), nats)?;
                Ok(Arc::new(Process::new(Arc::new(engine))))
            }
        }
    }

    /// Starts to count CPU time.
    pub(crate) fn meter(&self) -> anyhow::Result<CpuMeter> {
        match &self.kept {
            Kept::Sqlite(_) => CpuMeter::start(None),
            Kept::Nats(server) => CpuMeter::start(Some(server.pid())),
        }
    }

    /// How long leases are.
    pub(crate) fn lease(&self) -> Duration {
        self.settings.lease
    }
}

impl Process {
    fn new(engine: Arc<dyn JobEngine>) -> Process {
        let stop = CancelToken::new();
        let (kept, until) = (engine.clone(), stop.clone());
        let keeper = std::thread::spawn(move || {
            while !until.is_cancelled() {
                for _ in 0..10 {
                    std::thread::sleep(Duration::from_millis(100));
                    if until.is_cancelled() {
                        return;
                    }
                }
                let _ = kept.keep_house(); // a round later it is tried again
            }
        });
        Process {
            engine,
            stop,
            keeper: Some(keeper),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
