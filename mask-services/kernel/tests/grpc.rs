//! Both ends of `MaskService`: a service with a stranger's client, a client with broken services, and both together.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

#[path = "grpc/bad_input.rs"]
mod bad_input;
#[path = "grpc/harness.rs"]
mod harness;
#[path = "grpc/lifecycle.rs"]
mod lifecycle;
#[path = "grpc/memory.rs"]
mod memory;
#[path = "grpc/placements.rs"]
mod placements;
#[path = "grpc/plugins.rs"]
mod plugins;
