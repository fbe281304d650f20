//! Mask operations that run in this process, for callers of their own.

use std::sync::Arc;

use nephrite_kernel::grpc::{Lane, MaskHost, MaskPlace, Service};
use nephrite_kernel::{CancelToken, Limits};
use nephrite_root::Root;
use nephrite_server::memory::{MemoryError, Reservation};

use super::Work;
use crate::core::Core;
use crate::masks::Operations;

impl MaskPlace for Core {
    fn root(&self) -> &Root {
        self.root()
    }

    fn limits(&self) -> &Limits {
        self.limits()
    }

    fn max_request_bytes(&self) -> u64 {
        self.limits().max_payload_bytes
    }

    fn reserve(
        &self,
        what: &'static str,
        bytes: u64,
        cancel: &CancelToken,
    ) -> Result<Reservation<'_>, MemoryError> {
        self.reserve_bytes(what, bytes, cancel)
    }
}

/// `MaskService` with the operations that no service has; `None` if each has one.
pub(crate) fn masks(work: Arc<Work>, operations: &Operations) -> Option<MaskHost<Core>> {
    let service = Service {
        name: "image-core".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operations: operations.in_process(),
    };
    if service.operations.names().is_empty() {
        return None;
    }
    Some(MaskHost::new(work, Lane::Short, service, operations.elsewhere()))
}
