//! What a job is, and how its state may change.
//!
//! A [`Job`] is a case that somebody handed in: it ends exactly once, whatever dies meanwhile. Its state changes by
//! [`Job::apply`] alone, whichever engine keeps it:
//!
//! ```text
//! queued ── lease ──► running ── complete ──► succeeded
//!   ▲  │                │  ├──── fail ──────► failed
//!   │  ├─ cancel ─► cancelled ◄─ stopped ──┤
//!   │  └─ deadline ─► expired ◄─ stopped ──┤
//!   │                   │  └──── tried too often ─► dead
//!   └── lease lost, given back, try again ─┘
//! ```
//!
//! Whoever runs a job holds a **lease** with a number, the **fence**. Each new lease has a larger one, and everything that a
//! worker says about its job names its own: what a worker says that lost its lease is refused.
//!
//! Nothing here reads a clock, a file or a network: times are given, in milliseconds since 1970 UTC.

mod choose;
mod id;
mod job;
mod list;
mod needs;
mod priority;
mod retention;
mod state;
mod transition;

pub use choose::{Choice, TURNS, choose};
pub use id::{IdFault, JobId};
pub use job::{Job, JobFailure, JobResult, LogEntry, MAX_LOG, NewJob, Progress};
pub use list::{Filter, ListFault, MAX_PAGE, Page, Query};
pub use needs::{Needs, WorkerCard};
pub use priority::Priority;
pub use retention::{Retention, outlived};
pub use state::JobState;
pub use transition::{JobEvent, Refused, Stop};
