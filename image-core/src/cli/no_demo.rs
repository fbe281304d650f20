//! What `nephrite demo` says where the demo was left out, as it is from production builds.

use std::ffi::OsString;

use clap::Args;
use nephrite_types::ErrorCode;

use super::failure::Failure;

/// Anything, so that it is told what is wrong whatever it is called with.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct DemoArguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _any: Vec<OsString>,
}

pub(crate) fn run(_arguments: DemoArguments) -> Result<(), Failure> {
    Err(Failure {
        code: ErrorCode::InvalidArgument,
        message: "this build has no demo; `make build` or cargo's `--features demo` makes one that has"
            .to_owned(),
    })
}
