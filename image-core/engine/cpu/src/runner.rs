//! Runs a network: one step after the other, each cut into tasks for all threads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use memmap2::MmapMut;
use pulp::{Arch, Simd, WithSimd};

use crate::direct::DirectTask;
use crate::layout::Layout;
use crate::memory::lend;
use crate::network::StepWeights;
use crate::norm::{Moments, combine, gather};
use crate::passes::{PoolTask, SumTask, VOXELS_PER_TASK};
use crate::plan::Plan;
use crate::step::{Step, Work};
use crate::upsample::{UpsampleTask, split};
use crate::view::{Affine, BufferId, Source, View};
use crate::winograd::StripTask;
use crate::{CpuError, Network, Threads};

/// What one step of a run took.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTime {
    /// Of the layer.
    pub name: String,
    /// How it was computed: `winograd 2×4×4`, `direct`, `transposed`, `sum`, `pool`.
    pub kind: String,
    /// What it wrote: channels and z × y × x.
    pub output: String,
    /// Wall time.
    pub seconds: f64,
    /// As a plain sum would need, zeros of the padding included; 0 for what is no convolution.
    pub multiply_adds: u64,
    /// That are multiplied in fact, padding of channels and tiles included.
    pub products: u64,
    /// Of inputs, weights and outputs, each counted once.
    pub bytes: u64,
    /// Tasks that were handed to the threads.
    pub n_tasks: u64,
    /// Times that all threads waited for the last one.
    pub n_barriers: u64,
}

/// Memory for the runs of one network on some threads.
#[derive(Debug)]
pub struct Runner {
    network: Network,
    threads: Threads,
    memory: MmapMut,
    /// One per thread.
    scratch: Vec<Mutex<MmapMut>>,
    /// Norms of this run.
    affines: Vec<Affine>,
    identities: Vec<Affine>,
    stop: Arc<AtomicBool>,
}

impl Network {
    /// Memory for runs on these threads.
    ///
    /// # Errors
    /// [`CpuError::Memory`].
    pub fn runner(&self, threads: &Threads) -> Result<Runner, CpuError> {
        Runner::new(self.clone(), threads.clone())
    }
}

impl Runner {
    fn new(network: Network, threads: Threads) -> Result<Runner, CpuError> {
        let plan = &network.inner.plan;
        let memory = pages(plan.memory_len)?;
        let scratch = (0..threads.len())
            .map(|_| pages(plan.scratch_len).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        let affines = network.inner.affines.clone();
        let mut pitches: Vec<usize> = plan
            .all_steps()
            .flat_map(|step| &step.inputs)
            .map(|view| view.layout.pitch)
            .collect();
        pitches.sort_unstable();
        pitches.dedup();
        let identities = pitches.into_iter().map(Affine::identity).collect();
        Ok(Runner {
            network,
            threads,
            memory,
            scratch,
            affines,
            identities,
            stop: Arc::default(),
        })
    }

    /// The flag that ends a run soon, within a task, once it is set; runs fail until it is cleared.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Runs the network: `input` is `[channel, z, y, x]`, `output` receives the logits, `[class, z, y, x]`.
    ///
    /// # Errors
    /// [`CpuError::Length`]; [`CpuError::Stopped`].
    pub fn run(&mut self, input: &[f32], output: &mut [f32]) -> Result<(), CpuError> {
        self.run_steps(input, output, |_, _, _, _| {})
    }

    /// As [`Runner::run`], and what each step took.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn profile(&mut self, input: &[f32], output: &mut [f32]) -> Result<Vec<LayerTime>, CpuError> {
        let mut times = Vec::new();
        self.run_steps(input, output, |step, of_feeder, weights, seconds| {
            let mut time = layer_time(step, weights, seconds);
            if let Some((feeder, weights)) = step.feeder().zip(of_feeder) {
                // It makes a few planes at a time, between those of the convolution that reads it.
                let of_feeder = layer_time(feeder, weights, 0.0);
                time.name = format!("{} + {}", of_feeder.name, time.name);
                time.kind = format!("{} + {}", of_feeder.kind, time.kind);
                time.multiply_adds += of_feeder.multiply_adds;
                time.products += of_feeder.products;
                time.bytes += of_feeder.bytes;
                time.n_tasks += of_feeder.n_tasks;
                time.n_barriers *= 2;
            }
            times.push(time);
        })?;
        Ok(times)
    }

