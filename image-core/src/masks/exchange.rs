//! Masks to and from other processes, within the memory that this one may take.

use std::path::Path;
use std::sync::Arc;

use nephrite_kernel::grpc::{Outgoing, receive_mask_in};
use nephrite_kernel::{CancelToken, Mask, OperationError};
use nephrite_proto::v1;
use nephrite_server::memory::Reservation;
use nephrite_volume::VolumeFiles;

use crate::core::Core;
use crate::error::CoreError;

/// A mask of a message; `open` opens a path where the sender may name one.
///
/// # Errors
/// As [`nephrite_kernel::grpc::receive_mask`], and as [`Core::reserve`].
pub(crate) fn receive_mask(
    core: &Core,
    wire: v1::Mask,
    open: impl Fn(&Path) -> Result<VolumeFiles, OperationError>,
    cancel: &CancelToken,
) -> Result<Mask, CoreError> {
    let what = "a mask from another process";
    let mut memory: Option<Reservation<'_>> = None;
    receive_mask_in(wire, open, core.limits(), cancel, |bytes| {
        match &mut memory {
            Some(memory) => memory.grow(what, bytes)?,
            None => memory = Some(core.reserve(what, bytes, &[], None, cancel)?),
        }
        Ok(())
    })
}

/// A mask as a message states it; one that is large goes into a file of `outgoing`.
///
/// # Errors
/// As [`Outgoing::mask`], and as [`Core::reserve`].
pub(crate) fn send_mask(
    core: &Core,
    outgoing: &mut Outgoing<'_>,
    mask: &Arc<Mask>,
    cancel: &CancelToken,
) -> Result<v1::Mask, CoreError> {
    outgoing.mask_in(mask, |bytes| {
        core.reserve("a mask to another process", bytes, &[], None, cancel)
    })
}
