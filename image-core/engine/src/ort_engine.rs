//! The engine behind which ONNX Runtime stands; nothing else names its types.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nephrite_types::CancelToken;

use ort::ep::{self, ExecutionProviderDispatch};
use ort::memory::Allocator;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, SessionBuilder};
use ort::session::{IoBinding, RunOptions, Session};
use ort::value::{Outlet, Tensor, TensorElementType, TensorRefMut, ValueType};

use crate::stoppable::stoppable;
use crate::{
    EngineError, InferenceEngine, Interrupt, OnnxRuntime, Provider, TileShape, check_len,
    thread_count_from_cgroup,
};

/// How a network is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// What runs it; an error if it does not load.
    pub provider: Provider,
    /// Threads that work on one tile, the calling one among them; 0 counts as 1, and more than the process may use as many
    /// as it may use.
    pub n_threads: usize,
}

impl EngineOptions {
    /// All threads that the cgroup gives.
    pub fn new(provider: Provider) -> Self {
        EngineOptions {
            provider,
            n_threads: thread_count_from_cgroup(),
        }
    }
}

/// A network in an ONNX Runtime session of its own.
///
/// Logits are written by the last node of the graph straight into the caller's buffer. The input tile is copied once,
/// into a tensor that is kept (a tile of 64³ voxels is 1 MiB; the network takes a thousand times longer), and bound at
/// each run: ONNX Runtime copies it to a GPU when it is bound.
#[derive(Debug)]
pub struct OrtEngine {
    shape: TileShape,
    provider: Provider,
    // Dropped in this order: the binding holds the session's values.
    binding: IoBinding,
    input: Tensor<f32>,
    session: Session,
    input_name: String,
    output_name: String,
    interrupt: Arc<Stopper>,
}

/// Stops ONNX Runtime between two nodes.
struct Stopper {
    /// Whether it was told to.
    is_stopped: AtomicBool,
    options: RunOptions,
}

impl std::fmt::Debug for Stopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stopper")
            .field("is_stopped", &self.is_stopped)
            .finish_non_exhaustive()
    }
}

impl Interrupt for Stopper {
    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        let _ = self.options.terminate(); // fails only for options that are no longer there
    }

    fn resume(&self) {
        if self.is_stopped.swap(false, Ordering::Relaxed) {
            let _ = self.options.unterminate(); // as above
        }
    }
}

impl OrtEngine {
    /// Builds a session for `onnx`, a serialized ONNX model with one f32 input `[1, channel, patch…]` and one f32
    /// output `[1, class, patch…]` (the batch size may be left open), and runs it once to warm up.
    ///
    /// The model must have been checked: ONNX Runtime itself is not hardened against hostile graphs. `onnx` is dropped
    /// as soon as the session holds the weights. `cancel` stops all of it, within one layer of the network at the latest.
    ///
    /// # Errors
    /// [`EngineError::ProviderUnavailable`] if the provider is not in this ONNX Runtime, does not start here, or does
    /// not take the whole network; [`EngineError::Load`] if the graph is refused; [`EngineError::WrongShape`] if input
    /// or output do not fit `shape`; [`EngineError::Run`] if the warm-up fails; [`EngineError::Cancelled`].
    pub fn build(
        runtime: &OnnxRuntime,
        onnx: Vec<u8>,
        shape: TileShape,
        options: &EngineOptions,
        cancel: &CancelToken,
    ) -> Result<Self, EngineError> {
        let mut builder = session_builder(runtime, options)?;
        let canceler = builder.canceler();
        // A token that asks too late for this step is seen by the next one.
        let stop_loading = || drop(canceler.cancel());
        let session = stoppable(cancel, stop_loading, || builder.commit_from_memory(&onnx));
        drop(onnx);
        cancel.check()?;
        let session = session.map_err(|error| commit_error(options.provider, error))?;

        let input_name = check_outlet("network input", session.inputs(), &input_dims(&shape))?;
        let output_name = check_outlet("network output", session.outputs(), &output_dims(&shape))?;
        let input = Tensor::<f32>::new(&Allocator::default(), input_dims(&shape)).map_err(load_error)?;
        let binding = session.create_binding().map_err(load_error)?;

        let provider = options.provider;
        let options = RunOptions::new().map_err(load_error)?;
        let mut engine = OrtEngine {
            shape,
            provider,
            binding,
            input,
            session,
            input_name,
            output_name,
            interrupt: Arc::new(Stopper {
                is_stopped: AtomicBool::new(false),
                options,
            }),
        };
        engine.warm_up(cancel)?;
        Ok(engine)
    }

    /// The first run allocates the arena and, for some providers, compiles kernels.
    fn warm_up(&mut self, cancel: &CancelToken) -> Result<(), EngineError> {
        let input = vec![0.0; self.shape.input_len()];
        let mut output = vec![0.0; self.shape.output_len()];
        let interrupt = self.interrupt.clone();
        let ran = stoppable(cancel, || interrupt.stop(), || self.run(&input, &mut output));
        cancel.check()?;
        ran
    }

    fn run_bound(&mut self, output: &mut [f32]) -> Result<(), ort::Error> {
        self.binding.bind_input(&self.input_name, &self.input)?;
        let logits = TensorRefMut::from_array_view_mut((output_dims(&self.shape), output))?;
        self.binding.bind_output(&self.output_name, logits)?;
        self.session
            .run_binding_with_options(&self.binding, &self.interrupt.options)
            .map(drop)
    }
}

