//! What a card is, and the libraries that it is used through.

use std::fmt;

/// A card and its libraries, for health, reports, and records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardInfo {
    /// Its number among the cards that this process sees.
    pub ordinal: usize,
    /// As its maker calls it.
    pub name: String,
    /// Major and minor compute capability.
    pub capability: (i32, i32),
    /// Bytes of memory, used or not.
    pub memory_bytes: u64,
    /// Bytes of it that nobody used when it was opened.
    pub free_bytes: u64,
    /// Version of the kernel driver, if it says so.
    pub driver: Option<String>,
    /// Version of CUDA that the driver supports.
    pub cuda: String,
    /// Version of cuDNN.
    pub cudnn: String,
    /// Version of NVRTC.
    pub nvrtc: String,
}

impl CardInfo {
    /// `cuda:0`
    pub fn device(&self) -> String {
        device_name(self.ordinal)
    }
}

/// `cuda:0`
pub(crate) fn device_name(ordinal: usize) -> String {
    format!("cuda:{ordinal}")
}

impl fmt::Display for CardInfo {
    /// `cuda:0 NVIDIA H200 (CUDA 13.0, cuDNN 9.19.0, NVRTC 13.0)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CardInfo {
            name,
            driver,
            cuda,
            cudnn,
            nvrtc,
            ..
        } = self;
        write!(f, "{} {name} (", self.device())?;
        if let Some(driver) = driver {
            write!(f, "driver {driver}, ")?;
        }
        write!(f, "CUDA {cuda}, cuDNN {cudnn}, NVRTC {nvrtc})")
    }
}
