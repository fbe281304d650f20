//! The convolution as its caller sees it: shapes checked, weights prepared once, strips handed to threads.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use pulp::Arch;

use crate::ConvError;
use crate::strip::{Strip, StripPlan};
use crate::weights::Weights;

thread_local! {
    /// Transformed input and partial sums of one strip, up to a few MB; kept, because pages of new memory are slow.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A convolution with a 3×3×3 or 1×3×3 kernel, stride 1, zero padding to the same size, dilation 1, one group.
#[derive(Debug, Clone)]
pub struct Conv3d {
    weights: Weights,
    bias: Vec<f32>,
    arch: Arch,
}

/// The rows of all output channels that one strip of tiles writes; taken by the task that computes it.
type StripRows<'a> = Mutex<Vec<&'a mut [f32]>>;

impl Conv3d {
    /// Prepares a convolution from `weight`, `[out, in, z, y, x]` as in PyTorch and ONNX, and one bias per output.
    ///
    /// Holds 16/9 times the bytes of `weight` (4/3 times for a flat kernel).
    ///
    /// # Errors
    /// [`ConvError::Kernel`] for another kernel; [`ConvError::Length`] if weight or bias do not fit the channels.
    pub fn new(
        n_out: usize,
        n_in: usize,
        kernel: [usize; 3],
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<Self, ConvError> {
        let ([3, 3, 3] | [1, 3, 3]) = kernel else {
            return Err(ConvError::Kernel { found: kernel });
        };
        check_len("convolution weight", &[n_out, n_in, kernel[0], 9], weight.len())?;
        check_len("convolution bias", &[n_out], bias.map_or(n_out, <[f32]>::len))?;
        let bias = bias.map_or_else(|| vec![0.0; n_out], <[f32]>::to_vec);
        Ok(Conv3d {
            weights: Weights::new(n_out, n_in, kernel[0], weight),
            bias,
            arch: Arch::new(),
        })
    }

    #[cfg(test)]
    pub(crate) fn with_arch(self, arch: Arch) -> Self {
        Conv3d { arch, ..self }
    }

    /// Output channels.
    pub fn n_out(&self) -> usize {
        self.weights.n_out
    }

    /// Input channels.
    pub fn n_in(&self) -> usize {
        self.weights.n_in
    }

    /// Bytes that the prepared weights take.
    pub fn n_bytes(&self) -> usize {
        self.weights.n_bytes()
    }

    /// Computes `output` `[out, z, y, x]` from `input` `[in, z, y, x]`; `size` is z, y, x.
    ///
    /// `for_each(n, task)` must call `task(i)` once for every `i` below `n`, on as many threads as it likes. The result
    /// does not depend on the order.
    ///
    /// Rounding differs from that of a plain sum: the largest difference is about three times larger.
    ///
    /// # Errors
    /// [`ConvError::Length`] if a buffer does not fit `size`.
    ///
    /// Source: F(2×2, 3×3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), over z
    /// and y; along x the kernel's taps are applied one by one.
    pub fn run(
        &self,
        size: [usize; 3],
        input: &[f32],
        output: &mut [f32],
        for_each: impl FnOnce(usize, &(dyn Fn(usize) + Sync)),
    ) -> Result<(), ConvError> {
        let [z, y, x] = size;
        check_len("convolution input", &[self.n_in(), z, y, x], input.len())?;
        check_len("convolution output", &[self.n_out(), z, y, x], output.len())?;
        if output.is_empty() {
            return Ok(());
        }
        let plan = StripPlan::new(&self.weights, size, self.arch);
        let rows = split_output(&plan, output);
        for_each(plan.n_strips(), &|i| {
            let mut rows = rows[i].lock().unwrap_or_else(PoisonError::into_inner);
            SCRATCH.with_borrow_mut(|scratch| {
                let strip = plan.strip(i);
                let (weights, bias) = (&self.weights, &self.bias[..]);
                self.arch.dispatch(Strip {
                    plan: &plan,
                    strip,
                    weights,
                    bias,
                    input,
                    rows: &mut rows,
                    scratch,
                });
            });
        });
        Ok(())
    }
}

/// Hands every strip its rows of `output`: per channel, its one or two planes.
fn split_output<'a>(plan: &StripPlan, output: &'a mut [f32]) -> Vec<StripRows<'a>> {
    let [z, y, x] = plan.size;
    let mut strips: Vec<Vec<&mut [f32]>> = (0..plan.n_strips()).map(|_| Vec::new()).collect();
    for (i, plane) in output.chunks_exact_mut(y * x).enumerate() {
        let tile_z = i % z / plan.tile_depth;
        for (in_plane, rows) in plane.chunks_mut(plan.n_tile_rows * 2 * x).enumerate() {
            strips[tile_z * plan.n_strips_y + in_plane].push(rows);
        }
    }
    strips.into_iter().map(Mutex::new).collect()
}

fn check_len(what: &'static str, dims: &[usize], found: usize) -> Result<(), ConvError> {
    let expected = dims.iter().fold(1, |n: usize, &dim| n.saturating_mul(dim));
    if expected == found {
        Ok(())
    } else {
        Err(ConvError::Length {
            what,
            expected,
            found,
        })
    }
}
