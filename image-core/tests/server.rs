//! The server from outside: a real client over loopback, real models, real files.

#![allow(clippy::unwrap_used)] // in helpers too

#[path = "server/harness.rs"]
mod harness;

#[path = "server/bad_input.rs"]
mod bad_input;
#[path = "server/command.rs"]
mod command;
#[path = "server/contract.rs"]
mod contract;
#[path = "server/lifecycle.rs"]
mod lifecycle;
#[path = "server/memory.rs"]
mod memory;
#[path = "server/runs.rs"]
mod runs;
#[path = "server/stopping.rs"]
mod stopping;
#[path = "server/warnings.rs"]
mod warnings;
