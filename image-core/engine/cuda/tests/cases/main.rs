//! Networks and class sums on a card, and on the twin of one, against plain references.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod cards;
mod class_sums;
mod errors;
mod networks;
mod one_tile;
mod profile;
