//! What nnU-Net does at inference, synchronous and pure: preprocessing, tiles, streaming export, postprocessing.
//!
//! [`Model::load`] makes a trained model folder resident: its recipe ([`recipe`]) and one engine per fold.
//! [`predict`] takes volumes and gives label ids on their grid. In between, [`preprocess()`] makes the network input and
//! [`predict_preprocessed`] runs the tiles:
//!
//! ```text
//! volumes ── crop ── normalize ── resample ── tile ── network ── class sums ── resample ── labels ── paste
//!            preprocess::*                    tiles::*           (one patch depth)  export::*
//! ```
//!
//! Tiles run with the slowest axis outermost. As soon as no later tile touches a plane of class sums, it is exported
//! to the scan's grid and dropped: no array of classes × voxels exists, on either grid.
//!
//! *Network axis order* is the order after `transpose_forward`; everything else is `[z, y, x]` of the reader.
//!
//! Source of all behavior: nnunetv2 2.8.1 (Apache-2.0); each module names the file it follows.

mod built;
mod description;
mod error;
pub mod export;
mod footprint;
mod half_check;
mod half_rounding;
mod kernels;
mod load;
mod model;
mod network_runtime;
mod on_card;
mod open_model;
mod options;
pub mod postprocess;
mod predict;
pub mod preprocess;
pub mod recipe;
mod recipe_key;
mod run;
mod scans_on_cards;
pub mod tiles;

pub use description::{
    ChannelDescription, FoldDescription, LabelDescription, ModelDescription, NetworkRuns, describe,
};
pub use error::NnunetError;
pub use footprint::{Footprint, ScanSize};
pub use half_check::{HalfCheck, Otherwise};
pub use kernels::{CpuKernels, CudaKernels, EngineFactory, EngineNetwork, Kernels};
pub use model::{Model, ModelParts};
pub use network_runtime::NetworkRuntime;
pub use open_model::ModelOptions;
pub use options::PredictOptions;
pub use predict::{Prediction, predict, predict_preprocessed};
pub use preprocess::{NetworkInput, preprocess};
pub use recipe_key::RecipeKey;
pub use scans_on_cards::ScansOnCards;
