//! What people type. Each command turns its arguments into a request of the library and prints what came of it.

mod args;
mod case_arguments;
mod case_place;
mod case_progress;
mod case_summary;
mod config;
#[cfg(feature = "demo")]
mod demo;
#[cfg(not(feature = "demo"))]
#[path = "no_demo.rs"]
mod demo;
mod dicom;
mod dicomweb;
mod failure;
mod health;
mod jobs;
mod mask;
mod models;
mod object_arguments;
mod option_arguments;
mod output;
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
mod series_arguments;
mod serve;
mod shared_arguments;
mod signals;
mod start;
mod submit;
mod verify;
mod wait;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use args::{Arguments, Command};

/// Parses the command line, runs the command, and turns its outcome into an exit code.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !matches!(arguments.command, Command::Serve { .. } | Command::Worker { .. }) {
        log_to_stderr(); // the server's configuration says how it logs
    }
    let outcome = match arguments.command {
        Command::Segment(arguments) => segment::run(*arguments),
        Command::Run(arguments) => run::run(*arguments),
        Command::Submit(arguments) => submit::run(&arguments),
        Command::Jobs(command) => jobs::run(&command),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Resize(arguments) => resize::run(arguments),
        Command::Mask(arguments) => mask::run(*arguments),
        Command::Dicom(command) => dicom::run(command),
        Command::Pull(arguments) => dicomweb::pull(&arguments),
        Command::Push(arguments) => dicomweb::push(&arguments),
        Command::Plugin(command) => plugin::run(command),
        Command::Pipeline(command) => pipeline::run(command),
        Command::Models(command) => models::run(command),
        Command::Config(arguments) => config::run(&arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Serve { config } => serve::run(config),
        Command::Worker { config } => serve::work_at(config),
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