    fn run_steps(
        &mut self,
        input: &[f32],
        output: &mut [f32],
        mut after: impl FnMut(&Step, Option<&StepWeights>, &StepWeights, f64) + Send,
    ) -> Result<(), CpuError> {
        let inner = &self.network.inner;
        let plan = &inner.plan;
        check_len("input tile", self.network.input_len(), input.len())?;
        check_len("logits", self.network.output_len(), output.len())?;
        let memory: &mut [f32] = bytemuck::cast_slice_mut(&mut self.memory);
        let (threads, stop) = (&self.threads, &*self.stop);
        let (affines, identities, scratch) = (&mut self.affines, &self.identities, &self.scratch);
        threads.install(|| {
            let home = plan.homes[plan.input.0];
            interleave(
                input,
                plan.input_layout,
                &mut memory[plan.places[home.block].clone()],
            );
            let mut weights = inner.weights.iter();
            for step in &plan.steps {
                let begin = Instant::now();
                let of_feeder = step.feeder().and_then(|_| weights.next());
                let Some(of_step) = weights.next() else {
                    break; // there are weights for every step
                };
                let run = StepRun {
                    plan,
                    step,
                    weights: of_step,
                    feeder: step.feeder().zip(of_feeder),
                    affines: &*affines,
                    identities,
                    threads,
                    scratch,
                    stop,
                };
                let moments = run.run(memory, output);
                if stop.load(Ordering::Relaxed) {
                    return Err(CpuError::Stopped);
                }
                if let (Some(norm), Some(norm_weights)) = (&step.norm, &of_step.norm) {
                    let [mean, variance] = combine(moments.iter(), step.output.layout().pitch);
                    norm_weights.affine(&mean, &variance, &mut affines[norm.affine.0]);
                }
                after(step, of_feeder, of_step, begin.elapsed().as_secs_f64());
            }
            Ok(())
        })
    }
}

/// Memory in large pages where the system has them.
fn pages(n_values: usize) -> Result<MmapMut, CpuError> {
    let bytes = n_values.max(1).saturating_mul(size_of::<f32>());
    let memory = MmapMut::map_anon(bytes).map_err(|error| CpuError::Memory {
        bytes,
        reason: error.to_string(),
    })?;
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage); // only a matter of speed
    Ok(memory)
}

/// `[channel, z, y, x]` to `[z, y, x, channel]`.
fn interleave(input: &[f32], layout: Layout, to: &mut [f32]) {
    let n_voxels = layout.n_voxels();
    if layout.pitch > layout.channels {
        to.fill(0.0);
    }
    for (channel, values) in input.chunks_exact(n_voxels).enumerate() {
        for (to, value) in to[channel..].iter_mut().step_by(layout.pitch).zip(values) {
            *to = *value;
        }
    }
}

fn identity(identities: &[Affine], pitch: usize) -> &Affine {
    let found = identities.binary_search_by_key(&pitch, |affine| affine.scale.len());
    &identities[found.expect("one was made for every pitch of the plan")]
}

fn check_len(what: &str, expected: usize, found: usize) -> Result<(), CpuError> {
    if expected == found {
        Ok(())
    } else {
        Err(CpuError::Length {
            what: what.to_owned(),
            expected,
            found,
        })
    }
}

/// One step with all that it reads.
struct StepRun<'a> {
    plan: &'a Plan,
    step: &'a Step,
    weights: &'a StepWeights,
    /// The step that is computed within this one.
    feeder: Option<(&'a Step, &'a StepWeights)>,
    affines: &'a [Affine],
    identities: &'a [Affine],
    threads: &'a Threads,
    scratch: &'a [Mutex<MmapMut>],
    stop: &'a AtomicBool,
}

/// The blocks that a step reads and writes, each cut into planes; those that are being written are taken out.
struct Lent<'a> {
    /// Numbers of the blocks.
    blocks: Vec<usize>,
    /// `[block][slot]`.
    slots: Vec<Vec<Option<&'a mut [f32]>>>,
}

