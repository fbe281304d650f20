//! The client against servers of ours that break every rule, and against Orthanc.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test fails by panicking, and says what it leaves out

mod files;
mod orthanc;
mod orthanc_server;
mod pacs;
mod pull_faults;
mod pulling;
mod pushing;
mod server;
mod tls;
