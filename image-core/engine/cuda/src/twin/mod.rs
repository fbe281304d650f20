//! The twin of a card: the same work by plain Rust on the CPU, one function for each kernel. Tests on machines without a card run
//! whole networks on it, and those on machines with one compare each kernel with it.

mod convolution;
mod export;
mod head;
mod norm;
mod numbers;
mod pool;
mod tile;
mod upsample;

use std::time::Instant;

use crate::CudaError;
use crate::convolution_shape::ConvolutionShape;
use crate::device::{Device, Mark, Recording};
use crate::memory::{At, Bytes};
use crate::precision::Precision;
use crate::work::{Ends, Prepared, Ring, Work};
use numbers::{product, read_elements, write_elements};

/// A device that is none.
#[derive(Debug)]
pub(crate) struct Twin {
    /// Bytes that may be asked for at once.
    pub(crate) max_bytes: usize,
}

impl Device for Twin {
    fn allocate(&self, what: &'static str, len: usize) -> Result<Bytes, CudaError> {
        if len > self.max_bytes {
            return Err(CudaError::Memory {
                card: "a twin".to_owned(),
                what,
                bytes: len,
            });
        }
        Ok(Bytes::Host(vec![0; len].into()))
    }

    fn prepare(&self, _: &ConvolutionShape, _: Precision, _: usize) -> Result<Prepared, CudaError> {
        Ok(Prepared::Twin)
    }

    fn run(&self, precision: Precision, work: &Work) -> Result<(), CudaError> {
        run(precision, work)
    }

    /// Runs the work, as a card does before it records it: what it overwrites is overwritten here too.
    fn record(&self, precision: Precision, work: Vec<Work>) -> Result<Recording, CudaError> {
        work.iter().try_for_each(|work| run(precision, work))?;
        Ok(Recording::Twin(precision, work))
    }

    fn replay(&self, recording: &Recording) -> Result<(), CudaError> {
        match recording {
            Recording::Twin(precision, work) => work.iter().try_for_each(|work| run(*precision, work)),
            Recording::Card(_) => unreachable!("a twin replays what it has recorded"),
        }
    }

    fn mark(&self) -> Result<Mark, CudaError> {
        Ok(Mark::Twin(Instant::now()))
    }
}

