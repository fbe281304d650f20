//! Which engine keeps the jobs, and what a worker has.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephrite_jobs::{JobEngine, JobError, JobSettings, Pace};
use nephrite_jobs_nats::{NatsEngine, NatsSettings};
use nephrite_jobs_sqlite::SqliteEngine;

/// How a server keeps jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobsConfig {
    /// What keeps them.
    pub engine: EngineChoice,
    /// For all engines.
    pub settings: JobSettings,
    /// Jobs that this process does at once; 0 leaves them to other processes.
    pub workers: usize,
    /// How long work may be silent.
    pub pace: Pace,
}

/// What keeps the jobs.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineChoice {
    /// This server alone, in a folder on its own disk.
    Sqlite {
        /// The folder.
        state: PathBuf,
    },
    /// NATS JetStream, for many servers and workers.
    Nats(NatsSettings),
}

/// What the workers of a process have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerConfig {
    /// What they are called; the name of the machine and a number if `None`.
    pub name: Option<String>,
    /// What jobs may ask for, besides the provider, and the precision if that was set to another one than the provider takes by itself.
    pub capabilities: Vec<String>,
    /// Folders beneath the root; jobs with models elsewhere are left to others. All models if empty.
    pub models: Vec<PathBuf>,
}

impl JobsConfig {
    /// In this folder on the server's own disk; the rest as it is by default.
    pub fn sqlite(state: PathBuf) -> Self {
        JobsConfig {
            engine: EngineChoice::Sqlite { state },
            settings: JobSettings::default(),
            workers: 1,
            pace: Pace::default(),
        }
    }

    /// The same for a process that has these capabilities itself.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: impl IntoIterator<Item = String>) -> Self {
        let known = &mut self.settings.capabilities;
        known.extend(capabilities);
        known.sort_unstable();
        known.dedup();
        self
    }

    /// Opens the engine.
    ///
    /// # Errors
    /// [`JobError`]
    pub fn open(&self) -> Result<Arc<dyn JobEngine>, JobError> {
        let settings = self.settings.clone();
        Ok(match &self.engine {
            EngineChoice::Sqlite { state } => Arc::new(SqliteEngine::open(state, settings)?),
            EngineChoice::Nats(nats) => Arc::new(NatsEngine::open(settings, nats.clone())?),
        })
    }

    /// True if this process is the only one that can have jobs.
    pub fn is_of_one_process(&self) -> bool {
        matches!(self.engine, EngineChoice::Sqlite { .. })
    }

    /// Between two signs of life of a worker.
    pub fn beat(&self) -> Duration {
        self.settings.lease / 3
    }
}
