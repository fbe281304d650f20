//! Cases: one request, in every placement.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

#[path = "cases/faults.rs"]
mod faults;
#[path = "cases/killed.rs"]
mod killed;
#[path = "cases/modes.rs"]
mod modes;
#[path = "cases/one_load.rs"]
mod one_load;
#[path = "cases/one_way.rs"]
mod one_way;
#[path = "cases/one_world.rs"]
mod one_world;
#[path = "cases/patient.rs"]
mod patient;
#[path = "cases/process.rs"]
mod process;
#[path = "cases/record_schema.rs"]
mod record_schema;
#[path = "cases/stale.rs"]
mod stale;
