//! Cases as jobs: handed in, done by a worker, remembered.
//!
//! * [`JobsConfig`] says which engine keeps them, and how.
//! * `Office` takes cases in: checks them as a run does before anything runs, says what they need of a worker, and looks
//!   whether they were done before.
//! * `CaseRunner` is what a worker does with a job.
//! * `find_orphans` looks for result folders that no job tells of.
//!
//! What a job is, how its state changes, and how workers keep it alive is `nephrite_jobs`'s.

mod config;
mod error;
mod failure;
mod notes;
mod office;
mod orphans;
mod owner;
mod runner;
mod witness;

pub use config::{EngineChoice, JobsConfig, WorkerConfig};
pub(crate) use error::SubmitError;
pub(crate) use office::{Office, Submission, request_text};
pub(crate) use orphans::{Orphan, OrphanKind, find_orphans, holds, output_of};
pub(crate) use runner::CaseRunner;
