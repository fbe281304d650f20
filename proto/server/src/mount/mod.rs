//! Whether processes see the same shared volume: paths are all that requests carry, so nothing works if they do not.

mod check;
mod service;

pub use check::{MountError, MountFinding, MountState, check_mounts};
pub use service::mount_service;

/// Most bytes of one.
const MAX_BYTES: usize = 64;
