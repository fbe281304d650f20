//! Runs networks on NVIDIA cards: convolutions by cuDNN, all else by kernels of our own; class sums and labels stay on the card.
//!
//! [`Network`] is a list of layers lowered for a card; [`Scan`] is its input, [`ClassSums`] what tiles are added to and labels come
//! from. All that a card does is a list of kinds of work, each of which has a plain twin on the CPU; [`Card::open`] opens a card, and
//! a twin of one computes the same without any library.

mod card;
mod card_options;
mod channels;
mod class_sums;
mod convolution_shape;
mod device;
mod driver;
mod error;
mod info;
#[cfg(test)]
mod kernel_tests;
mod lowering;
mod memory;
mod network;
mod one_tile;
mod pack;
mod placement;
mod plan;
mod planning;
mod precision;
mod profile;
mod scan;
mod self_check;
mod step_time;
mod tile_run;
mod twin;
mod usage;
mod weights;
mod work;

pub use card::Card;
pub use card_options::CardOptions;
pub use class_sums::{ClassSums, GridTap, LabelBox, Outcome, SumsShape};
pub use error::CudaError;
pub use info::CardInfo;
pub use network::{Network, NetworkBytes};
pub use precision::Precision;
pub use scan::Scan;
pub use self_check::agreement;
pub use step_time::StepTime;
pub use tile_run::TileRun;
pub use work::Flip;
