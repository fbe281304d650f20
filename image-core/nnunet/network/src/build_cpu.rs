//! Joins a described network and its weights into one that our own kernels run on the CPU.

use nephrite_cpu::{CpuOptions, Network, Threads};
use nephrite_types::CancelToken;

use crate::NetworkError;
use crate::architecture::Architecture;
use crate::session_memory::{NetworkMemory, cpu_memory};
use crate::weights::{WeightSource, has_running_statistics, read, resolve};

/// A network for the CPU.
#[derive(Debug, Clone)]
pub struct CpuNetwork {
    /// What runs it.
    pub network: Network,
    /// Number of weights.
    pub n_parameters: u64,
    /// What it keeps in memory on the threads that it was built with.
    pub memory: NetworkMemory,
}

/// Joins architecture and weights into a network for the CPU; weights are packed on `threads`.
///
/// Verifies the name and shape of every tensor before it reads any, and switches to batch norm if the weights carry
/// running statistics. Holds one tensor at a time besides the packed weights.
///
/// # Errors
/// [`NetworkError::MissingTensor`], [`NetworkError::TensorShape`] and [`NetworkError::UnexpectedTensor`] if the weights
/// are not those of this architecture; [`NetworkError::NotFinite`], [`NetworkError::ReadTensor`] for a broken tensor;
/// [`NetworkError::Cpu`] if the processor lacks what `options` ask for; [`NetworkError::Cancelled`].
pub fn build_cpu(
    architecture: &Architecture,
    weights: &mut dyn WeightSource,
    options: CpuOptions,
    threads: &Threads,
    cancel: &CancelToken,
) -> Result<CpuNetwork, NetworkError> {
    let batch_norm = has_running_statistics(architecture, weights).then(|| architecture.with_batch_norm());
    let architecture = batch_norm.as_ref().unwrap_or(architecture);
    let graph = architecture.layers();
    let names = resolve(&graph, architecture, weights)?;
    let network = Network::load(&graph, options, threads, |param| {
        cancel.check()?;
        read(weights, &names[param.0], graph.param(param))
    })?;
    Ok(CpuNetwork {
        network,
        n_parameters: graph.n_parameters(),
        memory: cpu_memory(architecture, options, threads.len())?,
    })
}
