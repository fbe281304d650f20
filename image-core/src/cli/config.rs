//! What configuration and pipeline files can say, and whether that of a server says it.

use std::path::Path;

use nephrite_image_core::server::ServeConfig;
use nephrite_kernel::grpc::ServiceConfig;
use nephrite_pipeline::Pipeline;
use nephrite_types::ErrorCode;

use super::args::{ConfigArguments, FileArgument};
use super::failure::Failure;

pub(crate) fn run(arguments: &ConfigArguments) -> Result<(), Failure> {
    if let Some(file) = arguments.explain {
        super::print(&explain(file, arguments.markdown));
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
    super::print(&format!("{}: no faults\n", file.display()));
    Ok(())
}
