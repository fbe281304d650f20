//! Networks against a plain f64 reference: every kind of step, every level, several numbers of threads.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod accuracy;
mod activations;
mod bf16;
mod check;
mod convolutions;
mod errors;
mod large_volumes;
mod memory;
mod norms;
mod not_finite;
mod random_networks;
mod steps;
mod thread_numbers;
