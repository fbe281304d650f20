//! The core of a command, and its threads.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use nephrite_engine::Provider;
use nephrite_image_core::{Core, CoreSettings, ModelBudget, Root, RuntimeSettings, StepBudget};
use nephrite_server::pool_threads;
use nephrite_types::Limits;

use super::shared_arguments::{MemoryArguments, RuntimeArguments};

/// A core for one command: paths as the user's shell sees them.
pub(super) fn core(runtime: RuntimeArguments) -> Core {
    core_at(Root::filesystem(), runtime)
}

/// The same, with paths that lead where `root` says.
pub(super) fn core_at(root: Root, runtime: RuntimeArguments) -> Core {
    let ort_dylib_path = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let threads = limit_threads(runtime.threads);
    Core::new(CoreSettings {
        root,
        limits: Limits::default(),
        runtime: RuntimeSettings::new(
            runtime.provider,
            runtime.threads.and(threads),
            runtime.onnxruntime,
            ort_dylib_path,
        ),
        models: ModelBudget::default(),
        steps: StepBudget {
            max_memory_bytes: runtime.memory.max_memory_bytes,
            ..StepBudget::default()
        },
    })
}

/// Sets up the threads of resampling and writing: as many as are asked for, here or by rayon's own variables, but no more than
/// are usable.
pub(super) fn limit_threads(wanted: Option<NonZeroUsize>) -> Option<usize> {
    let threads = pool_threads(wanted)?;
    // Fails only if a pool is there already, which nothing before this makes.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    Some(threads)
}

/// A core for a command that runs no network.
pub(super) fn idle_core(memory: MemoryArguments) -> Core {
    core(RuntimeArguments {
        provider: Provider::Cpu,
        threads: None,
        memory,
        onnxruntime: None,
    })
}
