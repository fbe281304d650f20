//! Memory of a card.

use std::sync::Arc;

use cudarc::driver::result;
use cudarc::driver::sys::{CUdeviceptr, CUresult, cuMemsetD2D8Async};

use super::queue::Queue;
use crate::CudaError;

/// Bytes of a card; given back when dropped, after all work that was queued before.
#[derive(Debug)]
pub(crate) struct CardMemory {
    queue: Arc<Queue>,
    pointer: CUdeviceptr,
    len: usize,
}

impl CardMemory {
    /// All zero.
    pub(super) fn new(queue: &Arc<Queue>, what: &'static str, len: usize) -> Result<Self, CudaError> {
        queue.bind()?;
        let pointer = unsafe { result::malloc_sync(len) }.map_err(|error| match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let card = queue.card().to_owned();
                CudaError::Memory {
                    card,
                    what,
                    bytes: len,
                }
            }
            _ => queue.doing("taking memory")(error),
        })?;
        let memory = CardMemory {
            queue: queue.clone(),
            pointer,
            len,
        };
        memory.clear(0, len)?;
        Ok(memory)
    }

    /// Address of a byte of it.
    pub(super) fn address(&self, offset: usize) -> CUdeviceptr {
        assert!(offset <= self.len, "beyond the memory");
        self.pointer + offset as u64
    }

    /// `values` may be used again when it returns.
    pub(crate) fn write(&self, offset: usize, values: &[u8]) -> Result<(), CudaError> {
        assert!(values.len() <= self.len - offset, "beyond the memory");
        let line = self.queue.line()?;
        let copied = unsafe { result::memcpy_htod_async(self.address(offset), values, line.stream()) };
        copied.map_err(self.queue.doing("copying to the card"))
    }

    /// Waits for what was queued before.
    pub(crate) fn read(&self, offset: usize, values: &mut [u8]) -> Result<(), CudaError> {
        assert!(values.len() <= self.len - offset, "beyond the memory");
        let line = self.queue.line()?;
        let copied = unsafe { result::memcpy_dtoh_async(values, self.address(offset), line.stream()) };
        // `values` are written until then, whatever the copy said
        let done = line.synchronize();
        copied.map_err(self.queue.doing("copying from the card"))?;
        done
    }

    /// `n` rows of `len` bytes, `pitch` apart.
    pub(crate) fn clear_rows(
        &self,
        offset: usize,
        len: usize,
        pitch: usize,
        n: usize,
    ) -> Result<(), CudaError> {
        let end = n.saturating_sub(1) * pitch + len;
        assert!(end <= self.len - offset, "beyond the memory");
        let line = self.queue.line()?;
        let cleared = unsafe { cuMemsetD2D8Async(self.address(offset), pitch, 0, len, n, line.stream()) };
        cleared.result().map_err(self.queue.doing("clearing memory"))
    }

    pub(crate) fn clear(&self, offset: usize, len: usize) -> Result<(), CudaError> {
        assert!(len <= self.len - offset, "beyond the memory");
        let line = self.queue.line()?;
        let cleared = unsafe { result::memset_d8_async(self.address(offset), 0, len, line.stream()) };
        cleared.map_err(self.queue.doing("clearing memory"))
    }
}

impl Drop for CardMemory {
    fn drop(&mut self) {
        if self.queue.bind().is_ok() {
            // Nobody could do anything about a failure.
            let _ = unsafe { result::free_sync(self.pointer) };
        }
    }
}
