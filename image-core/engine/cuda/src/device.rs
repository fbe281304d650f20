//! What cards and their twins can do.

use std::fmt::Debug;
use std::time::Instant;

use crate::CudaError;
use crate::convolution_shape::ConvolutionShape;
use crate::driver::{CardMark, CardRecording};
use crate::memory::Bytes;
use crate::precision::Precision;
use crate::work::{Prepared, Work};

/// A device: it does one thing after the other, in the order of asking, while its caller goes on.
pub(crate) trait Device: Debug + Send + Sync {
    /// Memory, all zero.
    fn allocate(&self, what: &'static str, len: usize) -> Result<Bytes, CudaError>;

    /// Chooses how a convolution is run, in no more than so many bytes of workspace.
    fn prepare(
        &self,
        shape: &ConvolutionShape,
        precision: Precision,
        max_workspace: usize,
    ) -> Result<Prepared, CudaError>;

    /// Queues work. What its addresses lead to is as large as its sizes say.
    fn run(&self, precision: Precision, work: &Work) -> Result<(), CudaError>;

    /// Puts work together, to be queued as one.
    fn record(&self, precision: Precision, work: Vec<Work>) -> Result<Recording, CudaError>;

    /// Queues what was recorded. The memory that it was recorded with is still there.
    fn replay(&self, recording: &Recording) -> Result<(), CudaError>;

    /// What is reached when all that was queued so far is done.
    fn mark(&self) -> Result<Mark, CudaError>;
}

/// Work that was put together.
#[derive(Debug)]
pub(crate) enum Recording {
    Card(CardRecording),
    Twin(Precision, Vec<Work>),
}

/// A point in the line of work of a device.
#[derive(Debug)]
pub(crate) enum Mark {
    Card(CardMark),
    /// A twin is done when it answers: the time at which it did.
    Twin(Instant),
}

impl Mark {
    /// Waits until it is reached.
    pub(crate) fn wait(&self) -> Result<(), CudaError> {
        match self {
            Mark::Card(mark) => mark.wait(),
            Mark::Twin(_) => Ok(()),
        }
    }

    /// Milliseconds between the reaching of `earlier`, of the same device, and of this. Both were waited for.
    pub(crate) fn milliseconds_since(&self, earlier: &Mark) -> Result<f64, CudaError> {
        match (self, earlier) {
            (Mark::Card(mark), Mark::Card(earlier)) => mark.milliseconds_since(earlier),
            (Mark::Twin(at), Mark::Twin(earlier)) => Ok(at.duration_since(*earlier).as_secs_f64() * 1e3),
            _ => unreachable!("both are of one device"),
        }
    }
}
