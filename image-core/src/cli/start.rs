//! The core of a command, and its threads.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use nephrite_dicom::SeriesOptions;
use nephrite_engine::Provider;
use nephrite_image_core::{Core, CoreSettings, ModelBudget, Root, RuntimeSettings, StepBudget};
use nephrite_server::pool_threads;
use nephrite_types::Limits;

use super::failure::Failure;
use super::series_arguments::SeriesArguments;
use super::shared_arguments::{CpuArguments, CudaArguments, MemoryArguments, RuntimeArguments};

/// A core for one command: paths as the user's shell sees them.
pub(super) fn core(runtime: RuntimeArguments) -> Result<Core, Failure> {
    core_at(Root::filesystem(), runtime)
}

/// The same, with paths that lead where `root` says.
pub(super) fn core_at(root: Root, arguments: RuntimeArguments) -> Result<Core, Failure> {
    let (max_memory_bytes, series) = (arguments.memory.max_memory_bytes, arguments.series);
    let runtime = runtime(arguments);
    runtime.check()?;
    let core = new_core(root, runtime, max_memory_bytes);
    Ok(core.with_series_options(series.over(SeriesOptions::default())))
}

/// What runs the networks. Sets up the threads around them, too.
fn runtime(arguments: RuntimeArguments) -> RuntimeSettings {
    let ort_dylib_path = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let threads = limit_threads(arguments.threads);
    RuntimeSettings {
        precision: arguments.precision,
        cpu: arguments.cpu.settings(),
        cuda: arguments.cuda.settings(cuda_libraries(), kernel_cache()),
        ..RuntimeSettings::new(
            arguments.provider,
            arguments.threads.and(threads),
            arguments.onnxruntime,
            ort_dylib_path,
        )
    }
}

/// Folders that `NEPHRITE_CUDA_LIBRARIES` names, with colons between.
pub(super) fn cuda_libraries() -> Vec<PathBuf> {
    let folders = std::env::var_os("NEPHRITE_CUDA_LIBRARIES");
    folders.iter().flat_map(std::env::split_paths).collect()
}

/// Where compiled kernels, and what models have shown, are kept between starts: in the user's folder for what can be made again.
pub(super) fn kernel_cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let of_home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = cache.filter(|path| path.is_absolute()).or_else(of_home)?;
    Some(cache.join("nephrite"))
}

fn new_core(root: Root, runtime: RuntimeSettings, max_memory_bytes: Option<u64>) -> Core {
    Core::new(CoreSettings {
        root,
        limits: Limits::default(),
        runtime,
        models: ModelBudget::default(),
        steps: StepBudget {
            max_memory_bytes,
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

/// A core for a command that runs no network. What networks would take is said for provider `cpu`, the best instructions of this
/// processor and f32: such a command has no options that say otherwise.
pub(super) fn idle_core(memory: MemoryArguments) -> Core {
    let runtime = runtime(RuntimeArguments {
        provider: Provider::Cpu,
        threads: None,
        precision: None,
        cpu: CpuArguments::default(),
        cuda: CudaArguments::default(),
        series: SeriesArguments::default(),
        memory,
        onnxruntime: None,
    });
    new_core(Root::filesystem(), runtime, memory.max_memory_bytes)
}
