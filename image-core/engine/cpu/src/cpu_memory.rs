//! What a network takes.

/// What a network keeps in memory on the CPU, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuMemory {
    /// Weights as the kernels read them; no other copy is kept.
    pub weights: u64,
    /// Values between layers.
    pub activations: u64,
    /// Working memory of all threads.
    pub scratch: u64,
}

impl CpuMemory {
    /// All of it.
    pub fn total(&self) -> u64 {
        [self.weights, self.activations, self.scratch]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}
