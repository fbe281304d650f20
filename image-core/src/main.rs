//! `nephrite`: the command line.

mod cli;

use std::process::ExitCode;

/// For ONNX Runtime too. With the C library's own, a server grew by three quarters within three hundred mixed requests: every
/// thread has a heap of its own there that keeps what large arrays leave (`benches/load/soak.py` shows it).
#[cfg(all(target_os = "linux", not(target_env = "musl")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
