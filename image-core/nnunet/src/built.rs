//! The network of a fold, with its weights.

use std::error::Error;
use std::io::Read;
use std::sync::Arc;

use nephrite_engine::TileShape;
use nephrite_nnunet_folder::{Checkpoint, FoldName, ModelFolder};
use nephrite_nnunet_network::{
    Architecture, NetworkError, OnnxExpectation, OnnxNetwork, WeightSource, build_cpu, build_cuda,
    build_onnx, check_onnx,
};
use nephrite_types::{CancelToken, Limits};

use crate::export::LabelRule;
use crate::half_check::{HalfFault, check_half};
use crate::kernels::{CpuKernels, CudaKernels, EngineNetwork, Kernels};
use crate::open_model::not_supported;
use crate::{NetworkRuntime, NnunetError};

/// A network with its weights, and what is known of it.
pub(crate) struct Built {
    pub(crate) network: EngineNetwork,
    pub(crate) n_parameters: u64,
    /// What its engine keeps between predictions.
    pub(crate) idle_bytes: u64,
}

impl Built {
    pub(crate) fn new(
        architecture: &Architecture,
        checkpoint: &mut Checkpoint,
        kernels: &Kernels,
        cancel: &CancelToken,
    ) -> Result<Self, NetworkError> {
        let mut weights = CheckpointWeights(checkpoint);
        let runtime = NetworkRuntime::from(kernels);
        match kernels {
            Kernels::OnnxRuntime => build_onnx(architecture, &mut weights).map(Built::from),
            Kernels::Cpu(CpuKernels { options, threads }) => {
                let built = build_cpu(architecture, &mut weights, *options, threads, cancel)?;
                Ok(Built {
                    network: EngineNetwork::Cpu(built.network),
                    n_parameters: built.n_parameters,
                    idle_bytes: runtime.idle_bytes(&built.memory),
                })
            }
            Kernels::Cuda(CudaKernels { card, precision, .. }) => {
                let network = build_cuda(architecture, &mut weights, card, *precision, cancel)?;
                Ok(Built {
                    network: EngineNetwork::Cuda(Arc::new(network)),
                    n_parameters: architecture.n_parameters(),
                    idle_bytes: runtime.idle_bytes(&runtime.memory(architecture)?),
                })
            }
        }
    }
}

impl From<OnnxNetwork> for Built {
    fn from(network: OnnxNetwork) -> Self {
        Built {
            n_parameters: network.n_parameters,
            idle_bytes: NetworkRuntime::OnnxRuntime.idle_bytes(&network.memory),
            network: EngineNetwork::Onnx(network.bytes),
        }
    }
}

/// Why the check of a fold failed.
pub(crate) enum FoldFault {
    Network(NetworkError),
    Half(HalfFault),
}

/// Compares a network in half precision with the same in f32, which is dropped then.
pub(crate) fn check_fold(
    architecture: &Architecture,
    checkpoint: &mut Checkpoint,
    built: &Built,
    kernels: &CudaKernels,
    rule: &LabelRule,
    cancel: &CancelToken,
) -> Result<(), FoldFault> {
    let (Some(check), EngineNetwork::Cuda(half)) = (&kernels.half_check, &built.network) else {
        return Ok(());
    };
    if half.precision() != nephrite_cuda::Precision::Half {
        return Ok(());
    }
    let single = nephrite_cuda::Precision::Single;
    let mut weights = CheckpointWeights(checkpoint);
    let single = build_cuda(architecture, &mut weights, &kernels.card, single, cancel);
    check_half(half, &single.map_err(FoldFault::Network)?, rule, check).map_err(FoldFault::Half)
}

/// `network.onnx` of a fold, checked; `unknown` says why it is needed.
pub(crate) fn exported_network(
    folder: &ModelFolder,
    fold: FoldName,
    shape: &TileShape,
    limits: &Limits,
    unknown: &NetworkError,
) -> Result<OnnxNetwork, NnunetError> {
    let Some((file, name)) = folder.open_onnx(fold)? else {
        return Err(not_supported(folder.name(), fold, unknown));
    };
    let unreadable = |cause| nephrite_nnunet_folder::FolderError::Io {
        file: name.clone(),
        cause,
    };
    let mut bytes = Vec::new();
    // one byte more than allowed, so that `check_onnx` sees that it is too much
    file.into_std()
        .take(limits.max_checkpoint_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let expected = OnnxExpectation {
        n_channels: shape.n_channels,
        n_classes: shape.n_classes,
        patch: &shape.patch,
        max_bytes: limits.max_checkpoint_bytes,
        max_memory_bytes: limits.max_network_bytes,
    };
    check_onnx(bytes, &expected).map_err(|source| NnunetError::Network { model: name, source })
}

/// A checkpoint as the network builder sees it.
struct CheckpointWeights<'a>(&'a mut Checkpoint);

impl WeightSource for CheckpointWeights<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.tensor_info(name).map(|info| info.shape)
    }

    fn read_f32(&mut self, name: &str) -> Result<Vec<f32>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.read_tensor_f32(name)?.1)
    }

    fn names(&self) -> Vec<String> {
        self.0.tensor_names().map(str::to_owned).collect()
    }
}
