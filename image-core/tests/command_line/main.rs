//! The binary as people use it: what it makes, and what it says when it cannot.

mod bad_input;
mod models;
mod nifti_file;
mod resize;
mod scene;
mod segment;
