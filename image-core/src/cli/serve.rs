//! `nephrite serve`: the gRPC server.

use std::path::PathBuf;

use nephrite_image_core::server::{ServeConfig, run as serve};
use nephrite_server::{leave, log_to_stderr, run_process};

use super::failure::Failure;
use super::{output, start};

pub(crate) fn run(config: PathBuf) -> Result<(), Failure> {
    let mut config = ServeConfig::read(&config)?;
    config.ort_dylib_path = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    log_to_stderr(config.log_format);
    start::limit_threads(None);
    let announce = |address| output::print(&format!("listening on http://{address}\n"));
    run_process(config.listen, announce, |listener, stopped| {
        serve(config, listener, stopped)
    })?;
    leave(0) // a network that cannot be interrupted may still run
}
