//! Zeroed memory straight from the system, in large pages where it has them: few misses of the page tables, and what is given
//! back is gone.

use memmap2::MmapMut;

use crate::CpuError;

/// Values of f32, all zero at first.
#[derive(Debug)]
pub(crate) struct Pages(MmapMut);

impl Pages {
    /// # Errors
    /// [`CpuError::Memory`].
    pub(crate) fn zeros(n_values: usize) -> Result<Self, CpuError> {
        let bytes = n_values.max(1).saturating_mul(size_of::<f32>());
        let memory = MmapMut::map_anon(bytes).map_err(|error| CpuError::Memory {
            bytes,
            reason: error.to_string(),
        })?;
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage); // only a matter of speed
        Ok(Pages(memory))
    }

    /// Gives the memory back to the system and takes as much for later, all zero again. Where there is none, the old stays.
    pub(crate) fn renew(&mut self) {
        if let Ok(fresh) = Pages::zeros(self.values().len()) {
            *self = fresh;
        }
    }

    pub(crate) fn values(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}
