//! The line of work of a card.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::{CudaContext, CudaStream, sys};

use super::status::driver_error;
use crate::CudaError;

/// A card's context, and its line of work.
#[derive(Debug)]
pub(super) struct Queue {
    /// `cuda:0`
    card: String,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// One caller at a time: what others queue while work is recorded would be recorded too.
    line: Mutex<()>,
}

/// The right to queue work, on a thread that sees the card.
#[derive(Debug)]
pub(super) struct Line<'q> {
    queue: &'q Arc<Queue>,
    _guard: MutexGuard<'q, ()>,
}

impl Queue {
    pub(super) fn new(card: String, context: Arc<CudaContext>) -> Result<Self, CudaError> {
        let stream = context.new_stream();
        let stream = stream.map_err(|error| driver_error(&card, "making a line of work", error))?;
        Ok(Queue {
            card,
            context,
            stream,
            line: Mutex::new(()),
        })
    }

    pub(super) fn line(self: &Arc<Self>) -> Result<Line<'_>, CudaError> {
        self.bind()?;
        let _guard = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Line { queue: self, _guard })
    }

    /// Makes the card that of this thread.
    pub(super) fn bind(&self) -> Result<(), CudaError> {
        self.context
            .bind_to_thread()
            .map_err(self.doing("reaching the card"))
    }

    pub(super) fn card(&self) -> &str {
        &self.card
    }

    /// Says what was tried.
    pub(super) fn doing(&self, doing: &'static str) -> impl Fn(DriverError) -> CudaError {
        let card = self.card.clone();
        move |error| driver_error(&card, doing, error)
    }

    pub(super) fn stream(&self) -> sys::CUstream {
        self.stream.cu_stream()
    }
}

impl Line<'_> {
    pub(super) fn queue(&self) -> &Arc<Queue> {
        self.queue
    }

    pub(super) fn stream(&self) -> sys::CUstream {
        self.queue.stream()
    }

    /// Waits until all is done.
    pub(super) fn synchronize(&self) -> Result<(), CudaError> {
        let done = unsafe { result::stream::synchronize(self.stream()) };
        done.map_err(self.queue.doing("waiting for the card"))
    }
}

/// A point in the line of work.
#[derive(Debug)]
pub(crate) struct CardMark {
    queue: Arc<Queue>,
    event: sys::CUevent,
}

// Events belong to the context, and are reached from any thread that has bound it.
unsafe impl Send for CardMark {}
unsafe impl Sync for CardMark {}

impl CardMark {
    pub(super) fn new(line: &Line<'_>) -> Result<Self, CudaError> {
        let doing = line.queue.doing("marking the line of work");
        // waits without keeping a processor busy
        let flags = sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC;
        let event = result::event::create(flags).map_err(&doing)?;
        let mark = CardMark {
            queue: line.queue.clone(),
            event,
        };
        unsafe { result::event::record(event, line.stream()) }.map_err(&doing)?;
        Ok(mark)
    }

    pub(crate) fn wait(&self) -> Result<(), CudaError> {
        self.queue.bind()?;
        unsafe { result::event::synchronize(self.event) }.map_err(self.queue.doing("waiting for the card"))
    }

    /// As the card's clock says; both have been reached.
    pub(crate) fn milliseconds_since(&self, earlier: &CardMark) -> Result<f64, CudaError> {
        self.queue.bind()?;
        let elapsed = unsafe { result::event::elapsed(earlier.event, self.event) };
        elapsed
            .map(f64::from)
            .map_err(self.queue.doing("asking for a time"))
    }
}

impl Drop for CardMark {
    fn drop(&mut self) {
        if self.queue.bind().is_ok() {
            // Nobody could do anything about a failure.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}
