//! Jobs kept by a real NATS server, or three.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too
#![allow(clippy::print_stdout)] // one that is left out says so, and what was measured is seen

mod cluster;
mod conformance;
mod faults;
mod opening;
#[cfg(target_os = "linux")]
mod partition;
mod rig;
mod server;
mod sharing;
