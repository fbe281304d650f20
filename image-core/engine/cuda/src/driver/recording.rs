//! Work that is queued as one.

use std::sync::Arc;

use cudarc::driver::result;
use cudarc::driver::sys;

use super::queue::{Line, Queue};
use crate::CudaError;

/// Recorded work of a card.
#[derive(Debug)]
pub(crate) struct CardRecording {
    queue: Arc<Queue>,
    graph: sys::CUgraph,
    executable: sys::CUgraphExec,
}

// Graphs are reached from any thread that has bound the context; they are launched by one at a time, the one that has the line.
unsafe impl Send for CardRecording {}
unsafe impl Sync for CardRecording {}

impl CardRecording {
    /// Records what `queue_work` queues.
    pub(super) fn new(
        line: &Line<'_>,
        queue_work: impl FnOnce() -> Result<(), CudaError>,
    ) -> Result<Self, CudaError> {
        let doing = line.queue().doing("recording a network");
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        unsafe { result::stream::begin_capture(line.stream(), mode) }.map_err(&doing)?;
        let queued = queue_work();
        let graph = unsafe { result::stream::end_capture(line.stream()) };
        queued?;
        let graph = graph.map_err(&doing)?;
        let mut recording = CardRecording {
            queue: line.queue().clone(),
            graph,
            executable: std::ptr::null_mut(),
        };
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;
        recording.executable = unsafe { result::graph::instantiate(graph, flags) }.map_err(&doing)?;
        Ok(recording)
    }

    pub(super) fn launch(&self, line: &Line<'_>) -> Result<(), CudaError> {
        let launched = unsafe { result::graph::launch(self.executable, line.stream()) };
        launched.map_err(self.queue.doing("running a network"))
    }
}

impl Drop for CardRecording {
    fn drop(&mut self) {
        if self.queue.bind().is_err() {
            return;
        }
        // Nobody could do anything about a failure.
        if !self.executable.is_null() {
            let _ = unsafe { result::graph::exec_destroy(self.executable) };
        }
        if !self.graph.is_null() {
            let _ = unsafe { result::graph::destroy(self.graph) };
        }
    }
}
