//! The operation `compare`, described by its README.

#![doc = include_str!("../README.md")]

mod error;
mod measure;
mod operation;
mod pairs;

pub use operation::Compare;
