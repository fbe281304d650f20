//! What the tile loop asks of a network, whatever runs it.

use std::sync::Arc;

use crate::EngineError;

/// Fixed shape of what goes into a network and what comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileShape {
    /// Input channels (image channels, then one-hot channels of a cascade).
    pub n_channels: usize,
    /// Output channels (segmentation heads).
    pub n_classes: usize,
    /// Spatial size, slowest axis first: 3 numbers for a 3-D network, 2 for a 2-D one.
    pub patch: Vec<usize>,
}

impl TileShape {
    /// Values of one input tile.
    pub fn input_len(&self) -> usize {
        self.n_channels * self.patch.iter().product::<usize>()
    }

    /// Values of one output tile.
    pub fn output_len(&self) -> usize {
        self.n_classes * self.patch.iter().product::<usize>()
    }
}

/// Runs one network, one tile at a time.
///
/// Implementations are synchronous, own their memory and threads, and are used from one thread only (`&mut self`);
/// [`crate::EngineThread`] sees to that. They need not check for NaN: the tile loop does.
pub trait InferenceEngine: Send {
    /// The shapes that [`InferenceEngine::run`] takes and gives; never changes.
    fn tile_shape(&self) -> &TileShape;

    /// What runs the network, as it appears in reports: `cpu`, `openvino`, `cuda`, `fake`.
    fn provider(&self) -> &str;

    /// Runs the network once: `input` is `[channel, patch…]`, `output` receives raw logits `[class, patch…]`,
    /// both C-contiguous f32, batch 1.
    ///
    /// # Errors
    /// [`EngineError`] if a length is wrong or the runtime fails. The engine stays usable.
    fn run(&mut self, input: &[f32], output: &mut [f32]) -> Result<(), EngineError>;

    /// Gives back the memory that only a run needs, as far as the engine can; the next run takes it again.
    fn rest(&mut self) {}

    /// How another thread stops the run that is on; `None` if a run cannot be stopped.
    fn interrupt(&self) -> Option<Arc<dyn Interrupt>> {
        None
    }
}

/// Stops a run from another thread.
pub trait Interrupt: Send + Sync {
    /// The run that is on ends soon, by an error: within one layer of the network. Later ones do so too, until
    /// [`Interrupt::resume`].
    fn stop(&self);

    /// Lets the next run work again. Called by the engine's own thread, between runs.
    fn resume(&self);
}
