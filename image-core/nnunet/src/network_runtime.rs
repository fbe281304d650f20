//! What runs the networks that nephrite builds, as far as it decides what they take.

use nephrite_cpu::CpuOptions;
use nephrite_engine::thread_count_from_cgroup;
use nephrite_nnunet_network::{
    Architecture, NetworkError, NetworkMemory, cpu_building_bytes, cpu_memory, session_building_bytes,
    session_memory,
};

/// What runs the networks that nephrite builds, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkRuntime {
    /// Our own kernels.
    Kernels {
        /// Instructions and precision.
        options: CpuOptions,
        /// Threads that work on one tile.
        n_threads: usize,
    },
    /// ONNX Runtime, counted as on its CPU provider.
    OnnxRuntime,
}

impl Default for NetworkRuntime {
    /// For those who have no settings: our own kernels with the best instructions of this processor, in f32, on all threads
    /// that the control group grants.
    fn default() -> Self {
        NetworkRuntime::Kernels {
            options: CpuOptions::best(),
            n_threads: thread_count_from_cgroup(),
        }
    }
}

impl NetworkRuntime {
    /// What one network keeps in memory.
    ///
    /// # Errors
    /// [`NetworkError::Cpu`] if our kernels cannot run it.
    pub(crate) fn memory(self, architecture: &Architecture) -> Result<NetworkMemory, NetworkError> {
        match self {
            NetworkRuntime::Kernels { options, n_threads } => cpu_memory(architecture, options, n_threads),
            NetworkRuntime::OnnxRuntime => Ok(session_memory(architecture)),
        }
    }

    /// What a network that takes so much keeps between predictions: our own kernels give back what only runs need.
    pub(crate) fn idle_bytes(self, kept: &NetworkMemory) -> u64 {
        match self {
            NetworkRuntime::Kernels { .. } => kept.weights,
            NetworkRuntime::OnnxRuntime => kept.total(),
        }
    }

    /// Bytes at the peak while one network is made that will keep so much; `largest_read` bytes are held while its largest
    /// tensor is read.
    pub(crate) fn building_bytes(
        self,
        architecture: &Architecture,
        kept: &NetworkMemory,
        largest_read: u64,
    ) -> u64 {
        match self {
            NetworkRuntime::Kernels { .. } => cpu_building_bytes(kept, largest_read),
            NetworkRuntime::OnnxRuntime => session_building_bytes(architecture, kept, largest_read),
        }
    }
}
