//! What people type. Each command turns its arguments into a request of the library and prints what came of it.

mod args;
mod case_place;
mod case_progress;
mod config;
#[cfg(feature = "demo")]
mod demo;
#[cfg(not(feature = "demo"))]
#[path = "no_demo.rs"]
mod demo;
mod failure;
mod health;
mod mask;
mod models;
mod option_arguments;
mod pipeline;
mod place;
mod plugin;
mod progress;
#[cfg(test)]
mod reference;
mod resize;
mod run;
mod run_at_server;
mod segment;
mod serve;
mod signals;
mod verify;

use std::io::{IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use nephrite_engine::Provider;
use nephrite_image_core::{Core, CoreSettings, ModelBudget, OutputFile, Root, RuntimeSettings, StepBudget};
use nephrite_server::pool_threads;
use nephrite_types::Limits;
use nephrite_volume::write_atomically;
use tracing_subscriber::EnvFilter;

use args::{Arguments, Command, MemoryArguments, RuntimeArguments};
use failure::Failure;

/// Parses the command line, runs the command, and turns its outcome into an exit code.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !matches!(arguments.command, Command::Serve { .. }) {
        log_to_stderr(); // the server's configuration says how it logs
    }
    let outcome = match arguments.command {
        Command::Segment(arguments) => segment::run(*arguments),
        Command::Run(arguments) => run::run(*arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Resize(arguments) => resize::run(arguments),
        Command::Mask(arguments) => mask::run(*arguments),
        Command::Plugin(command) => plugin::run(command),
        Command::Pipeline(command) => pipeline::run(command),
        Command::Models(command) => models::run(command),
        Command::Config(arguments) => config::run(&arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Serve { config } => serve::run(config),
        Command::Health { config } => health::run(&config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.message);
            ExitCode::from(error.code.exit_code())
        }
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("NEPHRITE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// A core for one command: paths as the user's shell sees them.
fn core(runtime: RuntimeArguments) -> Core {
    core_at(Root::filesystem(), runtime)
}

/// The same, with paths that lead where `root` says.
fn core_at(root: Root, runtime: RuntimeArguments) -> Core {
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
fn limit_threads(wanted: Option<NonZeroUsize>) -> Option<usize> {
    let threads = pool_threads(wanted)?;
    // Fails only if a pool is there already, which nothing before this makes.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    Some(threads)
}

/// A core for a command that runs no network.
fn idle_core(memory: MemoryArguments) -> Core {
    core(RuntimeArguments {
        provider: Provider::Cpu,
        threads: None,
        memory,
        onnxruntime: None,
    })
}

/// Prints to standard output; a reader that went away (`| head`) is no error.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Indented, with a line break at the end.
fn json<T: serde::Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("reports have string keys only");
    text.push('\n');
    text
}

/// Writes a report as JSON, whole or not at all.
fn write_report<T: serde::Serialize>(output: &OutputFile, report: &T) -> Result<(), Failure> {
    let text = json(report);
    write_atomically(&output.folder, &output.file_name, |out| {
        out.write_all(text.as_bytes())
    })?;
    Ok(())
}
