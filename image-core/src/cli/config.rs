//! What configuration and pipeline files can say, and whether that of a server says it.

use std::path::Path;

use nephrite_image_core::server::ServeConfig;
use nephrite_kernel::grpc::ServiceConfig;
use nephrite_pipeline::Pipeline;
use nephrite_types::ErrorCode;

use super::failure::Failure;
use super::output;
use clap::{ArgGroup, Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("task").required(true))]
pub(crate) struct ConfigArguments {
    /// Print the keys of a kind of file: type, range, default, what each is for [default: server]
    #[arg(long, group = "task", value_enum, num_args = 0..=1, default_missing_value = "server")]
    pub(crate) explain: Option<FileArgument>,
    /// Check the configuration file of a server: all faults by line; exit code 3 if there are any
    #[arg(long, group = "task", value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
    /// Print the keys as a Markdown table
    #[arg(long, requires = "explain")]
    pub(crate) markdown: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FileArgument {
    /// What `nephrite serve` reads
    Server,
    /// What `mask-services` reads
    Services,
    /// What `nephrite run` reads
    Pipeline,
}

pub(crate) fn run(arguments: &ConfigArguments) -> Result<(), Failure> {
    if let Some(file) = arguments.explain {
        output::print(&explain(file, arguments.markdown));
    }
    arguments.check.as_deref().map_or(Ok(()), check)
}

fn explain(file: FileArgument, markdown: bool) -> String {
    let reference = match file {
        FileArgument::Server => ServeConfig::reference(),
        FileArgument::Services => ServiceConfig::reference(),
        FileArgument::Pipeline => Pipeline::reference(),
    };
    if markdown {
        reference.markdown()
    } else {
        reference.to_string()
    }
}

/// The file is this command's input: what is wrong with it is no fault of the command line.
fn check(file: &Path) -> Result<(), Failure> {
    let failure = |failure: Failure| match failure.code {
        ErrorCode::InvalidArgument => Failure {
            code: ErrorCode::InvalidInput,
            ..failure
        },
        _ => failure,
    };
    ServeConfig::read(file).map_err(|error| failure(error.into()))?;
    output::print(&format!("{}: no faults\n", file.display()));
    Ok(())
}