impl InferenceEngine for OrtEngine {
    fn tile_shape(&self) -> &TileShape {
        &self.shape
    }

    fn provider(&self) -> &str {
        self.provider.name()
    }

    fn run(&mut self, input: &[f32], output: &mut [f32]) -> Result<(), EngineError> {
        check_len("input tile", self.shape.input_len(), input.len())?;
        check_len("output tile", self.shape.output_len(), output.len())?;
        self.input.extract_tensor_mut().1.copy_from_slice(input);
        let outcome = self.run_bound(output);
        // The binding must not keep the caller's buffer, whatever came of the run.
        self.binding.clear_outputs();
        outcome.map_err(|error| EngineError::Run {
            reason: reason(&error),
        })
    }

    fn interrupt(&self) -> Option<Arc<dyn Interrupt>> {
        Some(self.interrupt.clone())
    }
}

fn session_builder(runtime: &OnnxRuntime, options: &EngineOptions) -> Result<SessionBuilder, EngineError> {
    let n_threads = options.n_threads.clamp(1, thread_count_from_cgroup());
    let builder = general_options(runtime, n_threads).map_err(load_error)?;
    let builder = match options.provider {
        Provider::Cpu => builder,
        // A provider that leaves nodes to the CPU is not what was asked for.
        Provider::Cuda | Provider::OpenVino => builder.with_disable_cpu_fallback().map_err(load_error)?,
    };
    builder
        .with_execution_providers([execution_provider(options.provider, n_threads)])
        .map_err(|error| EngineError::ProviderUnavailable {
            provider: options.provider.name().to_owned(),
            reason: reason(&error),
        })
}

/// What is the same for all providers.
fn general_options(runtime: &OnnxRuntime, n_threads: usize) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(runtime.environment())?
        // `ort` asks for the most efficient device unless told otherwise; ours is named, never chosen.
        .with_auto_device(AutoDevicePolicy::PreferCPU)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(n_threads)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        // Planning all activations as one block takes nearly twice the memory of the arena's chunks, and no less
        // time (U-Net of 16 to 128 features, patch 64³: 150 MB against 84 MB).
        .with_memory_pattern(false)?
        // Worker threads must not go on spinning once a tile is done: export runs on the same cores.
        .with_config_entry("session.force_spinning_stop", "1")?;
    Ok(builder)
}

/// The provider with its options; registration fails loudly.
fn execution_provider(provider: Provider, n_threads: usize) -> ExecutionProviderDispatch {
    let dispatch = match provider {
        Provider::Cpu => ep::CPU::default().with_arena_allocator(true).build(),
        Provider::Cuda => ep::CUDA::default()
            // The default search takes the first algorithm that cuDNN offers, which is slow for 3-D convolutions.
            .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
            .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
            .with_tf32(false)
            .build(),
        Provider::OpenVino => ep::OpenVINO::default()
            .with_device_type("CPU")
            .with_precision("FP32")
            .with_num_threads(n_threads)
            .with_num_streams(1)
            .build(),
    };
    dispatch.error_on_failure()
}

/// The name of the only input or output, if it is f32 and its dimensions are `expected` (the batch size may be open).
fn check_outlet(what: &'static str, outlets: &[Outlet], expected: &[usize]) -> Result<String, EngineError> {
    let [outlet] = outlets else {
        return Err(EngineError::Load {
            reason: format!("{what}: {} tensors, expected 1", outlets.len()),
        });
    };
    let ValueType::Tensor {
        ty: TensorElementType::Float32,
        shape,
        ..
    } = outlet.dtype()
    else {
        return Err(EngineError::Load {
            reason: format!("{what}: {}, expected a tensor of f32", outlet.dtype()),
        });
    };
    let is_open = |axis: usize, found: i64| axis == 0 && found == -1;
    let fits = shape.len() == expected.len()
        && shape
            .iter()
            .zip(expected)
            .enumerate()
            .all(|(axis, (&found, &wanted))| is_open(axis, found) || usize::try_from(found) == Ok(wanted));
    if !fits {
        return Err(EngineError::WrongShape {
            what,
            expected: expected.to_vec(),
            found: shape.to_vec(),
        });
    }
    Ok(outlet.name().to_owned())
}

fn input_dims(shape: &TileShape) -> Vec<usize> {
    [&[1, shape.n_channels], shape.patch.as_slice()].concat()
}

fn output_dims(shape: &TileShape) -> Vec<usize> {
    [&[1, shape.n_classes], shape.patch.as_slice()].concat()
}

/// What ONNX Runtime said; it likes to end with a full stop or a space.
fn reason<R>(error: &ort::Error<R>) -> String {
    error
        .to_string()
        .trim_end_matches(|c: char| c == '.' || c.is_whitespace())
        .to_owned()
}

fn load_error<R>(error: ort::Error<R>) -> EngineError {
    EngineError::Load {
        reason: error.to_string(),
    }
}

/// A provider that starts only with the first session (CUDA) fails here, not at registration.
fn commit_error(provider: Provider, error: ort::Error) -> EngineError {
    let reason = reason(&error);
    let is_graph_at_fault = provider == Provider::Cpu
        || matches!(
            error.code(),
            ort::ErrorCode::InvalidProtobuf | ort::ErrorCode::InvalidGraph
        );
    if is_graph_at_fault {
        EngineError::Load { reason }
    } else {
        EngineError::ProviderUnavailable {
            provider: provider.name().to_owned(),
            reason,
        }
    }
}
