//! Both ends of `MaskService`: a service with a stranger's client, a client with broken services, and both together.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

mod bad_input;
mod harness;
mod lifecycle;
mod memory;
mod placements;
mod plugins;