impl<'a> Lent<'a> {
    fn new(plan: &Plan, values: &[BufferId], memory: &'a mut [f32]) -> Self {
        let mut blocks: Vec<usize> = values.iter().map(|value| plan.homes[value.0].block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let ranges: Vec<Range<usize>> = blocks.iter().map(|&block| plan.places[block].clone()).collect();
        let slots = lend(memory, &ranges)
            .into_iter()
            .zip(&blocks)
            .map(|(values, &block)| {
                let planes = values.chunks_exact_mut(plan.blocks[block].plane_len.max(1));
                planes.map(Some).collect()
            })
            .collect();
        Lent { blocks, slots }
    }

    fn block(&self, plan: &Plan, value: BufferId) -> usize {
        let block = plan.homes[value.0].block;
        let found = self.blocks.binary_search(&block);
        found.expect("all values of the step were lent")
    }

    /// Takes planes of a value, to write them.
    fn take(&mut self, plan: &Plan, value: BufferId, planes: Range<usize>) -> Vec<&'a mut [f32]> {
        let block = self.block(plan, value);
        let n_slots = self.slots[block].len();
        planes
            .map(|z| {
                let slot = plan.homes[value.0].slot(z, n_slots);
                self.slots[block][slot]
                    .take()
                    .expect("no plane is written twice at once")
            })
            .collect()
    }

    /// Gives them back.
    fn put(&mut self, plan: &Plan, value: BufferId, planes: Range<usize>, slices: Vec<&'a mut [f32]>) {
        let block = self.block(plan, value);
        let n_slots = self.slots[block].len();
        for (z, slice) in planes.zip(slices) {
            self.slots[block][plan.homes[value.0].slot(z, n_slots)] = Some(slice);
        }
    }

    /// The planes of a value, for reading; empty those that are taken.
    fn planes(&self, plan: &Plan, view: &View) -> Vec<&[f32]> {
        let block = self.block(plan, view.buffer);
        let slots = &self.slots[block];
        (0..view.layout.size[0])
            .map(|z| {
                let slot = plan.homes[view.buffer.0].slot(z, slots.len());
                slots[slot].as_deref().unwrap_or(&[])
            })
            .collect()
    }
}

/// Something that one task takes, and no other.
type Slots<T> = Vec<Mutex<Option<T>>>;

fn slots<T>(items: impl IntoIterator<Item = T>) -> Slots<T> {
    items.into_iter().map(|item| Mutex::new(Some(item))).collect()
}

fn take<T>(slots: &[Mutex<Option<T>>], i: usize) -> T {
    let item = slots[i].lock().unwrap_or_else(PoisonError::into_inner).take();
    item.expect("every task runs once")
}

