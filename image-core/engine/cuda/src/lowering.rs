//! From layers to steps of a card: norms, sums, and activations become one pass, biases in front of a norm go, and what is
//! concatenated is written where it belongs.

use nephrite_layers::{Layer, LayerGraph, Op, ValueId};

use crate::CudaError;
use crate::channels::Channels;
use crate::convolution_shape::ConvolutionShape;
use crate::plan::{BatchNorm, Block, Constant, Ends, Head, InstanceNorm, Place, Scale, Step, three};

/// A lowered network. Blocks are not placed yet.
pub(crate) struct Lowered {
    pub(crate) steps: Vec<Step>,
    pub(crate) head: Head,
    pub(crate) constants: Vec<Constant>,
    pub(crate) moments: Vec<usize>,
    /// Values of each block.
    pub(crate) sizes: Vec<usize>,
    pub(crate) tile: Block,
}

/// Voxels up to which one kernel makes statistics and applies them.
const FEW_VOXELS: usize = 8192;

/// Vectors of channels that a norm or an activation can have: one for each thread of a block.
const MAX_VECTORS: usize = 256;

/// Channels that a head can read: its factors for few classes fit the fast memory of a block.
const MAX_HEAD_CHANNELS: usize = 1024;

/// Blocks begin at multiples of so many values.
const BLOCK_VALUES: usize = 128;

/// Lowers a network whose channels fill vectors of `vector` values.
///
/// # Errors
/// [`CudaError::Unsupported`].
pub(crate) fn lower(graph: &LayerGraph, vector: usize) -> Result<Lowered, CudaError> {
    let n_values = graph.values.len();
    let mut lowering = Lowering {
        graph,
        vector,
        values: vec![None; n_values],
        slots: vec![None; n_values],
        concatenations: vec![None; n_values],
        steps: Vec::new(),
        constants: Vec::new(),
        moments: Vec::new(),
        sizes: Vec::new(),
    };
    let input = graph.shape(graph.input);
    let tile = lowering.block(input.n_values() as usize);
    lowering.values[graph.input.0] = Some(Value {
        channels: Channels::packed(input.channels),
        state: State::Written(tile),
    });
    lowering.reserve_concatenations()?;
    let mut head = None;
    for layer in &graph.layers {
        if layer.output == graph.output {
            head = Some(lowering.head(layer)?);
        } else {
            let value = lowering.layer(layer)?;
            lowering.values[layer.output.0] = Some(value);
        }
    }
    let head = head.ok_or_else(|| CudaError::Unsupported {
        layer: "the network".to_owned(),
        reason: "no layer makes its output",
    })?;
    Ok(Lowered {
        steps: lowering.steps,
        head,
        constants: lowering.constants,
        moments: lowering.moments,
        sizes: lowering.sizes,
        tile,
    })
}

#[derive(Debug, Clone)]
struct Value {
    channels: Channels,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// In a block of its own.
    Written(Block),
    /// In a part of a concatenation, and nowhere else.
    Part,
    /// Not computed yet.
    Pending(Pending),
}

/// `slope(scale(x) + scale(other))`, to be written when it is read.
#[derive(Debug, Clone, Copy)]
struct Pending {
    x: Block,
    /// Nobody else reads `x`: it may be overwritten.
    owned: bool,
    scale: Option<PendingScale>,
    other: Option<(Block, Option<Scale>)>,
    slope: f32,
}

#[derive(Debug, Clone, Copy)]
enum PendingScale {
    Constant(usize),
    Norm(InstanceNorm),
}

impl Pending {
    fn plain(x: Block, owned: bool) -> Self {
        Pending {
            x,
            owned,
            scale: None,
            other: None,
            slope: 1.0,
        }
    }

    fn is_plain(&self) -> bool {
        self.scale.is_none() && self.is_linear()
    }

    /// At most scaled.
    fn is_linear(&self) -> bool {
        self.other.is_none() && self.slope == 1.0
    }
}

struct Lowering<'a> {
    graph: &'a LayerGraph,
    vector: usize,
    values: Vec<Option<Value>>,
    /// Where values that are concatenated belong.
    slots: Vec<Option<Place>>,
    concatenations: Vec<Option<Block>>,
    steps: Vec<Step>,
    constants: Vec<Constant>,
    moments: Vec<usize>,
    sizes: Vec<usize>,
}

