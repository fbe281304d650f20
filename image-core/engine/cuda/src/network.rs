//! A network on a card.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use nephrite_layers::{LayerGraph, ParamId};

use crate::card::Card;
use crate::device::Recording;
use crate::memory::{At, Memory};
use crate::plan::{self, Place, Plan, Scale, Step};
use crate::planning::plan_of;
use crate::weights::{WeightOffsets, offsets, pack};
use crate::work::{Ends, PARTIAL_MOMENTS, Prepared, Work};
use crate::{CudaError, Precision};

/// What a network takes on a card, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetworkBytes {
    /// As long as it is loaded.
    pub weights: u64,
    /// While it runs: values between layers, shared by all networks of the card.
    pub arena: u64,
}

/// A network on a card, for one tile at a time.
#[derive(Debug)]
pub struct Network {
    card: Arc<Card>,
    precision: Precision,
    plan: Plan,
    offsets: WeightOffsets,
    weights: Arc<Memory>,
    /// Of the steps that are convolutions.
    prepared: Vec<Option<Prepared>>,
    arena: Arena,
    bound: Mutex<Option<Bound>>,
}

/// A network that was recorded in a certain piece of memory.
#[derive(Debug)]
struct Bound {
    arena: Weak<Memory>,
    recording: Recording,
}

impl Bound {
    fn is_in(&self, arena: &Arc<Memory>) -> bool {
        self.arena.as_ptr() == Arc::as_ptr(arena)
    }
}

/// Bytes that convolutions may need beside the values between layers. Those in half need next to none; the fastest ones in f32 take
/// copies of what they read.
fn max_workspace(plan: &Plan, precision: Precision) -> usize {
    const LEAST: usize = 64 << 20;
    const MOST: usize = 512 << 20;
    match precision {
        Precision::Half => LEAST,
        Precision::Single | Precision::Tf32 => {
            let values = plan.n_values * precision.element().bytes();
            (values / 2).clamp(LEAST, MOST)
        }
    }
}

/// What the arena of a network holds, in bytes from its beginning: values come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arena {
    scales: usize,
    partial: usize,
    workspace: usize,
    len: usize,
}

const ALIGNMENT: usize = 256;

/// Bytes of the scale and shift of `n` channels.
fn scale_bytes(n_channels: usize) -> usize {
    (2 * n_channels * size_of::<f32>()).next_multiple_of(ALIGNMENT)
}

impl Arena {
    fn new(plan: &Plan, precision: Precision, workspace: usize) -> Self {
        let values = plan.n_values * precision.element().bytes();
        let widest = plan.moments.iter().copied().max().unwrap_or(0);
        let scales = values.next_multiple_of(ALIGNMENT);
        let partial = scales + plan.moments.iter().map(|n| scale_bytes(*n)).sum::<usize>();
        let moments = PARTIAL_MOMENTS * widest * 2 * size_of::<f32>();
        let start = (partial + moments).next_multiple_of(ALIGNMENT);
        Arena {
            scales,
            partial,
            workspace: start,
            len: start + workspace,
        }
    }
}

/// What the last layer of a network reads: `[z, y, x, in]`, `[class, in]`, and `[class]`.
pub(crate) struct HeadInput {
    pub(crate) x: At,
    pub(crate) n_in: usize,
    pub(crate) weight: At,
    pub(crate) bias: At,
}

impl Network {
    /// What a network will take, without a card. No network takes more.
    ///
    /// # Errors
    /// [`CudaError::Unsupported`].
    pub fn bytes_of(graph: &LayerGraph, precision: Precision) -> Result<NetworkBytes, CudaError> {
        let element = precision.element();
        let plan = plan_of(graph, element.vector())?;
        Ok(NetworkBytes {
            weights: offsets(&plan, graph, element).len as u64,
            arena: Arena::new(&plan, precision, max_workspace(&plan, precision)).len as u64,
        })
    }

    /// Loads a network; `read` gives a tensor as PyTorch has it. Nothing has run when it returns.
    ///
    /// # Errors
    /// [`CudaError`]; what `read` says.
    ///
    /// # Panics
    /// If a tensor has not the shape that `graph` says.
    pub fn load<E: From<CudaError>>(
        card: &Arc<Card>,
        graph: &LayerGraph,
        precision: Precision,
        mut read: impl FnMut(ParamId) -> Result<Vec<f32>, E>,
    ) -> Result<Network, E> {
        let element = precision.element();
        let plan = plan_of(graph, element.vector())?;
        let bytes = pack(&plan, graph, element, &mut read)?;
        let mut prepared = Vec::new();
        for step in &plan.steps {
            prepared.push(match step {
                Step::Convolution { shape, .. } => {
                    Some(card.prepare(shape, precision, max_workspace(&plan, precision))?)
                }
                _ => None,
            });
        }
        let workspace = prepared.iter().flatten().map(Prepared::workspace).max();
        let weights = card.upload("weights", &bytes)?.memory;
        Ok(Network {
            card: card.clone(),
            precision,
            offsets: offsets(&plan, graph, element),
            arena: Arena::new(&plan, precision, workspace.unwrap_or(0)),
            plan,
            weights,
            prepared,
            bound: Mutex::new(None),
        })
    }

