//! Real cards: the only code that calls CUDA's driver, cuDNN, and NVRTC, and the only unsafe code of this crate. What it is asked
//! to do are [`crate::work::Work`]s, whose twins are safe.
#![allow(unsafe_code)]

mod compile;
mod convolution;
mod launch;
mod libraries;
mod memory;
mod queue;
mod recording;
mod status;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cudarc::driver::CudaContext;
use cudarc::driver::result;

use crate::card_options::CardOptions;
use crate::convolution_shape::ConvolutionShape;
use crate::device::{Device, Mark, Recording};
use crate::info::device_name;
use crate::memory::Bytes;
use crate::precision::{Element, Precision};
use crate::work::{Prepared, Work};
use crate::{CardInfo, CudaError};
use compile::{Kernels, compile};
use convolution::DnnHandle;
pub(crate) use convolution::PreparedConvolution;
pub(crate) use memory::CardMemory;
pub(crate) use queue::CardMark;
use queue::Queue;
pub(crate) use recording::CardRecording;
use status::driver_error;

/// The oldest cards that have the instructions of the kernels.
const OLDEST: (i32, i32) = (8, 0);

/// A card of this machine.
#[derive(Debug)]
pub(crate) struct RealCard {
    info: CardInfo,
    options: CardOptions,
    queue: Arc<Queue>,
    dnn: Arc<DnnHandle>,
    half: OnceLock<Kernels>,
    single: OnceLock<Kernels>,
    /// By shape and precision: blocks of a network, and networks of one family, have the same ones over and over.
    prepared: Mutex<HashMap<(ConvolutionShape, Precision), Arc<PreparedConvolution>>>,
}

/// Convolutions that are kept prepared; more than networks of nnU-Net have among them.
const MAX_PREPARED: usize = 1024;

impl RealCard {
    pub(crate) fn open(ordinal: usize, options: &CardOptions) -> Result<Self, CudaError> {
        let versions = libraries::check(&options.libraries)?;
        let card = device_name(ordinal);
        let of = |doing| move |error| driver_error(&device_name(ordinal), doing, error);
        let n_cards = CudaContext::device_count().map_err(of("counting the cards"))?;
        let n_cards = usize::try_from(n_cards).unwrap_or(0);
        if ordinal >= n_cards {
            return Err(CudaError::NoCard { ordinal, n_cards });
        }
        let context = CudaContext::new(ordinal).map_err(of("opening the card"))?;
        let name = context.name().map_err(of("asking for its name"))?;
        let (major, minor) = context
            .compute_capability()
            .map_err(of("asking for its capability"))?;
        check_capability(&format!("{card}, {name},"), (major, minor))?;
        let memory_bytes =
            unsafe { result::device::total_mem(context.cu_device()) }.map_err(of("asking for its memory"))?;
        let (free_bytes, _) = result::mem_get_info().map_err(of("asking for its memory"))?;
        let info = CardInfo {
            ordinal,
            name,
            capability: (major, minor),
            memory_bytes: memory_bytes as u64,
            free_bytes: free_bytes as u64,
            driver: libraries::kernel_driver(),
            cuda: versions.cuda,
            cudnn: versions.cudnn,
            nvrtc: versions.nvrtc,
        };
        let queue = Arc::new(Queue::new(card, context)?);
        let dnn = Arc::new(DnnHandle::new(&queue)?);
        Ok(RealCard {
            info,
            options: options.clone(),
            queue,
            dnn,
            half: OnceLock::new(),
            single: OnceLock::new(),
            prepared: Mutex::default(),
        })
    }

    pub(crate) fn info(&self) -> &CardInfo {
        &self.info
    }

    /// Compiled when they are first needed.
    fn kernels(&self, element: Element) -> Result<&Kernels, CudaError> {
        let kernels = match element {
            Element::Half => &self.half,
            Element::Single => &self.single,
        };
        if let Some(kernels) = kernels.get() {
            return Ok(kernels);
        }
        let code = compile(
            self.info.capability,
            element,
            &self.info.nvrtc,
            self.options.cache.as_deref(),
        )?;
        let loaded = Kernels::load(&self.queue, &code)?;
        Ok(kernels.get_or_init(|| loaded))
    }
}

impl Device for RealCard {
    fn allocate(&self, what: &'static str, len: usize) -> Result<Bytes, CudaError> {
        Ok(Bytes::Card(CardMemory::new(&self.queue, what, len)?))
    }

    fn prepare(
        &self,
        shape: &ConvolutionShape,
        precision: Precision,
        max_workspace: usize,
    ) -> Result<Prepared, CudaError> {
        let mut kept = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (shape.clone(), precision);
        if let Some(prepared) = kept
            .get(&key)
            .filter(|prepared| prepared.workspace() <= max_workspace)
        {
            return Ok(Prepared::Card(prepared.clone()));
        }
        let prepared = Arc::new(PreparedConvolution::new(
            &self.dnn,
            shape,
            precision,
            max_workspace,
        )?);
        if kept.len() >= MAX_PREPARED {
            kept.clear();
        }
        kept.insert(key, prepared.clone());
        Ok(Prepared::Card(prepared))
    }

    fn run(&self, precision: Precision, work: &Work) -> Result<(), CudaError> {
        let kernels = self.kernels(precision.element())?;
        let line = self.queue.line()?;
        launch::launch(&line, &self.dnn, kernels, precision.element(), work)
    }

    fn record(&self, precision: Precision, work: Vec<Work>) -> Result<Recording, CudaError> {
        let kernels = self.kernels(precision.element())?;
        let line = self.queue.line()?;
        let launch = |work: &Work| launch::launch(&line, &self.dnn, kernels, precision.element(), work);
        // What libraries load when it is first used must not be recorded.
        work.iter().try_for_each(launch)?;
        line.synchronize()?;
        let recording = CardRecording::new(&line, || work.iter().try_for_each(launch))?;
        Ok(Recording::Card(recording))
    }

    fn replay(&self, recording: &Recording) -> Result<(), CudaError> {
        match recording {
            Recording::Card(recording) => recording.launch(&self.queue.line()?),
            Recording::Twin(..) => unreachable!("a card replays what it has recorded"),
        }
    }

    fn mark(&self) -> Result<Mark, CudaError> {
        Ok(Mark::Card(CardMark::new(&self.queue.line()?)?))
    }
}

/// Whether the kernels have their instructions on such a card.
fn check_capability(card: &str, capability: (i32, i32)) -> Result<(), CudaError> {
    if capability >= OLDEST {
        return Ok(());
    }
    let (major, minor) = capability;
    Err(CudaError::TooOld {
        card: card.to_owned(),
        major,
        minor,
        needed: "8.0",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_that_are_too_old_are_refused_by_name() {
        let error = check_capability("cuda:0, Tesla V100,", (7, 0)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cuda:0, Tesla V100, has compute capability 7.0, and 8.0 is needed"
        );
        for capability in [(8, 0), (8, 9), (9, 0), (12, 1)] {
            assert!(check_capability("", capability).is_ok());
        }
    }
}
