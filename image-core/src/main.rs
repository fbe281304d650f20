//! `nephrite`: the command line.

mod cli;

use std::process::ExitCode;

// Linked in place of the C library's `malloc` and `free`, for ONNX Runtime too. With those, a server grew by three quarters within
// three hundred mixed requests: every thread has a heap of its own there that keeps what large arrays leave
// (`benches/load/soak.py` shows it). Rust's own allocations come to it by the same way, and not as `#[global_allocator]`: that gives
// memory back by size, and the decoder of JPEG 2000 gives null back, which breaks the heap there and is nothing to `free`.
#[cfg(all(target_os = "linux", not(target_env = "musl")))]
use tikv_jemallocator as _;

fn main() -> ExitCode {
    cli::main()
}
