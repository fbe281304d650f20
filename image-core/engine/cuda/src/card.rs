//! A card: what it is, its memory, and the line in which its work waits.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::card_options::CardOptions;
use crate::convolution_shape::ConvolutionShape;
use crate::device::{Device, Mark, Recording};
use crate::driver::RealCard;
use crate::memory::{At, Memory};
use crate::usage::Usage;
use crate::work::{Prepared, Work};
use crate::{CardInfo, CudaError, Precision};

/// A card, ready to run networks. One may be opened several times: each has a line of work and memory of its own.
#[derive(Debug)]
pub struct Card {
    info: CardInfo,
    usage: Usage,
    /// Of values between layers, shared by all networks of this card: they run one after the other.
    arena: Mutex<Option<Arc<Memory>>>,
    turn: Mutex<()>,
    failure: OnceLock<CudaError>,
    // Last, since memory is given back through it.
    device: Arc<dyn Device>,
}

impl Card {
    /// Opens card `ordinal` of those that this process sees.
    ///
    /// # Errors
    /// [`CudaError::Library`] names the library that is missing or does not fit; [`CudaError::NoCard`], [`CudaError::TooOld`];
    /// what the driver, cuDNN, and NVRTC say.
    pub fn open(ordinal: usize, options: &CardOptions) -> Result<Arc<Card>, CudaError> {
        let card = RealCard::open(ordinal, options)?;
        Ok(Card::new(card.info().clone(), Arc::new(card)))
    }

    /// A card that computes on the CPU with the twins of the kernels: slowly, and without any library.
    pub fn twin(ordinal: usize, max_bytes: usize) -> Arc<Card> {
        let twin = || "twin".to_owned();
        let info = CardInfo {
            ordinal,
            name: twin(),
            capability: (0, 0),
            memory_bytes: max_bytes as u64,
            free_bytes: max_bytes as u64,
            driver: None,
            cuda: twin(),
            cudnn: twin(),
            nvrtc: twin(),
        };
        Card::new(info, Arc::new(crate::twin::Twin { max_bytes }))
    }

    fn new(info: CardInfo, device: Arc<dyn Device>) -> Arc<Card> {
        Arc::new(Card {
            info,
            usage: Usage::default(),
            arena: Mutex::new(None),
            turn: Mutex::new(()),
            failure: OnceLock::new(),
            device,
        })
    }

    /// What it is.
    pub fn info(&self) -> &CardInfo {
        &self.info
    }

    /// Bytes that networks, class sums, and scans take on it now. What its libraries take comes on top.
    pub fn used_bytes(&self) -> u64 {
        self.usage.bytes() as u64
    }

    /// What made it useless, if something did: nothing that runs on it will succeed until the process starts again.
    pub fn failure(&self) -> Option<&CudaError> {
        self.failure.get()
    }

    /// Gives back the memory that only runs need; the next run takes it again.
    pub fn rest(&self) {
        let _turn = self.turn();
        self.arena.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The right to queue work that belongs together.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory, all zero.
    pub(crate) fn allocate(&self, what: &'static str, len: usize) -> Result<Arc<Memory>, CudaError> {
        // Kernels read whole vectors.
        let len = len.next_multiple_of(16).max(16);
        let bytes = self.watch(self.device.allocate(what, len))?;
        Ok(Arc::new(Memory::new(bytes, len, self.usage.take(len))))
    }

    /// Memory that holds these values.
    pub(crate) fn upload<T: bytemuck::NoUninit>(
        &self,
        what: &'static str,
        values: &[T],
    ) -> Result<At, CudaError> {
        let memory = self.allocate(what, size_of_val(values))?;
        self.watch(memory.write(0, values))?;
        Ok(At::new(&memory, 0))
    }

    /// The memory of values between layers, at least so many bytes.
    pub(crate) fn arena(&self, len: usize) -> Result<Arc<Memory>, CudaError> {
        let mut arena = self.arena.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arena) = arena.as_ref().filter(|arena| arena.len() >= len) {
            return Ok(arena.clone());
        }
        arena.take(); // both at once may be too much
        let larger = self.allocate("values between layers", len)?;
        Ok(arena.insert(larger).clone())
    }

    pub(crate) fn prepare(
        &self,
        shape: &ConvolutionShape,
        precision: Precision,
        max_workspace: usize,
    ) -> Result<Prepared, CudaError> {
        self.watch(self.device.prepare(shape, precision, max_workspace))
    }

    pub(crate) fn run(&self, precision: Precision, work: &Work) -> Result<(), CudaError> {
        self.watch(self.device.run(precision, work))
    }

    pub(crate) fn record(&self, precision: Precision, work: Vec<Work>) -> Result<Recording, CudaError> {
        self.watch(self.device.record(precision, work))
    }

    pub(crate) fn replay(&self, recording: &Recording) -> Result<(), CudaError> {
        self.watch(self.device.replay(recording))
    }

    /// What is reached when all that was queued so far is done.
    pub(crate) fn mark(&self) -> Result<Mark, CudaError> {
        self.watch(self.device.mark())
    }

    /// Remembers what makes the card useless.
    pub(crate) fn watch<T>(&self, result: Result<T, CudaError>) -> Result<T, CudaError> {
        if let Err(error) = &result
            && error.is_fatal()
            && self.failure.set(error.clone()).is_ok()
        {
            tracing::error!(device = self.info.device(), %error, "a card has failed");
        }
        result
    }
}
