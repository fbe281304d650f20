//! Jobs that end exactly once, whatever dies.
//!
//! * [`JobEngine`] is what keeps jobs and hands them out: on disk in this process, or on many machines. What a job is and
//!   how its state changes is `nephrite_job_state`'s.
//! * [`Board`] is the picture that every engine has of its jobs in memory: lists, the queue, and who takes what.
//! * [`Worker`] takes jobs and has a [`JobRunner`] do them: it keeps the lease alive as long as the work goes on, stops it
//!   when somebody cancels, and says how it ended.
//! * [`Pulse`] tells a slow machine from one that hangs.
//! * `conformance`, a feature, is the suite that every engine passes.
//!
//! Everything blocks; nothing here knows a runtime.

mod board;
mod check;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod desk;
mod engine;
mod error;
pub mod fault;
mod pulse;
mod settings;
mod worker;

pub use board::Board;
pub use check::check_new;
pub use clock::Clock;
pub use desk::{Desk, Note};
pub use engine::{Beat, Ending, EventBody, Happened, JobEngine, Lease, Orders, Submitted, Watched};
pub use error::JobError;
pub use nephrite_job_state::*;
pub use pulse::{Pace, Pulse};
pub use settings::JobSettings;
pub use worker::{JobRunner, Stopping, Worker};