fn unsupported<T>(layer: &Layer, reason: &'static str) -> Result<T, CudaError> {
    Err(CudaError::Unsupported {
        layer: layer.name.clone(),
        reason,
    })
}

impl Lowering<'_> {
    fn block(&mut self, n_values: usize) -> Block {
        self.sizes.push(n_values.next_multiple_of(BLOCK_VALUES));
        self.sizes.len() - 1
    }

    fn size(&self, value: ValueId) -> [usize; 3] {
        three(&self.graph.shape(value).spatial)
    }

    fn n_voxels(&self, value: ValueId) -> usize {
        self.size(value).iter().product()
    }

    fn value(&self, layer: &Layer, value: ValueId) -> Result<Value, CudaError> {
        match &self.values[value.0] {
            Some(value) => Ok(value.clone()),
            None => unsupported(layer, "reads what nobody wrote"),
        }
    }

    fn readers(&self, value: ValueId) -> impl Iterator<Item = &Layer> {
        (self.graph.layers.iter()).filter(move |layer| layer.inputs.contains(&value))
    }

    fn is_read_once(&self, value: ValueId) -> bool {
        self.readers(value).count() == 1
    }

    /// A block for each concatenation, so that its parts are written where they belong.
    fn reserve_concatenations(&mut self) -> Result<(), CudaError> {
        for layer in &self.graph.layers {
            if layer.op != Op::Concat {
                continue;
            }
            let padded = |value: &ValueId| self.graph.shape(*value).channels.next_multiple_of(self.vector);
            let parts: Vec<usize> = layer.inputs.iter().map(padded).collect();
            let pitch = parts.iter().sum();
            let block = self.block(self.n_voxels(layer.output) * pitch);
            self.concatenations[layer.output.0] = Some(block);
            let mut offset = 0;
            for (value, part) in layer.inputs.iter().zip(parts) {
                if self.slots[value.0]
                    .replace(Place { block, pitch, offset })
                    .is_some()
                {
                    return unsupported(layer, "concatenates what is concatenated elsewhere too");
                }
                offset += part;
            }
        }
        Ok(())
    }

    /// The block of a value, written if it waits.
    fn written(&mut self, layer: &Layer, value: ValueId) -> Result<(Block, Channels), CudaError> {
        self.write(layer, value)?;
        let Value { channels, state } = self.value(layer, value)?;
        match state {
            State::Written(block) => Ok((block, channels)),
            _ => unsupported(layer, "reads a part of a concatenation"),
        }
    }

    /// Writes a value if it waits for it: to a block of its own unless only concatenations read it, and to its part of one.
    fn write(&mut self, layer: &Layer, value: ValueId) -> Result<(), CudaError> {
        let Value { channels, state } = self.value(layer, value)?;
        let State::Pending(pending) = state else {
            return Ok(());
        };
        let (n_voxels, n_channels) = (self.n_voxels(value), channels.padded());
        let is_read = self.readers(value).any(|reader| reader.op != Op::Concat);
        let (first, second, state) = match self.slots[value.0] {
            Some(slot) if !is_read => (slot, None, State::Part),
            slot => {
                let block = match pending.owned {
                    true => pending.x,
                    false => self.block(n_voxels * n_channels),
                };
                let own = Place {
                    block,
                    pitch: n_channels,
                    offset: 0,
                };
                (own, slot, State::Written(block))
            }
        };
        if n_channels / self.vector > MAX_VECTORS {
            return unsupported(layer, "reads more channels than cards can norm");
        }
        let ends = Ends {
            other: pending.other,
            slope: pending.slope,
            first,
            second,
        };
        let x = pending.x;
        let step = match pending.scale {
            Some(PendingScale::Norm(norm)) if n_voxels <= FEW_VOXELS => Step::Norm {
                x,
                n_voxels,
                channels: channels.clone(),
                norm,
                ends,
            },
            scale => {
                let scale = scale.map(|scale| self.scale(scale, x, n_voxels, &channels));
                Step::Activate {
                    x,
                    scale,
                    n_voxels,
                    channels: channels.clone(),
                    ends,
                }
            }
        };
        self.steps.push(step);
        self.values[value.0] = Some(Value { channels, state });
        Ok(())
    }

    /// The scale, made now if it is that of a norm.
    fn scale(&mut self, scale: PendingScale, x: Block, n_voxels: usize, channels: &Channels) -> Scale {
        match scale {
            PendingScale::Constant(at) => Scale::Constant(at),
            PendingScale::Norm(norm) => {
                let to = self.moments.len();
                self.moments.push(channels.padded());
                self.steps.push(Step::Moments {
                    x,
                    n_voxels,
                    channels: channels.clone(),
                    norm,
                    to,
                });
                Scale::Moments(to)
            }
        }
    }

    /// A value as the start of something that waits: as it waits already if `is_usable`, else written.
    fn start(
        &mut self,
        layer: &Layer,
        value: ValueId,
        is_usable: fn(&Pending) -> bool,
    ) -> Result<(Pending, Channels), CudaError> {
        let found = self.value(layer, value)?;
        let once = self.is_read_once(value);
        match found.state {
            State::Pending(pending) if once && is_usable(&pending) => Ok((pending, found.channels)),
            _ => {
                let (block, channels) = self.written(layer, value)?;
                Ok((Pending::plain(block, once), channels))
            }
        }
    }

    /// A constant scale that takes the place of what is there.
    fn constant(&mut self, constant: Constant) -> Option<PendingScale> {
        self.constants.push(constant);
        Some(PendingScale::Constant(self.constants.len() - 1))
    }

    fn layer(&mut self, layer: &Layer) -> Result<Value, CudaError> {
        let input = layer.inputs[0];
        let padded = Channels::padded_to(self.graph.shape(layer.output).channels, self.vector);
        let pending = |pending, channels| Value {
            channels,
            state: State::Pending(pending),
        };
        match &layer.op {
            Op::Conv {
                weight,
                bias,
                kernel,
                stride,
            } => {
                let (x, from) = self.written(layer, input)?;
                let y = self.block(self.n_voxels(layer.output) * padded.padded());
                let shape = ConvolutionShape {
                    n_in: from.padded(),
                    n_out: padded.padded(),
                    input: self.size(input),
                    output: self.size(layer.output),
                    kernel: three(kernel),
                    stride: three(stride),
                };
                self.steps.push(Step::Convolution {
                    x,
                    y,
                    weight: *weight,
                    from,
                    to: padded.clone(),
                    shape,
                });
                // A bias in front of an instance norm cancels.
                let mut readers = self.readers(layer.output);
                let cancels = matches!(
                    (readers.next(), readers.next()),
                    (
                        Some(Layer {
                            op: Op::InstanceNorm { .. },
                            ..
                        }),
                        None
                    )
                );
                drop(readers);
                let scale = match bias.filter(|_| !cancels) {
                    Some(bias) => self.constant(Constant {
                        channels: padded.clone(),
                        bias: Some(bias),
                        norm: None,
                    }),
                    None => None,
                };
                Ok(pending(
                    Pending {
                        scale,
                        ..Pending::plain(y, true)
                    },
                    padded,
                ))
            }
            Op::InstanceNorm { affine, eps } => {
                let (start, channels) = self.start(layer, input, Pending::is_plain)?;
                let scale = Some(PendingScale::Norm(InstanceNorm {
                    affine: *affine,
                    eps: *eps,
                }));
                Ok(pending(Pending { scale, ..start }, channels))
            }
            Op::BatchNorm {
                affine,
                mean,
                var,
                eps,
            } => {
                let norm = Some(BatchNorm {
                    affine: *affine,
                    mean: *mean,
                    var: *var,
                    eps: *eps,
                });
                let (start, channels) = self.start(layer, input, |pending| {
                    pending.is_linear() && !matches!(pending.scale, Some(PendingScale::Norm(_)))
                })?;
                let (start, bias) = match start.scale {
                    None => (start, None),
                    Some(PendingScale::Constant(at)) if self.constants[at].norm.is_none() => {
                        (start, self.constants[at].bias)
                    }
                    Some(_) => {
                        let (block, _) = self.written(layer, input)?;
                        (Pending::plain(block, true), None)
                    }
                };
                let scale = self.constant(Constant {
                    channels: channels.clone(),
                    bias,
                    norm,
                });
                Ok(pending(Pending { scale, ..start }, channels))
            }
            Op::LeakyRelu { .. } | Op::Relu => {
                let (start, channels) = self.start(layer, input, |pending| pending.slope == 1.0)?;
                let slope = match layer.op {
                    Op::LeakyRelu { slope } => slope,
                    _ => 0.0,
                };
                Ok(pending(Pending { slope, ..start }, channels))
            }
            Op::Add => {
                let (start, channels) = self.start(layer, input, Pending::is_linear)?;
                let (other, _) = self.start(layer, layer.inputs[1], Pending::is_linear)?;
                let n_voxels = self.n_voxels(layer.output);
                let scale = other
                    .scale
                    .map(|scale| self.scale(scale, other.x, n_voxels, &channels));
                Ok(pending(
                    Pending {
                        other: Some((other.x, scale)),
                        ..start
                    },
                    channels,
                ))
            }
            Op::AveragePool { stride } => {
                let (x, channels) = self.written(layer, input)?;
                let n_channels = channels.padded();
                if !n_channels.is_multiple_of(self.vector) {
                    return unsupported(layer, "is a mean of the tile itself");
                }
                let y = self.block(self.n_voxels(layer.output) * n_channels);
                self.steps.push(Step::Pool {
                    x,
                    y,
                    n_channels,
                    size: self.size(input),
                    stride: three(stride),
                });
                Ok(Value {
                    channels,
                    state: State::Written(y),
                })
            }
            Op::ConvTranspose { weight, bias, stride } => {
                let (x, from) = self.written(layer, input)?;
                let is_part = self.readers(layer.output).all(|reader| reader.op == Op::Concat);
                let (y, state) = match self.slots[layer.output.0] {
                    Some(slot) if is_part => (slot, State::Part),
                    Some(_) => return unsupported(layer, "is a part of a concatenation and read besides"),
                    None => {
                        let block = self.block(self.n_voxels(layer.output) * padded.padded());
                        let own = Place {
                            block,
                            pitch: padded.padded(),
                            offset: 0,
                        };
                        (own, State::Written(block))
                    }
                };
                let size = self.size(input);
                let (weight, bias, stride) = (*weight, *bias, three(stride));
                self.steps.push(Step::Upsample {
                    x,
                    weight,
                    bias,
                    from,
                    to: padded.clone(),
                    size,
                    stride,
                    y,
                });
                Ok(Value {
                    channels: padded,
                    state,
                })
            }
            Op::Concat => {
                let mut parts = Vec::new();
                for &value in &layer.inputs {
                    self.write(layer, value)?;
                    let Value { channels, state } = self.value(layer, value)?;
                    let own = match state {
                        State::Written(block) => Some(block),
                        _ => None,
                    };
                    if let (Some(block), Some(slot)) = (own, self.slots[value.0])
                        && !self.steps.iter().any(|step| writes_place(step, slot))
                    {
                        if !channels.padded().is_multiple_of(self.vector) {
                            return unsupported(layer, "concatenates the tile itself");
                        }
                        // in a block of its own, as means and the like are: copied
                        let ends = Ends {
                            other: None,
                            slope: 1.0,
                            first: slot,
                            second: None,
                        };
                        let n_voxels = self.n_voxels(value);
                        let channels = channels.clone();
                        self.steps.push(Step::Activate {
                            x: block,
                            scale: None,
                            n_voxels,
                            channels,
                            ends,
                        });
                    }
                    parts.push(channels);
                }
                match self.concatenations[layer.output.0] {
                    Some(block) => Ok(Value {
                        channels: Channels::concat(&parts),
                        state: State::Written(block),
                    }),
                    None => unsupported(layer, "has no block"),
                }
            }
        }
    }

    fn head(&mut self, layer: &Layer) -> Result<Head, CudaError> {
        let Op::Conv {
            weight,
            bias,
            kernel,
            stride,
        } = &layer.op
        else {
            return unsupported(layer, "is last and no convolution");
        };
        if kernel.iter().chain(stride).any(|&n| n != 1) {
            return unsupported(layer, "is last and reads more than one voxel");
        }
        let (x, from) = self.written(layer, layer.inputs[0])?;
        if from.padded() > MAX_HEAD_CHANNELS {
            return unsupported(layer, "is last and reads too many channels");
        }
        let n_classes = self.graph.shape(layer.output).channels;
        let (weight, bias) = (*weight, *bias);
        Ok(Head {
            x,
            weight,
            bias,
            from,
            n_classes,
        })
    }
}

fn writes_place(step: &Step, place: Place) -> bool {
    match step {
        Step::Upsample { y, .. } => *y == place,
        Step::Norm { ends, .. } | Step::Activate { ends, .. } => {
            ends.first == place || ends.second == Some(place)
        }
        _ => false,
    }
}
