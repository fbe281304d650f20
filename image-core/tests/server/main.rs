//! The server from outside: a real client over loopback, real models, real files.

#![allow(clippy::unwrap_used)] // in helpers too

mod harness;

mod bad_input;
mod command;
mod contract;
mod dicom_objects;
mod lifecycle;
mod masks;
mod memory;
#[path = "../command_line/object_files.rs"]
mod object_files;
mod runs;
mod stopping;
mod warnings;
