//! Mask operations that run in this process, for callers of their own.

use std::sync::Arc;

use nephrite_kernel::grpc::{Lane, MaskHost, MaskPlace, NamedFile, Service};
use nephrite_kernel::{CancelToken, Limits, Mask, OperationError};
use nephrite_root::Root;
use nephrite_server::memory::{MemoryError, Reservation};
use nephrite_types::Warning;

use super::Work;
use crate::core::Core;
use crate::error::CoreError;
use crate::masks::Operations;
use crate::objects::read_mask_object;

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

    fn read_object(
        &self,
        file: &NamedFile,
        cancel: &CancelToken,
    ) -> Result<Option<(Mask, Vec<Warning>)>, OperationError> {
        let (path, grid) = (&file.path, file.grid.as_deref());
        let found = read_mask_object(self, path, &file.labels, grid, cancel);
        found.map_err(|error| match error {
            CoreError::Operation(error) => error,
            CoreError::Cancelled(cancelled) => cancelled.into(),
            error => OperationError::other(error),
        })
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
