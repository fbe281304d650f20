//! Fast 3×3×3 convolution of f32 volumes on the CPU.
//!
//! General-purpose runtimes treat a 3-D convolution as a matrix product over copied windows. For the few channels and
//! many voxels of a U-Net's outer stages that leaves most of the processor idle. [`Conv3d`] computes the same sums by
//! minimal filtering over z and y (Winograd; 2.25 times fewer multiplications) with rows of voxels in the SIMD lanes,
//! and reads and writes plain `[channel, z, y, x]` arrays, so that it can stand in for one operator of a graph.
//!
//! ```
//! use nephrite_conv::Conv3d;
//! let (n_out, n_in, size) = (1, 1, [4, 4, 4]);
//! let mean = [1.0 / 27.0; 27];
//! let conv = Conv3d::new(n_out, n_in, [3, 3, 3], &mean, None)?;
//! let mut output = [0.0; 64];
//! conv.run(size, &[27.0; 64], &mut output, |n_tasks, task| (0..n_tasks).for_each(task))?;
//! assert!((output[21] - 27.0).abs() < 1e-4); // all neighbors of [1, 1, 1] are inside
//! assert!((output[0] - 8.0).abs() < 1e-4); // 8 of 27 are
//! # Ok::<(), nephrite_conv::ConvError>(())
//! ```

mod conv;
mod error;
mod strip;
mod weights;

#[cfg(test)]
mod tests;

pub use conv::Conv3d;
pub use error::ConvError;
