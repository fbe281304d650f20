//! Cases: one request, in every placement.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

mod faults;
mod killed;
mod modes;
mod one_load;
mod one_way;
mod one_world;
mod patient;
mod process;
mod record_schema;
mod stale;
