//! The weights of a network as they lie on a card: factors in the element of the network, all else in f32.

use half::f16;
use nephrite_layers::{LayerGraph, ParamId};
use rayon::prelude::*;

use crate::pack;
use crate::plan::{Constant, InstanceNorm, Plan, Step};
use crate::precision::Element;

/// Everything begins at a multiple of so many bytes.
const ALIGNMENT: usize = 256;

/// Where the weights of a network begin, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WeightOffsets {
    /// Of each step: factors, or the scale of a norm; and its bias. Those that a step lacks mean nothing.
    pub(crate) steps: Vec<[usize; 2]>,
    /// Of each constant: scale and shift, `[2, channel]`.
    pub(crate) constants: Vec<usize>,
    /// Factors and biases.
    pub(crate) head: [usize; 2],
    /// Of all.
    pub(crate) len: usize,
}

/// Hands out places one after the other.
#[derive(Default)]
struct Line(usize);

impl Line {
    fn place(&mut self, n_values: usize, bytes: usize) -> usize {
        let at = self.0;
        self.0 = (at + n_values * bytes).next_multiple_of(ALIGNMENT);
        at
    }
}

const SINGLE: usize = size_of::<f32>();

/// Values of the biases of a head: its kernel reads two at a time.
fn head_biases(n_classes: usize) -> usize {
    n_classes.next_multiple_of(2)
}

/// Where the weights of a network begin.
pub(crate) fn offsets(plan: &Plan, graph: &LayerGraph, element: Element) -> WeightOffsets {
    let mut line = Line::default();
    let steps = plan.steps.iter().map(|step| match step {
        Step::Convolution { weight, from, to, .. } => {
            let n = from.padded() * to.padded() * n_taps(graph, *weight);
            [line.place(n, element.bytes()), 0]
        }
        Step::Upsample { weight, from, to, .. } => {
            let n = from.padded() * to.padded() * n_taps(graph, *weight);
            [line.place(n, element.bytes()), line.place(to.padded(), SINGLE)]
        }
        Step::Moments { channels, .. } | Step::Norm { channels, .. } => {
            let n = channels.padded();
            [line.place(n, SINGLE), line.place(n, SINGLE)]
        }
        Step::Activate { .. } | Step::Pool { .. } => [0, 0],
    });
    let steps = steps.collect();
    let constants = (plan.constants.iter())
        .map(|constant| line.place(2 * constant.channels.padded(), SINGLE))
        .collect();
    let head = &plan.head;
    let factors = line.place(head.n_classes * head.from.padded(), element.bytes());
    let biases = line.place(head_biases(head.n_classes), SINGLE);
    WeightOffsets {
        steps,
        constants,
        head: [factors, biases],
        len: line.0,
    }
}

fn n_taps(graph: &LayerGraph, weight: ParamId) -> usize {
    graph.param(weight).shape[2..].iter().product()
}

/// The bytes of all weights.
pub(crate) fn pack<E>(
    plan: &Plan,
    graph: &LayerGraph,
    element: Element,
    read: &mut dyn FnMut(ParamId) -> Result<Vec<f32>, E>,
) -> Result<Vec<u8>, E> {
    let offsets = offsets(plan, graph, element);
    let mut packer = Packer {
        bytes: vec![0; offsets.len],
        element,
    };
    for (step, [main, bias]) in plan.steps.iter().zip(&offsets.steps) {
        match step {
            Step::Convolution { weight, from, to, .. } => {
                let values = pack::convolution(&read(*weight)?, n_taps(graph, *weight), from, to);
                packer.factors(*main, &values);
            }
            Step::Upsample {
                weight,
                bias: by,
                from,
                to,
                ..
            } => {
                let values = pack::upsample(&read(*weight)?, n_taps(graph, *weight), from, to);
                packer.factors(*main, &values);
                if let Some(by) = by {
                    packer.singles(*bias, &pack::per_channel(&read(*by)?, to));
                }
            }
            Step::Moments { channels, norm, .. } | Step::Norm { channels, norm, .. } => {
                let InstanceNorm { affine, .. } = norm;
                let (gamma, beta) = affine_of(*affine, channels.n(), read)?;
                packer.singles(*main, &pack::per_channel(&gamma, channels));
                packer.singles(*bias, &pack::per_channel(&beta, channels));
            }
            Step::Activate { .. } | Step::Pool { .. } => {}
        }
    }
    for (of, at) in plan.constants.iter().zip(&offsets.constants) {
        packer.singles(*at, &constant(of, read)?);
    }
    let head = &plan.head;
    let classes = crate::channels::Channels::packed(head.n_classes);
    let factors = pack::convolution(&read(head.weight)?, 1, &head.from, &classes);
    packer.factors(offsets.head[0], &factors);
    if let Some(bias) = head.bias {
        packer.singles(offsets.head[1], &read(bias)?);
    }
    Ok(packer.bytes)
}

/// Scale and shift of each channel, one after the other.
fn constant<E>(of: &Constant, read: &mut dyn FnMut(ParamId) -> Result<Vec<f32>, E>) -> Result<Vec<f32>, E> {
    let n = of.channels.n();
    let mut scale = vec![1.0; n];
    let mut shift = match of.bias {
        Some(bias) => read(bias)?,
        None => vec![0.0; n],
    };
    if let Some(norm) = of.norm {
        let (mean, variance) = (read(norm.mean)?, read(norm.var)?);
        let (gamma, beta) = affine_of(norm.affine, n, read)?;
        for c in 0..n {
            scale[c] = gamma[c] / (variance[c] + norm.eps).sqrt();
            shift[c] = beta[c] + (shift[c] - mean[c]) * scale[c];
        }
    }
    let mut both = pack::per_channel(&scale, &of.channels);
    both.extend(pack::per_channel(&shift, &of.channels));
    Ok(both)
}

/// Scale and bias of a norm.
fn affine_of<E>(
    affine: Option<(ParamId, ParamId)>,
    n: usize,
    read: &mut dyn FnMut(ParamId) -> Result<Vec<f32>, E>,
) -> Result<(Vec<f32>, Vec<f32>), E> {
    match affine {
        Some((gamma, beta)) => Ok((read(gamma)?, read(beta)?)),
        None => Ok((vec![1.0; n], vec![0.0; n])),
    }
}

struct Packer {
    bytes: Vec<u8>,
    element: Element,
}

impl Packer {
    fn singles(&mut self, at: usize, values: &[f32]) {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn factors(&mut self, at: usize, values: &[f32]) {
        match self.element {
            Element::Single => self.singles(at, values),
            Element::Half => {
                let halves = self.bytes[at..].par_chunks_exact_mut(2).zip(values);
                halves.for_each(|(to, value)| to.copy_from_slice(&f16::from_f32(*value).to_le_bytes()));
            }
        }
    }
}
