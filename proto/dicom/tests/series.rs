//! Series that were written from volumes come back voxel by voxel, in the layout of dcm2niix; each irregularity has its fault.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

#[path = "it/harness.rs"]
mod harness;
#[path = "it/irregular.rs"]
mod irregular;
#[path = "it/laws.rs"]
mod laws;
#[path = "it/pixels.rs"]
mod pixels;
#[path = "it/round_trip.rs"]
mod round_trip;
#[path = "it/selection.rs"]
mod selection;
#[path = "it/tilt.rs"]
mod tilt;
