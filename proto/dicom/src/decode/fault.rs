//! Why a frame was not decoded.

use crate::file_error::FileFault;

pub(super) fn decode_fault(frame: u32, what: impl Into<String>) -> FileFault {
    FileFault::Decode {
        frame,
        what: what.into(),
    }
}

/// A decoder that panics over a hostile frame gives a fault of the frame.
pub(super) fn unpanicked<T>(frame: u32, decode: impl FnOnce() -> T) -> Result<T, FileFault> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode))
        .map_err(|_| decode_fault(frame, "the decoder gave up"))
}

/// The code stream and the header must say the same.
pub(super) fn same(what: &'static str, stream: u32, header: u32) -> Result<(), FileFault> {
    if stream == header {
        Ok(())
    } else {
        Err(FileFault::StreamMismatch { what, stream, header })
    }
}
