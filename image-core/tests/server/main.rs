//! The server from outside: a real client over loopback, real models, real files.

#![allow(clippy::unwrap_used)] // in helpers too

mod harness;

mod bad_input;
mod command;
mod contract;
mod lifecycle;
mod masks;
mod memory;
mod runs;
mod stopping;
mod warnings;
