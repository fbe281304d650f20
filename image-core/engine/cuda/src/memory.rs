//! Memory of a device, and addresses in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytemuck::{AnyBitPattern, NoUninit};

use crate::CudaError;
use crate::driver::CardMemory;
use crate::usage::Used;

/// Bytes of a device, zero at first; given back when dropped. What is written and read takes its turn after the work that
/// was queued before.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes: Bytes,
    len: usize,
    _used: Used,
}

#[derive(Debug)]
pub(crate) enum Bytes {
    Card(CardMemory),
    /// Of a twin.
    Host(Mutex<Vec<u8>>),
}

impl Memory {
    pub(crate) fn new(bytes: Bytes, len: usize, used: Used) -> Self {
        Memory {
            bytes,
            len,
            _used: used,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Writes values from byte `offset` on.
    ///
    /// # Panics
    /// If they do not fit.
    pub(crate) fn write<T: NoUninit>(&self, offset: usize, values: &[T]) -> Result<(), CudaError> {
        let values: &[u8] = bytemuck::cast_slice(values);
        self.check(offset, values.len());
        match &self.bytes {
            Bytes::Card(memory) => memory.write(offset, values),
            Bytes::Host(memory) => {
                lock(memory)[offset..offset + values.len()].copy_from_slice(values);
                Ok(())
            }
        }
    }

    /// Reads values from byte `offset` on.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn read<T: NoUninit + AnyBitPattern>(
        &self,
        offset: usize,
        values: &mut [T],
    ) -> Result<(), CudaError> {
        let values: &mut [u8] = bytemuck::cast_slice_mut(values);
        self.check(offset, values.len());
        match &self.bytes {
            Bytes::Card(memory) => memory.read(offset, values),
            Bytes::Host(memory) => {
                values.copy_from_slice(&lock(memory)[offset..offset + values.len()]);
                Ok(())
            }
        }
    }

    /// Writes zeros to `n` rows of `len` bytes, `pitch` apart.
    ///
    /// # Panics
    /// If they do not fit.
    pub(crate) fn clear_rows(
        &self,
        offset: usize,
        len: usize,
        pitch: usize,
        n: usize,
    ) -> Result<(), CudaError> {
        self.check(offset, n.saturating_sub(1) * pitch + len);
        match &self.bytes {
            Bytes::Card(memory) => memory.clear_rows(offset, len, pitch, n),
            Bytes::Host(memory) => {
                let mut memory = lock(memory);
                (0..n).for_each(|row| memory[offset + row * pitch..][..len].fill(0));
                Ok(())
            }
        }
    }

    /// On a card.
    pub(crate) fn card(&self) -> Option<&CardMemory> {
        match &self.bytes {
            Bytes::Card(memory) => Some(memory),
            Bytes::Host(_) => None,
        }
    }

    fn check(&self, offset: usize, len: usize) {
        let end = offset.checked_add(len);
        assert!(end.is_some_and(|end| end <= self.len), "beyond the memory");
    }
}

fn lock(memory: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where something begins.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) memory: Arc<Memory>,
    /// In bytes.
    pub(crate) offset: usize,
}

impl At {
    pub(crate) fn new(memory: &Arc<Memory>, offset: usize) -> Self {
        let memory = memory.clone();
        At { memory, offset }
    }

    /// So many bytes on.
    pub(crate) fn plus(&self, bytes: usize) -> Self {
        At::new(&self.memory, self.offset + bytes)
    }

    /// Reads `n` values.
    pub(crate) fn read<T: NoUninit + AnyBitPattern>(&self, n: usize) -> Result<Vec<T>, CudaError> {
        let mut values = vec![T::zeroed(); n];
        self.memory.read(self.offset, &mut values)?;
        Ok(values)
    }

    /// Writes values.
    pub(crate) fn write<T: NoUninit>(&self, values: &[T]) -> Result<(), CudaError> {
        self.memory.write(self.offset, values)
    }
}
