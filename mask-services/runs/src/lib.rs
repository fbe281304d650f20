//! Algorithms on run-length masks that several operations share.
//!
//! All are pure, give the same result for any number of threads, and work on runs along x; only [`grow`] and [`shrink`]
//! make a dense array, of 2 bytes per voxel of the box that they need, after comparing it with the limits.
//!
//! | what | function | equal to |
//! |---|---|---|
//! | connected components | [`components`], [`drop_small`], [`keep_largest`] | connected-components-3d |
//! | size and place of labels | [`statistics`] | connected-components-3d |
//! | enclosed background | [`holes`], [`fill_holes`] | fill_voids, scipy |
//! | Euclidean balls | [`grow`], [`shrink`], [`open`], [`close`] | scipy's distance transform, compared with the radius |
//! | sets | [`select`], [`flatten`], [`union`], [`intersect`], [`subtract`], [`combine`] | numpy |
//!
//! Axes are `[z, y, x]`. A *set* is a mask of which only background or not matters.

mod components;
mod connectivity;
mod error;
mod forest;
mod holes;
mod morphology;
mod reach;
mod scattered;
mod sets;
mod statistics;

pub use components::{Component, Components, components, drop_small, keep_largest, keep_largest_of_union};
pub use connectivity::Connectivity;
pub use error::RunsError;
pub use holes::{Holes, fill_holes, holes};
pub use morphology::{close, grow, open, shrink};
pub use sets::{combine, flatten, intersect, select, subtract, union};
pub use statistics::{LabelStatistics, statistics};
