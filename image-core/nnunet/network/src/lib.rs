//! From plans and weights to a network that runs; checks graphs that come from outside.
//!
//! The way in is [`Architecture::parse`], which turns the `architecture` entry of `plans.json` into a checked value.
//! [`build_cpu`] joins it with the tensors of a checkpoint (any [`WeightSource`]) into a network for our own kernels on the CPU,
//! [`build_cuda`] into one on an NVIDIA card, [`build_onnx`] into the bytes of an ONNX model with fixed shapes. For networks that nephrite cannot build, [`check_onnx`] takes an exported `network.onnx` and refuses
//! everything in it that could read a file, run for ever or do something other than segment.
//!
//! Inside, an architecture becomes a small list of layers ([`nephrite_layers::LayerGraph`]), from which both are made. Everything is pure and synchronous; nothing is read from disk here.
//!
//! ```
//! use nephrite_nnunet_network::{Architecture, expected_tensors};
//! let kwargs = serde_json::json!({
//!     "n_stages": 2, "features_per_stage": [4, 8], "conv_op": "torch.nn.modules.conv.Conv3d",
//!     "kernel_sizes": 3, "strides": [1, 2], "n_conv_per_stage": 1, "n_conv_per_stage_decoder": 1, "conv_bias": true,
//!     "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"affine": true},
//!     "nonlin": "torch.nn.LeakyReLU",
//! });
//! let kwargs = kwargs.as_object().expect("an object");
//! let network = Architecture::parse("PlainConvUNet", kwargs, 1, 3, &[16, 16, 16])?;
//! assert_eq!(expected_tensors(&network, false)[0], ("encoder.stages.0.0.convs.0.conv.weight".into(), vec![4, 1, 3, 3, 3]));
//! # Ok::<(), nephrite_nnunet_network::NetworkError>(())
//! ```

#[cfg(test)]
extern crate self as nephrite_nnunet_network; // golden/safetensors.rs is shared with the example

mod arch_kwargs;
mod architecture;
mod arena;
mod assemble;
mod build_cpu;
mod build_cuda;
mod build_onnx;
mod building_memory;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod lowering;
mod multiply_adds;
mod onnx_check;
mod onnx_memory;
mod onnx_operators;
mod onnx_proto;
mod onnx_rules;
mod onnx_tensor;
mod onnx_wire;
mod onnx_writer;
mod session_memory;
mod weights;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod reference;

pub use architecture::{Activation, Architecture, Block, NetworkKind, Norm, Stage};
pub use build_cpu::{CpuNetwork, build_cpu};
pub use build_cuda::{build_cuda, cuda_bytes};
pub use build_onnx::{OnnxNetwork, build_onnx};
pub use building_memory::{cpu_building_bytes, cuda_building_bytes, session_building_bytes};
pub use error::NetworkError;
pub use multiply_adds::multiply_adds;
pub use onnx_check::{OnnxExpectation, check_onnx};
pub use session_memory::{NetworkMemory, cpu_memory, session_memory};
pub use weights::{WeightSource, expected_tensors};