impl StepRun<'_> {
    /// Runs all tasks; gives what they know of the values that they wrote, in order, if a norm follows.
    fn run(&self, memory: &mut [f32], logits: &mut [f32]) -> Vec<Moments> {
        let mut values: Vec<BufferId> = self.step.inputs.iter().map(|view| view.buffer).collect();
        values.extend(self.step.output.buffer());
        if let Some((feeder, _)) = self.feeder {
            values.extend(feeder.inputs.iter().map(|view| view.buffer));
        }
        let mut lent = Lent::new(self.plan, &values, memory);
        let Some(output) = self.step.output.buffer() else {
            let planes = self.planes(&lent);
            let sources = self.sources(&planes);
            return match &self.step.work {
                Work::Direct { .. } => self.direct_logits(&sources, logits),
                Work::Sum { .. } => self.sum_logits(&sources, logits),
                // The plan gives logits to no other.
                Work::Winograd { .. } | Work::Upsample { .. } | Work::Pool { .. } => Vec::new(),
            };
        };
        if let Work::Winograd { .. } = &self.step.work {
            return self.winograd(&mut lent, output);
        }
        let all = 0..self.layout().size[0];
        let mut written = lent.take(self.plan, output, all);
        let planes = self.planes(&lent);
        let sources = self.sources(&planes);
        match &self.step.work {
            Work::Direct { plan, .. } if plan.is_whole() => self.direct(&sources, written),
            Work::Direct { .. } => self.direct_in_parts(&sources, &mut written),
            Work::Upsample { stride, .. } => {
                let rows = split(written, sources[0].layout.size, *stride, self.layout().pitch);
                self.upsample(self.step, self.weights, sources[0], 0, rows);
                Vec::new()
            }
            Work::Sum { in_place } => self.sum(&sources, *in_place, written),
            Work::Pool { stride } => self.pool(&sources, *stride, written),
            Work::Winograd { .. } => Vec::new(), // above
        }
    }

    /// The planes of all inputs.
    fn planes<'l>(&self, lent: &'l Lent<'_>) -> Vec<Vec<&'l [f32]>> {
        let inputs = self.step.inputs.iter();
        inputs.map(|view| lent.planes(self.plan, view)).collect()
    }

    fn sources<'s>(&'s self, planes: &'s [Vec<&'s [f32]>]) -> Vec<Source<'s>> {
        let inputs = self.step.inputs.iter().zip(planes);
        inputs.map(|(view, planes)| self.source(view, planes)).collect()
    }

    fn source<'s>(&'s self, view: &View, planes: &'s [&'s [f32]]) -> Source<'s> {
        Source {
            planes,
            layout: view.layout,
            affine: match view.affine {
                Some(id) => &self.affines[id.0],
                None => identity(self.identities, view.layout.pitch),
            },
            slope: view.slope,
        }
    }

    fn arch(&self) -> Arch {
        self.step.level.arch().unwrap_or(Arch::Scalar)
    }

    fn layout(&self) -> Layout {
        self.step.output.layout()
    }

    /// Calls `task(i, scratch)` for every `i` below `n`.
    fn for_each(&self, n: usize, task: impl Fn(usize, &mut [f32]) + Sync) {
        self.threads.for_each(n, self.stop, |thread, i| {
            let mut scratch = self.scratch[thread]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            task(i, bytemuck::cast_slice_mut(&mut scratch));
        });
    }

    /// As [`StepRun::for_each`]; every task fills moments of its own, if there is a norm.
    fn for_each_with_moments(
        &self,
        n: usize,
        task: impl Fn(usize, &mut [f32], Option<&mut Moments>) + Sync,
    ) -> Vec<Moments> {
        if self.step.norm.is_none() {
            self.for_each(n, |i, scratch| task(i, scratch, None));
            return Vec::new();
        }
        let pitch = self.layout().pitch;
        let moments: Vec<Mutex<Moments>> = (0..n).map(|_| Mutex::default()).collect();
        self.for_each(n, |i, scratch| {
            let mut of_task = Moments::new(pitch);
            task(i, scratch, Some(&mut of_task));
            *moments[i].lock().unwrap_or_else(PoisonError::into_inner) = of_task;
        });
        moments
            .into_iter()
            .map(|moments| moments.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }

    /// Layers of tiles one group after the other: of each, first what the feeder makes for it.
    fn winograd(&self, lent: &mut Lent<'_>, output: BufferId) -> Vec<Moments> {
        let (Work::Winograd { plan, n_layers, .. }, Some(weights)) = (&self.step.work, &self.weights.packed)
        else {
            return Vec::new();
        };
        let arch = self.arch();
        let mut moments = Vec::new();
        let mut n_fed = 0;
        for first in (0..plan.n_layers()).step_by(*n_layers) {
            let layers = first..(first + n_layers).min(plan.n_layers());
            let planes = plan.planes(&layers);
            n_fed = self.feed(lent, n_fed, planes.end + 1);
            let written = lent.take(self.plan, output, planes.clone());
            // The slices are needed again after the tasks: they go in as reborrowed parts.
            let mut written = written;
            let parts = written.iter_mut().map(|plane| &mut **plane).collect();
            let rows = slots(plan.split(&layers, parts, self.layout().pitch));
            let first_strip = layers.start * plan.strips_per_layer();
            {
                let inputs = self.planes(lent);
                let sources = self.sources(&inputs);
                moments.extend(self.for_each_with_moments(rows.len(), |i, scratch, moments| {
                    arch.dispatch(StripTask {
                        plan,
                        strip: plan.strip(first_strip + i),
                        sources: &sources,
                        weights,
                        bias: &self.weights.bias,
                        rows: &mut take(&rows, i),
                        moments,
                        scratch,
                    });
                }));
            }
            drop(rows);
            lent.put(self.plan, output, planes, written);
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        moments
    }

    /// Makes the feeder's planes up to `wanted`, where there are so many; `n_fed` are there already. Gives how many there are
    /// then.
    fn feed(&self, lent: &mut Lent<'_>, n_fed: usize, wanted: usize) -> usize {
        let Some((feeder, weights)) = self.feeder else {
            return n_fed;
        };
        let (Work::Upsample { stride, .. }, Some(output)) = (&feeder.work, feeder.output.buffer()) else {
            return n_fed;
        };
        let layout = feeder.output.layout();
        let wanted = wanted.next_multiple_of(stride[0]).min(layout.size[0]);
        if wanted <= n_fed {
            return n_fed;
        }
        let mut written = lent.take(self.plan, output, n_fed..wanted);
        {
            let view = &feeder.inputs[0];
            let planes = lent.planes(self.plan, view);
            let source = self.source(view, &planes);
            let parts = written.iter_mut().map(|plane| &mut **plane).collect();
            let rows = split(parts, view.layout.size, *stride, layout.pitch);
            self.upsample(feeder, weights, source, n_fed / stride[0], rows);
        }
        lent.put(self.plan, output, n_fed..wanted, written);
        wanted
    }

    /// One task of a convolution by copied windows, its results anywhere.
    fn direct_task(
        &self,
        sources: &[Source<'_>],
        i: usize,
        results: &mut [f32],
        panel: &mut [f32],
        moments: Option<&mut Moments>,
    ) {
        if let (Work::Direct { plan, .. }, Some(weights)) = (&self.step.work, &self.weights.packed) {
            self.arch().dispatch(DirectTask {
                plan,
                part: plan.part(i),
                sources,
                weights,
                bias: &self.weights.bias,
                results,
                moments,
                panel,
            });
        }
    }

    /// Every task has all outputs of a run of voxels, which lie in one plane.
    fn direct(&self, sources: &[Source<'_>], output: Vec<&mut [f32]>) -> Vec<Moments> {
        let Work::Direct { plan, .. } = &self.step.work else {
            return Vec::new();
        };
        let n = plan.n_voxels() * self.layout().pitch;
        let results = slots(output.into_iter().flat_map(|plane| plane.chunks_mut(n)));
        self.for_each_with_moments(plan.n_tasks(), |i, panel, moments| {
            self.direct_task(sources, i, take(&results, i), panel, moments);
        })
    }

    /// Every task has some outputs of a run of voxels; they are put together afterwards. For small volumes.
    fn direct_in_parts(&self, sources: &[Source<'_>], output: &mut [&mut [f32]]) -> Vec<Moments> {
        let (Work::Direct { plan, .. }, Some(weights)) = (&self.step.work, &self.weights.packed) else {
            return Vec::new();
        };
        let layout = self.layout();
        let (pitch, per_plane) = (layout.pitch, layout.size[1] * layout.size[2]);
        let (shape, lanes) = (weights.shape(), self.step.level.lanes());
        let block_width = lanes * crate::product::BLOCK_VECTORS;
        let columns = |i: usize| {
            let blocks = plan.part(i).blocks;
            blocks.start * block_width..(blocks.end * block_width).min(shape.n_out)
        };
        let results: Vec<Mutex<Vec<f32>>> = (0..plan.n_tasks()).map(|_| Mutex::default()).collect();
        self.for_each(plan.n_tasks(), |i, panel| {
            let mut values = vec![0.0; plan.part(i).positions.len() * columns(i).len()];
            self.direct_task(sources, i, &mut values, panel, None);
            *results[i].lock().unwrap_or_else(PoisonError::into_inner) = values;
        });
        for (i, values) in results.into_iter().enumerate() {
            let values = values.into_inner().unwrap_or_else(PoisonError::into_inner);
            let columns = columns(i);
            let positions = plan.part(i).positions;
            for (position, values) in positions.zip(values.chunks_exact(columns.len())) {
                let (z, at) = (position / per_plane, position % per_plane * pitch);
                output[z][at..][columns.clone()].copy_from_slice(values);
            }
        }
        if self.step.norm.is_none() {
            return Vec::new();
        }
        let parts = output
            .iter()
            .flat_map(|plane| plane.chunks(VOXELS_PER_TASK * pitch));
        parts
            .map(|values| {
                let mut moments = Moments::new(pitch);
                self.arch().dispatch(Gather {
                    values,
                    pitch,
                    moments: &mut moments,
                });
                moments
            })
            .collect()
    }

    fn direct_logits(&self, sources: &[Source<'_>], logits: &mut [f32]) -> Vec<Moments> {
        let Work::Direct { plan, .. } = &self.step.work else {
            return Vec::new();
        };
        let pitch = self.layout().pitch;
        let n = plan.n_voxels();
        let classes = slots(by_class(logits, self.layout(), n));
        self.for_each(plan.n_tasks(), |i, scratch| {
            let (results, panel) = scratch.split_at_mut(n * pitch);
            let results = &mut results[..plan.part(i).positions.len() * pitch];
            self.direct_task(sources, i, results, panel, None);
            separate(results, pitch, take(&classes, i));
        });
        Vec::new()
    }

    /// A transposed convolution, from input plane `first_plane` on; `rows` are those of every input row's boxes.
    fn upsample(
        &self,
        step: &Step,
        weights: &StepWeights,
        source: Source<'_>,
        first_plane: usize,
        rows: Vec<Vec<&mut [f32]>>,
    ) {
        let (Work::Upsample { stride, .. }, Some(packed)) = (&step.work, &weights.packed) else {
            return;
        };
        let rows = slots(rows);
        let arch = step.level.arch().unwrap_or(Arch::Scalar);
        self.for_each(rows.len(), |row, panel| {
            arch.dispatch(UpsampleTask {
                stride: *stride,
                source,
                row: first_plane * source.layout.size[1] + row,
                weights: packed,
                bias: &weights.bias,
                rows: &mut take(&rows, row),
                panel,
            });
        });
    }

    fn sum(&self, sources: &[Source<'_>], in_place: bool, output: Vec<&mut [f32]>) -> Vec<Moments> {
        let pitch = self.layout().pitch;
        let n = VOXELS_PER_TASK * pitch;
        let parts = output.into_iter().enumerate().flat_map(|(z, plane)| {
            let parts = plane.chunks_mut(n).enumerate();
            parts.map(move |(i, part)| (z, i * n, part))
        });
        let parts = slots(parts);
        let arch = self.arch();
        self.for_each_with_moments(parts.len(), |i, _, moments| {
            let (z, first, to) = take(&parts, i);
            arch.dispatch(SumTask {
                a: sources[0],
                b: sources.get(1).copied(),
                in_place,
                z,
                first,
                to,
                moments,
            });
        })
    }

    fn sum_logits(&self, sources: &[Source<'_>], logits: &mut [f32]) -> Vec<Moments> {
        let layout = self.layout();
        let per_plane = layout.size[1] * layout.size[2];
        let classes = slots(by_class(logits, layout, VOXELS_PER_TASK));
        let per_plane_parts = per_plane.div_ceil(VOXELS_PER_TASK);
        let arch = self.arch();
        self.for_each(classes.len(), |i, _| {
            let classes = take(&classes, i);
            let mut values = vec![0.0; classes[0].len() * layout.pitch];
            arch.dispatch(SumTask {
                a: sources[0],
                b: None,
                in_place: false,
                z: i / per_plane_parts,
                first: i % per_plane_parts * VOXELS_PER_TASK * layout.pitch,
                to: &mut values,
                moments: None,
            });
            separate(&values, layout.pitch, classes);
        });
        Vec::new()
    }

    fn pool(&self, sources: &[Source<'_>], stride: [usize; 3], output: Vec<&mut [f32]>) -> Vec<Moments> {
        let layout = self.layout();
        let [_, size_y, size_x] = layout.size;
        let rows = output
            .into_iter()
            .flat_map(|plane| plane.chunks_mut(size_x * layout.pitch));
        let rows = slots(rows);
        let arch = self.arch();
        self.for_each(rows.len(), |i, _| {
            arch.dispatch(PoolTask {
                source: sources[0],
                stride,
                row: [i / size_y, i % size_y],
                to: take(&rows, i),
            });
        });
        Vec::new()
    }
}

/// Statistics of a small value.
struct Gather<'a> {
    values: &'a [f32],
    pitch: usize,
    moments: &'a mut Moments,
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        gather(simd, self.values, self.pitch, self.moments);
    }
}

/// Logits, `[class, z, y, x]`, each plane cut into runs of `n` voxels: of each, the part of every class.
fn by_class(logits: &mut [f32], layout: Layout, n: usize) -> Vec<Vec<&mut [f32]>> {
    let per_plane = layout.size[1] * layout.size[2];
    let n_runs = layout.size[0] * per_plane.div_ceil(n);
    let mut runs: Vec<Vec<&mut [f32]>> = (0..n_runs).map(|_| Vec::new()).collect();
    for class in logits.chunks_exact_mut(layout.n_voxels()) {
        let parts = class
            .chunks_exact_mut(per_plane)
            .flat_map(|plane| plane.chunks_mut(n));
        for (run, part) in runs.iter_mut().zip(parts) {
            run.push(part);
        }
    }
    runs
}

/// `[voxel][class]` to the classes.
fn separate(values: &[f32], pitch: usize, classes: Vec<&mut [f32]>) {
    for (class, to) in classes.into_iter().enumerate() {
        for (to, values) in to.iter_mut().zip(values.chunks_exact(pitch)) {
            *to = values[class];
        }
    }
}

fn layer_time(step: &Step, weights: &StepWeights, seconds: f64) -> LayerTime {
    let layout = step.output.layout();
    let [z, y, x] = layout.size;
    let n_in: usize = step.inputs.iter().map(|view| view.layout.channels).sum();
    let n_outputs = (layout.n_voxels() * layout.channels) as u64;
    let shape = weights.packed.as_ref().map(crate::pack::Packed::shape);
    let depth = shape.map_or(0, |shape| shape.depth * shape.n_out);
    let n_voxels = layout.n_voxels();
    let rows = layout.size[0] * layout.size[1];
    let (kind, n_taps, products, n_tasks) = match &step.work {
        Work::Winograd { plan, .. } => {
            let [tz, ty, tx] = plan.tile.0;
            let n_tiles: usize = plan.tile.counts(plan.size).iter().product();
            (
                format!("winograd {tz}x{ty}x{tx}"),
                if tz == 1 { 9 } else { 27 },
                n_tiles * plan.tile.n_components() * depth,
                plan.n_layers() * plan.strips_per_layer(),
            )
        }
        Work::Direct { plan, .. } => (
            "direct".to_owned(),
            plan.windows.n_taps(),
            n_voxels * depth,
            plan.n_tasks(),
        ),
        Work::Upsample { stride, .. } => (
            "transposed".to_owned(),
            1,
            n_voxels * depth,
            rows / (stride[0] * stride[1]),
        ),
        Work::Sum { .. } => {
            let per_plane = (layout.size[1] * layout.size[2]).div_ceil(VOXELS_PER_TASK);
            ("sum".to_owned(), 0, 0, layout.size[0] * per_plane)
        }
        Work::Pool { .. } => ("pool".to_owned(), 0, 0, rows),
    };
    let n_barriers = match &step.work {
        Work::Winograd { plan, n_layers, .. } => plan.n_layers().div_ceil(*n_layers),
        _ => 1,
    };
    let multiply_adds = n_outputs * (n_in * n_taps) as u64;
    let read: usize = step.inputs.iter().map(|view| view.layout.len()).sum();
    let packed = weights.packed.as_ref().map_or(0, crate::pack::Packed::n_bytes);
    LayerTime {
        name: step.name.clone(),
        kind,
        output: format!("{} x {z}x{y}x{x}", layout.channels),
        seconds,
        multiply_adds,
        products: products as u64,
        bytes: ((read + layout.len()) * size_of::<f32>() + packed) as u64,
        n_tasks: n_tasks as u64,
        n_barriers: n_barriers as u64,
    }
}
