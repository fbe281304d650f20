//! Joins a described network and its weights into one that runs on an NVIDIA card.

use std::sync::Arc;

use nephrite_cuda::{Card, Network, NetworkBytes, Precision};
use nephrite_types::CancelToken;

use crate::NetworkError;
use crate::architecture::Architecture;
use crate::weights::{WeightSource, has_running_statistics, read, resolve};

/// Joins architecture and weights into a network on `card`, as [`build_cpu`](crate::build_cpu) does for the CPU.
///
/// # Errors
/// As [`build_cpu`](crate::build_cpu), with [`NetworkError::Cuda`] for what the card says.
pub fn build_cuda(
    architecture: &Architecture,
    weights: &mut dyn WeightSource,
    card: &Arc<Card>,
    precision: Precision,
    cancel: &CancelToken,
) -> Result<Network, NetworkError> {
    let batch_norm = has_running_statistics(architecture, weights).then(|| architecture.with_batch_norm());
    let architecture = batch_norm.as_ref().unwrap_or(architecture);
    let graph = architecture.layers();
    let names = resolve(&graph, architecture, weights)?;
    Network::load(card, &graph, precision, |param| {
        cancel.check()?;
        read(weights, &names[param.0], graph.param(param))
    })
}

/// What one network will take on a card, from its description alone.
///
/// # Errors
/// [`NetworkError::Cuda`] if cards cannot run it.
pub fn cuda_bytes(architecture: &Architecture, precision: Precision) -> Result<NetworkBytes, NetworkError> {
    Ok(Network::bytes_of(&architecture.layers(), precision)?)
}
