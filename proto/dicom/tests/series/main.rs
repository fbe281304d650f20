//! Series that were written from volumes come back voxel by voxel, in the layout of dcm2niix; each irregularity has its fault.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

mod harness;
mod irregular;
mod laws;
mod pixels;
mod round_trip;
mod selection;
mod tilt;
