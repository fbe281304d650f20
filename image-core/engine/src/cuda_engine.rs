//! A network on an NVIDIA card as an engine, for whoever wants the logits of single tiles. Whole cases stay on the card.

use std::sync::Arc;

use nephrite_cuda::Network;

use crate::{EngineError, InferenceEngine, Provider, TileShape, check_len};

/// A network on a card, run by `nephrite-cuda`.
#[derive(Debug)]
pub struct CudaEngine {
    shape: TileShape,
    network: Arc<Network>,
}

impl CudaEngine {
    /// Runs a network that is loaded already.
    ///
    /// # Errors
    /// [`EngineError::WrongLength`] if the network does not fit `shape`.
    pub fn build(network: Arc<Network>, shape: TileShape) -> Result<Self, EngineError> {
        let n_voxels: usize = network.patch().iter().product();
        check_len(
            "network input",
            shape.input_len(),
            n_voxels * network.n_channels(),
        )?;
        check_len(
            "network output",
            shape.output_len(),
            n_voxels * network.n_classes(),
        )?;
        Ok(CudaEngine { shape, network })
    }
}

impl InferenceEngine for CudaEngine {
    fn tile_shape(&self) -> &TileShape {
        &self.shape
    }

    fn provider(&self) -> &str {
        Provider::Cuda.name()
    }

    fn run(&mut self, input: &[f32], output: &mut [f32]) -> Result<(), EngineError> {
        check_len("input tile", self.shape.input_len(), input.len())?;
        check_len("output tile", self.shape.output_len(), output.len())?;
        Ok(self.network.logits(input, output)?)
    }
}
