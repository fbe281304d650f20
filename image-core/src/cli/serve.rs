//! `nephrite serve` and `nephrite worker`: processes that go on until they are told to stop.

use std::path::{Path, PathBuf};

use nephrite_image_core::server::{ServeConfig, run as serve, work};
use nephrite_server::{leave, log_to_stderr, run_process};

use super::failure::Failure;
use super::{output, start};

pub(crate) fn run(config: PathBuf) -> Result<(), Failure> {
    let config = begin(&config)?;
    run_process(config.listen, announce, |listener, stopped| {
        serve(config, listener, stopped)
    })?;
    leave(0) // a network that cannot be interrupted may still run
}

pub(crate) fn work_at(config: PathBuf) -> Result<(), Failure> {
    let config = begin(&config)?;
    run_process(config.listen, announce, |listener, stopped| {
        work(config, listener, stopped)
    })?;
    leave(0)
}

fn begin(config: &Path) -> Result<ServeConfig, Failure> {
    let mut config = ServeConfig::read(config)?;
    config.ort_dylib_path = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    if config.cuda.libraries.is_empty() {
        config.cuda.libraries = start::cuda_libraries();
    }
    config.cuda.cache = config.cuda.cache.or_else(start::kernel_cache);
    log_to_stderr(config.log_format);
    start::limit_threads(None);
    Ok(config)
}

fn announce(address: std::net::SocketAddr) {
    output::print(&format!("listening on http://{address}\n"));
}
