//! Cases: one request, in every placement.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too
#![allow(clippy::print_stdout)] // one that is skipped says so, and what was walked through is seen

mod compared;
mod dicom_objects;
mod events;
mod faults;
mod finished_mask;
mod killed;
mod labels;
mod modes;
mod newcomers;
mod one_load;
mod one_way;
mod one_world;
mod patient;
mod places;
mod precision;
mod process;
mod record_schema;
mod stale;
