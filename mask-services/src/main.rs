//! `mask-services --config FILE` serves mask operations over gRPC.

use std::process::ExitCode;

use nephrite_kernel::grpc::{Service, serve_program};

/// musl's own allocator asks the system for every larger array, which costs half of a request's time.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    serve_program(Service {
        name: "mask-services".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operations: nephrite_mask_services::operations(),
    })
}
