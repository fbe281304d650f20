//! The binary as people use it: what it makes, and what it says when it cannot.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

mod bad_input;
mod config;
mod demo;
mod dicom;
mod dicom_objects;
mod dicom_pixels;
mod dicomweb;
mod dicomweb_scan;
mod estimates;
mod formats;
mod geometry;
mod mask;
mod mask_files;
mod memory;
mod models;
mod nifti_file;
mod object_files;
#[allow(dead_code)] // the tests of the library use the rest
#[path = "../cases/patient.rs"]
mod patient;
mod pipeline;
mod resize;
mod run;
mod run_refused;
mod scene;
mod segment;
