//! What a step of a network does, for those who want to know where its time goes.

use std::fmt::Write as _;

use crate::plan::{Ends, Step};
use crate::precision::Element;

/// One step of a network: what it does, and how long it took.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTime {
    /// `convolution`, `moments`, `norm`, `activate`, `upsample`, or `pool`.
    pub kind: &'static str,
    /// Channels, with those that fill vectors, and `z×y×x` of what it reads and writes.
    pub sizes: String,
    /// As a plain sum would need, zeros around the value included; 0 for what multiplies no matrices.
    pub multiply_adds: u64,
    /// Of all that it reads and writes, each value counted once.
    pub bytes: u64,
    /// On the clock of the card.
    pub milliseconds: f64,
}

impl StepTime {
    pub(crate) fn new(step: &Step, element: Element, milliseconds: f64) -> Self {
        StepTime {
            kind: kind(step),
            sizes: sizes(step),
            multiply_adds: multiply_adds(step),
            bytes: n_values(step) * element.bytes() as u64,
            milliseconds,
        }
    }
}

fn kind(step: &Step) -> &'static str {
    match step {
        Step::Convolution { .. } => "convolution",
        Step::Moments { .. } => "moments",
        Step::Norm { .. } => "norm",
        Step::Activate { .. } => "activate",
        Step::Upsample { .. } => "upsample",
        Step::Pool { .. } => "pool",
    }
}

/// `32 of 64×64×64`
fn of(n_channels: usize, [z, y, x]: [usize; 3]) -> String {
    format!("{n_channels} of {z}×{y}×{x}")
}

fn sizes(step: &Step) -> String {
    match step {
        Step::Convolution { shape, .. } => {
            let ([kz, ky, kx], [sz, sy, sx]) = (shape.kernel, shape.stride);
            let (x, y) = (of(shape.n_in, shape.input), of(shape.n_out, shape.output));
            format!("{x} to {y}, kernel {kz}×{ky}×{kx}, stride {sz}×{sy}×{sx}")
        }
        Step::Moments {
            n_voxels, channels, ..
        } => format!("{} of {n_voxels}", channels.padded()),
        Step::Norm {
            n_voxels,
            channels,
            ends,
            ..
        }
        | Step::Activate {
            n_voxels,
            channels,
            ends,
            ..
        } => {
            let mut sizes = format!("{} of {n_voxels}", channels.padded());
            if ends.other.is_some() {
                let _ = write!(sizes, ", a sum");
            }
            if ends.second.is_some() {
                let _ = write!(sizes, ", to two places");
            }
            sizes
        }
        Step::Upsample {
            from,
            to,
            size,
            stride,
            ..
        } => {
            let large = times(*size, *stride);
            format!("{} to {}", of(from.padded(), *size), of(to.padded(), large))
        }
        Step::Pool {
            n_channels,
            size,
            stride,
            ..
        } => {
            let small = [0, 1, 2].map(|axis| size[axis] / stride[axis]);
            format!("{} to {}", of(*n_channels, *size), of(*n_channels, small))
        }
    }
}

fn multiply_adds(step: &Step) -> u64 {
    match step {
        Step::Convolution { shape, .. } => {
            product(shape.output) * product(shape.kernel) * (shape.n_in * shape.n_out) as u64
        }
        Step::Upsample {
            from,
            to,
            size,
            stride,
            ..
        } => product(times(*size, *stride)) * (from.padded() * to.padded()) as u64,
        _ => 0,
    }
}

/// Values that it reads and writes; those of scales and biases are too few to count.
fn n_values(step: &Step) -> u64 {
    match step {
        Step::Convolution { shape, .. } => {
            let weights = product(shape.kernel) * (shape.n_in * shape.n_out) as u64;
            product(shape.input) * shape.n_in as u64 + product(shape.output) * shape.n_out as u64 + weights
        }
        Step::Moments {
            n_voxels, channels, ..
        } => (n_voxels * channels.padded()) as u64,
        Step::Norm {
            n_voxels,
            channels,
            ends,
            ..
        }
        | Step::Activate {
            n_voxels,
            channels,
            ends,
            ..
        } => (n_voxels * channels.padded()) as u64 * n_passes(ends),
        Step::Upsample {
            from,
            to,
            size,
            stride,
            ..
        } => {
            let weights = product(*stride) * (from.padded() * to.padded()) as u64;
            let y = product(times(*size, *stride)) * to.padded() as u64;
            product(*size) * from.padded() as u64 + y + weights
        }
        Step::Pool {
            n_channels,
            size,
            stride,
            ..
        } => {
            let x = product(*size) * *n_channels as u64;
            x + x / product(*stride)
        }
    }
}

/// Times that a value, or one like it, is read or written.
fn n_passes(ends: &Ends) -> u64 {
    2 + u64::from(ends.other.is_some()) + u64::from(ends.second.is_some())
}

fn times(a: [usize; 3], b: [usize; 3]) -> [usize; 3] {
    [0, 1, 2].map(|axis| a[axis] * b[axis])
}

fn product(size: [usize; 3]) -> u64 {
    size.iter().map(|len| *len as u64).product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Channels;
    use crate::convolution_shape::ConvolutionShape;
    use nephrite_layers::ParamId;

    #[test]
    fn a_convolution_says_what_it_reads_and_how_much_it_computes() {
        let shape = ConvolutionShape {
            n_in: 8,
            n_out: 16,
            input: [4, 6, 8],
            output: [2, 3, 4],
            kernel: [3, 3, 3],
            stride: [2, 2, 2],
        };
        let step = Step::Convolution {
            x: 0,
            y: 1,
            weight: ParamId(0),
            from: Channels::padded_to(8, 8),
            to: Channels::padded_to(16, 8),
            shape,
        };
        let time = StepTime::new(&step, Element::Half, 1.5);
        assert_eq!(
            time.sizes,
            "8 of 4×6×8 to 16 of 2×3×4, kernel 3×3×3, stride 2×2×2"
        );
        assert_eq!(time.multiply_adds, 24 * 27 * 128);
        assert_eq!(time.bytes, 2 * (192 * 8 + 24 * 16 + 27 * 128));
        assert_eq!((time.kind, time.milliseconds), ("convolution", 1.5));
    }

    #[test]
    fn upsampling_says_what_it_becomes() {
        let step = Step::Upsample {
            x: 0,
            weight: ParamId(0),
            bias: None,
            from: Channels::padded_to(30, 8),
            to: Channels::padded_to(16, 8),
            size: [2, 3, 4],
            stride: [1, 2, 2],
            y: crate::plan::Place {
                block: 1,
                pitch: 32,
                offset: 16,
            },
        };
        let time = StepTime::new(&step, Element::Single, 0.0);
        assert_eq!(time.sizes, "32 of 2×3×4 to 16 of 2×6×8");
        assert_eq!(time.multiply_adds, 96 * 32 * 16);
        assert_eq!(time.bytes, 4 * (24 * 32 + 96 * 16 + 4 * 32 * 16));
    }
}
