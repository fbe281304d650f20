//! A network without a runtime, for tests of what stands around one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{EngineError, InferenceEngine, TileShape};

/// A network that is a function: for tests of everything around the network.
pub struct FakeEngine {
    shape: TileShape,
    script: Box<Script>,
    n_rests: Arc<AtomicUsize>,
}

type Script = dyn FnMut(&[f32], &mut [f32]) -> Result<(), EngineError> + Send;

impl FakeEngine {
    /// Runs `script(input, output)` for every tile.
    pub fn scripted<F>(shape: TileShape, script: F) -> Self
    where
        F: FnMut(&[f32], &mut [f32]) -> Result<(), EngineError> + Send + 'static,
    {
        FakeEngine {
            shape,
            script: Box::new(script),
            n_rests: Arc::default(),
        }
    }

    /// How often the engine was told to rest.
    pub fn n_rests(&self) -> Arc<AtomicUsize> {
        self.n_rests.clone()
    }

    /// A network that sees one voxel at a time: `logit = f(channels, class)`. Tiled must equal untiled with it.
    pub fn pointwise<F>(shape: TileShape, f: F) -> Self
    where
        F: Fn(&[f32], usize) -> f32 + Send + 'static,
    {
        let (n_channels, n_voxels) = (shape.n_channels, shape.patch.iter().product::<usize>());
        let mut channels = vec![0.0; n_channels];
        Self::scripted(shape, move |input, output| {
            for voxel in 0..n_voxels {
                for (c, value) in channels.iter_mut().enumerate() {
                    *value = input[c * n_voxels + voxel];
                }
                for (class, logits) in output.chunks_exact_mut(n_voxels).enumerate() {
                    logits[voxel] = f(&channels, class);
                }
            }
            Ok(())
        })
    }
}

impl InferenceEngine for FakeEngine {
    fn tile_shape(&self) -> &TileShape {
        &self.shape
    }

    fn provider(&self) -> &str {
        "fake"
    }

    fn run(&mut self, input: &[f32], output: &mut [f32]) -> Result<(), EngineError> {
        (self.script)(input, output)
    }

    fn rest(&mut self) {
        self.n_rests.fetch_add(1, Ordering::SeqCst);
    }
}
