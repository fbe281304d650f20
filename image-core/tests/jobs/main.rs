//! Cases as jobs: through a server, its workers, and whatever dies.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too
#![allow(clippy::print_stdout)] // one that is skipped says so, and what was measured is seen
#![allow(dead_code)] // not all helpers of other tests are needed here

mod api;
mod bad_input;
mod commands;
mod faults;
mod many;
#[path = "../../jobs/nats/tests/nats/server/mod.rs"]
mod nats;
#[path = "../cases/patient.rs"]
mod patient;
mod place;
mod reuse;
mod same_path;
mod two_workers;
