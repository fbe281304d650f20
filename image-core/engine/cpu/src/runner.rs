//! Runs a network: one step after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::layer_time::{LayerTime, layer_time};
use crate::layout::Layout;
use crate::network::StepWeights;
use crate::norm::combine;
use crate::pages::Pages;
use crate::step::Step;
use crate::step_run::StepRun;
use crate::view::Affine;
use crate::{CpuError, Network, Threads};

/// Memory for the runs of one network on some threads.
#[derive(Debug)]
pub struct Runner {
    network: Network,
    threads: Threads,
    memory: Pages,
    /// One per thread.
    scratch: Vec<Mutex<Pages>>,
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
        let memory = Pages::zeros(plan.memory_len)?;
        let scratch = (0..threads.len())
            .map(|_| Pages::zeros(plan.scratch_len).map(Mutex::new))
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

    /// Gives back the memory that only a run needs; the next run takes it again.
    pub fn rest(&mut self) {
        self.memory.renew();
        for scratch in &mut self.scratch {
            scratch.get_mut().unwrap_or_else(PoisonError::into_inner).renew();
        }
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
        let memory = self.memory.values_mut();
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