    /// The card that it is on.
    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }

    /// In what it computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Size of its input, `[z, y, x]`; `z` is 1 for a network of two axes.
    pub fn patch(&self) -> [usize; 3] {
        self.plan.patch
    }

    /// Channels of its input.
    pub fn n_channels(&self) -> usize {
        self.plan.n_channels
    }

    /// Channels of its output.
    pub fn n_classes(&self) -> usize {
        self.plan.head.n_classes
    }

    /// What it takes.
    pub fn bytes(&self) -> NetworkBytes {
        NetworkBytes {
            weights: self.weights.len() as u64,
            arena: self.arena.len as u64,
        }
    }

    /// Queues a run: what writes its input, its layers, and what reads its last values.
    pub(crate) fn queue(
        &self,
        tile: impl FnOnce(At) -> Work,
        head: impl FnOnce(HeadInput) -> Work,
    ) -> Result<(), CudaError> {
        let _turn = self.card.turn();
        let arena = self.memory()?;
        // Recording runs the layers, which overwrites what is in the arena: before anything is put there.
        self.bind(&arena)?;
        let input = At::new(&arena, self.start_of(self.plan.tile));
        self.card.run(self.precision, &tile(input))?;
        self.replay(&arena)?;
        let [weight, bias] = self.offsets.head.map(|at| At::new(&self.weights, at));
        let last = HeadInput {
            x: At::new(&arena, self.start_of(self.plan.head.x)),
            n_in: self.plan.head.from.padded(),
            weight,
            bias,
        };
        self.card.run(self.precision, &head(last))
    }

    /// The memory that it runs in.
    pub(crate) fn memory(&self) -> Result<Arc<Memory>, CudaError> {
        self.card.arena(self.arena.len)
    }

    /// The layers but the last, in order.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.plan.steps
    }

    /// What each of [`Network::steps`] is in this arena.
    pub(crate) fn layers(&self, arena: &Arc<Memory>) -> Vec<Work> {
        let steps = self.plan.steps.iter().zip(0..);
        steps.map(|(step, at)| self.work(step, at, arena)).collect()
    }

    /// Records the layers in this arena, if they are not recorded there. What is in the arena is lost then.
    fn bind(&self, arena: &Arc<Memory>) -> Result<(), CudaError> {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if bound.as_ref().is_some_and(|bound| bound.is_in(arena)) {
            return Ok(());
        }
        let recording = self.card.record(self.precision, self.layers(arena))?;
        *bound = Some(Bound {
            arena: Arc::downgrade(arena),
            recording,
        });
        Ok(())
    }

    /// Queues the layers on what is in the arena; [`Network::bind`] was called with it.
    fn replay(&self, arena: &Arc<Memory>) -> Result<(), CudaError> {
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let bound = bound.as_ref().filter(|bound| bound.is_in(arena));
        let bound = bound.expect("a network is bound before it runs");
        self.card.replay(&bound.recording)
    }

    /// Queues the layers, on whatever is in the arena.
    pub(crate) fn queue_layers(&self, arena: &Arc<Memory>) -> Result<(), CudaError> {
        self.bind(arena)?;
        self.replay(arena)
    }

    /// First byte of a block.
    fn start_of(&self, block: usize) -> usize {
        self.plan.blocks[block].start * self.precision.element().bytes()
    }

    fn work(&self, step: &Step, at: usize, arena: &Arc<Memory>) -> Work {
        let block = |block: usize| At::new(arena, self.start_of(block));
        let place = |place: Place| {
            let bytes = place.offset * self.precision.element().bytes();
            (block(place.block).plus(bytes), place.pitch)
        };
        let made = |to: usize| {
            let before = self.plan.moments[..to]
                .iter()
                .map(|n| scale_bytes(*n))
                .sum::<usize>();
            At::new(arena, self.arena.scales + before)
        };
        let scale = |scale: Scale| match scale {
            Scale::Moments(to) => made(to),
            Scale::Constant(at) => At::new(&self.weights, self.offsets.constants[at]),
        };
        let ends = |ends: &plan::Ends| Ends {
            other: ends.other.map(|(other, by)| (block(other), by.map(scale))),
            slope: ends.slope,
            first: place(ends.first),
            second: ends.second.map(place),
        };
        let [weight, extra] = self.offsets.steps[at].map(|at| At::new(&self.weights, at));
        match step {
            Step::Convolution { x, y, shape, .. } => Work::Convolution {
                prepared: self.prepared[at]
                    .clone()
                    .expect("convolutions are prepared when they are loaded"),
                shape: shape.clone(),
                x: block(*x),
                weight,
                y: block(*y),
                workspace: At::new(arena, self.arena.workspace),
            },
            Step::Moments {
                x,
                n_voxels,
                channels,
                norm,
                to,
            } => Work::Moments {
                x: block(*x),
                n_voxels: *n_voxels,
                n_channels: channels.padded(),
                gamma: weight,
                beta: extra,
                eps: norm.eps,
                partial: At::new(arena, self.arena.partial),
                scale: made(*to),
            },
            Step::Norm {
                x,
                n_voxels,
                channels,
                norm,
                ends: of,
            } => Work::Norm {
                x: block(*x),
                n_voxels: *n_voxels,
                n_channels: channels.padded(),
                gamma: weight,
                beta: extra,
                eps: norm.eps,
                ends: ends(of),
            },
            Step::Activate {
                x,
                scale: by,
                n_voxels,
                channels,
                ends: of,
            } => Work::Activate {
                x: block(*x),
                scale: by.map(scale),
                n_voxels: *n_voxels,
                n_channels: channels.padded(),
                ends: ends(of),
            },
            Step::Upsample {
                x,
                bias,
                from,
                to,
                size,
                stride,
                y,
                ..
            } => {
                let (y, pitch) = place(*y);
                Work::Upsample {
                    x: block(*x),
                    weight,
                    bias: bias.map(|_| extra),
                    n_in: from.padded(),
                    n_out: to.padded(),
                    size: *size,
                    stride: *stride,
                    y,
                    pitch,
                }
            }
            Step::Pool {
                x,
                y,
                n_channels,
                size,
                stride,
            } => Work::Pool {
                x: block(*x),
                y: block(*y),
                n_channels: *n_channels,
                size: *size,
                stride: *stride,
            },
        }
    }
}