fn run(precision: Precision, work: &Work) -> Result<(), CudaError> {
    let element = precision.element();
    let read = |at: &At, n: usize| read_elements(at, n, element);
    match work {
        Work::Convolution {
            shape, x, weight, y, ..
        } => {
            let n_taps = product(shape.kernel);
            let x = read(x, product(shape.input) * shape.n_in)?;
            let weight = read(weight, shape.n_out * n_taps * shape.n_in)?;
            write_elements(
                y,
                element,
                &convolution::convolution(shape, precision, &x, &weight),
            )
        }
        Work::Moments {
            x,
            n_voxels,
            n_channels,
            gamma,
            beta,
            eps,
            scale,
            ..
        } => {
            let x = read(x, n_voxels * n_channels)?;
            let (gamma, beta) = (gamma.read(*n_channels)?, beta.read(*n_channels)?);
            scale.write(&norm::scale_and_shift(&x, &gamma, &beta, *eps))
        }
        Work::Norm {
            x,
            n_voxels,
            n_channels,
            gamma,
            beta,
            eps,
            ends,
        } => {
            let x = read(x, n_voxels * n_channels)?;
            let (gamma, beta) = (gamma.read(*n_channels)?, beta.read(*n_channels)?);
            let scale = norm::scale_and_shift(&x, &gamma, &beta, *eps);
            finish(precision, x, Some(&scale), *n_channels, ends)
        }
        Work::Activate {
            x,
            scale,
            n_voxels,
            n_channels,
            ends,
        } => {
            let x = read(x, n_voxels * n_channels)?;
            let scale = scale
                .as_ref()
                .map(|scale| scale.read(2 * n_channels))
                .transpose()?;
            finish(precision, x, scale.as_deref(), *n_channels, ends)
        }
        Work::Upsample {
            x,
            weight,
            bias,
            n_in,
            n_out,
            size,
            stride,
            y,
            pitch,
        } => {
            let x = read(x, product(*size) * n_in)?;
            let weight = read(weight, product(*stride) * n_out * n_in)?;
            let bias = match bias {
                Some(bias) => bias.read(*n_out)?,
                None => vec![0.0; *n_out],
            };
            let values = upsample::upsample(&x, &weight, &bias, *size, *stride);
            numbers::write_pitched(y, element, &values, *n_out, *pitch)
        }
        Work::Pool {
            x,
            y,
            n_channels,
            size,
            stride,
        } => {
            let x = read(x, product(*size) * n_channels)?;
            write_elements(y, element, &pool::pool(&x, *n_channels, *size, *stride))
        }
        Work::Tile {
            scan,
            n_channels,
            size,
            start,
            flip,
            tile,
            patch,
        } => {
            let scan = read(scan, n_channels * product(*size))?;
            write_elements(
                tile,
                element,
                &tile::tile(&scan, *n_channels, *size, *start, *flip, *patch),
            )
        }
        Work::Head {
            x,
            weight,
            bias,
            n_in,
            n_classes,
            patch,
            flip,
            importance,
            factor,
            sums,
            ring,
            not_finite,
        } => {
            let x = read(x, product(*patch) * n_in)?;
            let weight = read(weight, n_classes * n_in)?;
            let logits = head::logits(&x, &weight, &bias.read(*n_classes)?);
            let importance = importance.read(product(*patch))?;
            let mut all = sums.read(product(ring.size) * ring.pitch)?;
            let n_odd = head::add(
                &logits,
                *n_classes,
                *patch,
                *flip,
                &importance,
                *factor,
                *ring,
                &mut all,
            );
            sums.write(&all)?;
            let before: Vec<u32> = not_finite.read(1)?;
            not_finite.write(&[before[0] + n_odd])
        }
        Work::AddWeights {
            importance,
            patch,
            weights,
            ring,
        } => {
            let importance = importance.read(product(*patch))?;
            let mut all = weights.read(product(ring.size))?;
            let ring = Ring { pitch: 1, ..*ring };
            head::add(
                &importance,
                1,
                *patch,
                [false; 3],
                &vec![1.0; product(*patch)],
                1.0,
                ring,
                &mut all,
            );
            weights.write(&all)
        }
        Work::Labels {
            from,
            class_order,
            is_wide,
            labels,
        } => {
            let logits = export::logits(from)?;
            let order = class_order
                .as_ref()
                .map(|order| order.read(from.n_classes))
                .transpose()?;
            let found = export::labels(&logits, from.n_classes, order.as_deref());
            match is_wide {
                true => labels.write(&found),
                false => labels.write(&found.iter().map(|label| *label as u8).collect::<Vec<u8>>()),
            }
        }
        Work::Logits { from, logits } => {
            logits.write(&export::class_first(&export::logits(from)?, from.n_classes))
        }
    }
}

/// Scales, adds, activates, and writes.
fn finish(
    precision: Precision,
    x: Vec<f32>,
    scale: Option<&[f32]>,
    n_channels: usize,
    ends: &Ends,
) -> Result<(), CudaError> {
    let element = precision.element();
    let other = match &ends.other {
        None => None,
        Some((other, scale)) => {
            let scale = scale
                .as_ref()
                .map(|scale| scale.read(2 * n_channels))
                .transpose()?;
            Some((read_elements(other, x.len(), element)?, scale))
        }
    };
    let other = other
        .as_ref()
        .map(|(other, scale)| (other.as_slice(), scale.as_deref()));
    let values = norm::activate(&x, scale, other, ends.slope, n_channels);
    for (to, pitch) in std::iter::once(&ends.first).chain(&ends.second) {
        numbers::write_pitched(to, element, &values, n_channels, *pitch)?;
    }
    Ok(())
}
