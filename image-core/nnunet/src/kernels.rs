//! What runs networks, and how engines are made of them.

use std::sync::Arc;

use nephrite_cpu::{CpuOptions, Network, Threads};
use nephrite_cuda::Card;
use nephrite_engine::{EngineError, EngineThread, TileShape};
use nephrite_types::CancelToken;

use crate::NetworkRuntime;
use crate::half_check::HalfCheck;

/// Makes engines of networks. The one place where this crate meets a runtime.
pub trait EngineFactory {
    /// An engine for a network, on a thread of its own; warm when it returns. `name` is for threads and logs; `cancel`
    /// stops the building, the engine itself runs on.
    ///
    /// # Errors
    /// [`EngineError`] if the runtime refuses the model or is not there.
    fn build(
        &self,
        name: &str,
        network: EngineNetwork,
        shape: TileShape,
        cancel: &CancelToken,
    ) -> Result<EngineThread, EngineError>;

    /// What runs the networks that nephrite builds.
    ///
    /// # Errors
    /// [`EngineError`] if there are no threads for it, or no card.
    fn kernels(&self) -> Result<Kernels, EngineError> {
        Ok(Kernels::OnnxRuntime)
    }
}

/// What runs the networks that nephrite builds.
#[derive(Debug, Clone)]
pub enum Kernels {
    /// Our own kernels on the CPU.
    Cpu(CpuKernels),
    /// Our own kernels on an NVIDIA card.
    Cuda(CudaKernels),
    /// ONNX Runtime, to which they come as ONNX models.
    OnnxRuntime,
}

/// A network as an engine takes it.
#[derive(Debug)]
pub enum EngineNetwork {
    /// A serialized ONNX model, checked.
    Onnx(Vec<u8>),
    /// For our own kernels on the CPU.
    Cpu(Network),
    /// On an NVIDIA card already.
    Cuda(Arc<nephrite_cuda::Network>),
}

/// How our own kernels run on the CPU.
#[derive(Debug, Clone)]
pub struct CpuKernels {
    /// Instructions and precision.
    pub options: CpuOptions,
    /// Shared by all networks.
    pub threads: Threads,
}

/// How our own kernels run on an NVIDIA card.
#[derive(Debug, Clone)]
pub struct CudaKernels {
    /// Where the networks go.
    pub card: Arc<Card>,
    /// In what they compute.
    pub precision: nephrite_cuda::Precision,
    /// What networks in half precision must show; nothing if `None`.
    pub half_check: Option<HalfCheck>,
}

impl From<&Kernels> for NetworkRuntime {
    fn from(kernels: &Kernels) -> Self {
        match kernels {
            Kernels::Cpu(kernels) => NetworkRuntime::Kernels {
                options: kernels.options,
                n_threads: kernels.threads.len(),
            },
            Kernels::Cuda(kernels) => NetworkRuntime::Cuda {
                precision: kernels.precision,
            },
            Kernels::OnnxRuntime => NetworkRuntime::OnnxRuntime,
        }
    }
}
