//! A seeded synthetic abdomen in contrast phases, and three small nnU-Nets trained on it.
//!
//! Demo, tests, benches and training need scans that hide no patient and need no download. [`PhantomSpec::generate`]
//! draws one: a body with fat, muscle and bone, kidneys with their vessels and ureters, and the organs around them,
//! in Hounsfield units with correlated noise, all phases of one patient over the same anatomy. The same spec gives
//! the same bytes on every platform and with any number of threads.
//!
//! ```
//! use nephrite_phantom::PhantomSpec;
//! use nephrite_types::{Shape3, Spacing};
//!
//! let spec = PhantomSpec {
//!     shape: Shape3::new([24, 40, 40])?,
//!     spacing: Spacing::new([12.0, 8.0, 8.0])?,
//!     ..PhantomSpec::demo(7)
//! };
//! let phantom = spec.generate();
//! assert_eq!(phantom.phases.len(), 3);
//! assert_eq!(phantom.label_id("aorta"), Some(1));
//! # Ok::<(), nephrite_types::GeometryError>(())
//! ```
//!
//! The anatomy is drawn from analytic shapes in world millimeters (RAS+), so it does not scale with the grid: a
//! coarser spacing shows the same patient with fewer voxels, a smaller field of view shows its middle.

mod anatomy;
mod error;
mod label_set;
pub mod models;
mod paint;
mod random;
mod scan;
mod shape;
mod spec;
mod tissue;

pub use error::PhantomError;
pub use label_set::{LabelSet, PhantomLabel};
pub use spec::{Phantom, PhantomSpec};
