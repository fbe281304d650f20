//! Runs one tile and gives its logits.

use std::sync::Arc;

use nephrite_cuda::{Card, CudaError, GridTap, Network, Precision};
use nephrite_layers::test_util::case::Case;

/// A network on a card.
pub(crate) fn load(card: &Arc<Card>, case: &Case, precision: Precision) -> Result<Network, CudaError> {
    Network::load(card, &case.graph, precision, |param| {
        Ok::<_, CudaError>(case.params[param.0].clone())
    })
}

/// Logits, `[class, z, y, x]`.
pub(crate) fn logits(network: &Network, case: &Case) -> Vec<f32> {
    let mut logits = vec![f32::NAN; case.graph.shape(case.graph.output).n_values() as usize];
    network.logits(&case.tile, &mut logits).unwrap();
    logits
}

/// Each index is one of the grid.
pub(crate) fn identity(n: usize) -> Vec<GridTap> {
    (0..n).map(GridTap::at).collect()
}
