//! How NVIDIA cards run the networks.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use nephrite_nnunet::HalfCheck;

/// How NVIDIA cards run the networks, with provider `cuda`.
#[derive(Debug, Clone, PartialEq)]
pub struct CudaSettings {
    /// Which cards, of those that the process sees. One that is named several times is so many, each with its share of the memory.
    pub devices: Vec<Device>,
    /// What networks in half precision must show when they are loaded; nothing if `None`.
    pub half_check: Option<HalfCheck>,
    /// Bytes that may be taken on each card; most of what is free when it is opened if `None`.
    pub max_memory_bytes: Option<u64>,
    /// Folders in which cuDNN and NVRTC are looked for before the system's.
    pub libraries: Vec<PathBuf>,
    /// Where compiled kernels are kept for the next start; nowhere if `None`.
    pub cache: Option<PathBuf>,
    /// For tests: cards that compute on the CPU, slowly, with so many bytes of memory each. Nobody can ask for it from outside.
    #[doc(hidden)]
    pub simulated: Option<usize>,
}

impl Default for CudaSettings {
    fn default() -> Self {
        CudaSettings {
            devices: vec![Device(0)],
            half_check: Some(HalfCheck::default()),
            max_memory_bytes: None,
            libraries: Vec::new(),
            cache: None,
            simulated: None,
        }
    }
}

/// A card by its number: `cuda:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device(pub usize);

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cuda:{}", self.0)
    }
}

/// A text that names no card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no card, expected cuda:0, cuda:1 …")]
pub struct UnknownDevice(String);

impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        let number = text.strip_prefix("cuda:").filter(|number| number.len() <= 4);
        let number = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        let number = number.and_then(|number| number.parse().ok());
        number.map(Device).ok_or_else(|| UnknownDevice(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_named_by_their_numbers() {
        assert_eq!("cuda:12".parse(), Ok(Device(12)));
        assert_eq!(Device(1).to_string(), "cuda:1");
        for text in [
            "",
            "cuda",
            "cuda:",
            "cuda:-1",
            "cuda:+1",
            "cuda:0x1",
            "cpu:0",
            "cuda:00000",
            "CUDA:0",
        ] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}
