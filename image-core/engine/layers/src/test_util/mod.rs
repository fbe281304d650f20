//! Networks for tests, and what they compute by the definition of each layer.
#![allow(missing_docs, clippy::unwrap_used)] // helpers of tests

pub mod case;
pub mod difference;
pub mod random;
pub mod reference;
pub mod u_net;
