//! What runs the networks that nephrite builds, as far as it decides what they take.

use nephrite_cpu::CpuOptions;
use nephrite_cuda::{NetworkBytes, Precision};
use nephrite_engine::thread_count_from_cgroup;
use nephrite_nnunet_network::{
    Architecture, NetworkError, NetworkMemory, cpu_building_bytes, cpu_memory, cuda_building_bytes,
    cuda_bytes, session_building_bytes, session_memory,
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
    /// Our own kernels on an NVIDIA card.
    Cuda {
        /// In what networks compute; those that cannot in half may compute in f32.
        precision: Precision,
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

/// What the host keeps of a network on a card: its plan, prepared convolutions, a recording. Measured.
const ON_HOST: u64 = 4 << 20;

impl NetworkRuntime {
    /// What one network keeps in memory.
    ///
    /// # Errors
    /// [`NetworkError::Cpu`] if our kernels cannot run it.
    pub(crate) fn memory(self, architecture: &Architecture) -> Result<NetworkMemory, NetworkError> {
        match self {
            NetworkRuntime::Kernels { options, n_threads } => cpu_memory(architecture, options, n_threads),
            NetworkRuntime::Cuda { .. } => Ok(NetworkMemory {
                working: ON_HOST,
                ..NetworkMemory::default()
            }),
            NetworkRuntime::OnnxRuntime => Ok(session_memory(architecture)),
        }
    }

    /// What one network takes on a card at most; `None` if it is not on one.
    ///
    /// # Errors
    /// [`NetworkError::Cuda`] if cards cannot run it.
    pub(crate) fn on_card(self, architecture: &Architecture) -> Result<Option<NetworkBytes>, NetworkError> {
        match self {
            NetworkRuntime::Cuda { precision } => {
                let own = cuda_bytes(architecture, precision)?;
                if precision != Precision::Half {
                    return Ok(Some(own));
                }
                // It may be compared with its f32 twin, or fall back to it.
                let single = cuda_bytes(architecture, Precision::Single)?;
                Ok(Some(NetworkBytes {
                    weights: own.weights.saturating_add(single.weights),
                    arena: own.arena.max(single.arena),
                }))
            }
            NetworkRuntime::Kernels { .. } | NetworkRuntime::OnnxRuntime => Ok(None),
        }
    }

    /// What a network that takes so much keeps between predictions: our own kernels give back what only runs need.
    pub(crate) fn idle_bytes(self, kept: &NetworkMemory) -> u64 {
        match self {
            NetworkRuntime::Kernels { .. } => kept.weights,
            NetworkRuntime::Cuda { .. } | NetworkRuntime::OnnxRuntime => kept.total(),
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
            NetworkRuntime::Cuda { .. } => cuda_building_bytes(architecture, kept, largest_read),
            NetworkRuntime::OnnxRuntime => session_building_bytes(architecture, kept, largest_read),
        }
    }
}
