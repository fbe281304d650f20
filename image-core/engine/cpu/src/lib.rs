//! Runs networks of convolutions on the CPU, in f32.
//!
//! A network is given as a list of layers ([`nephrite_layers::LayerGraph`]). [`Network::load`] plans it and packs its
//! weights; a [`Runner`] computes one tile after the other.
//!
//! * Values lie channels-last, `[z, y, x, channel]`, from the input to the logits, with the channels in the SIMD lanes:
//!   whatever the size of a stage, lanes are full.
//! * Every convolution is a matrix product of a small *panel* (rows of transformed or copied input) with packed weights
//!   ([`Level`] chooses the instructions). Kernels of 3×3×3 and 1×3×3 at stride 1 go through minimal filtering (Winograd), all
//!   others through copied windows.
//! * Norms and activations cost no pass of their own: statistics are gathered while a convolution writes, scale, shift
//!   and slope are applied where the next layer reads. A concatenation is a convolution with two inputs.
//!
//! The result does not depend on the number of threads: work is cut by shapes alone.

mod apart;
mod assign;
mod bf16;
mod columns;
mod cpu_memory;
mod direct;
mod direct_run;
mod error;
mod factor;
mod forward_transform;
mod inverse_transform;
mod layer_time;
mod layout;
mod lent;
mod level;
mod lines;
mod logits;
mod memory;
mod network;
mod norm;
mod operands;
mod pack;
mod pages;
mod panel;
mod passes;
mod passes_run;
mod plan;
mod plane_product;
mod prefetch;
mod product;
pub mod roofline;
mod runner;
mod slots;
mod step;
mod step_run;
mod strip_task;
mod strips;
mod threads;
mod transform;
mod upsample;
mod view;
mod winograd;
mod winograd_run;

pub use cpu_memory::CpuMemory;
pub use error::CpuError;
pub use layer_time::LayerTime;
pub use level::{CpuOptions, Level, Precision};
pub use network::{Network, check};
pub use plan::cpu_memory;
pub use runner::Runner;
pub use threads::Threads;
