//! The hardware that a user may name, and what it is called on command lines and in messages.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::EngineError;

/// What runs the networks. Always named by the user; nephrite never falls back from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Our own kernels; ONNX Runtime's for exported networks.
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
    /// Intel's OpenVINO, on the CPU.
    OpenVino,
}

impl Provider {
    /// All providers that can be named.
    pub const ALL: [Provider; 3] = [Provider::Cpu, Provider::Cuda, Provider::OpenVino];

    /// The name on the command line, in configuration and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Cpu => "cpu",
            Provider::Cuda => "cuda",
            Provider::OpenVino => "openvino",
        }
    }

    /// The provider with this name.
    ///
    /// # Errors
    /// [`EngineError::UnknownProvider`] for any other name; names are lower-case.
    pub fn from_name(name: &str) -> Result<Self, EngineError> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.name() == name)
            .ok_or_else(|| EngineError::UnknownProvider {
                name: name.to_owned(),
            })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = EngineError;

    fn from_str(name: &str) -> Result<Self, EngineError> {
        Self::from_name(name)
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::Coded;

    use super::*;

    #[test]
    fn every_name_leads_back_to_its_provider() {
        for provider in Provider::ALL {
            assert_eq!(provider.name().parse::<Provider>().unwrap(), provider);
        }
    }

    #[test]
    fn an_unknown_provider_is_refused_by_name() {
        for name in ["", "CPU", "gpu", "tensorrt"] {
            let error = Provider::from_name(name).unwrap_err();
            assert_eq!(error.code(), nephrite_types::ErrorCode::InvalidArgument);
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
            assert!(error.to_string().contains("cpu, cuda, openvino"), "{error}");
        }
    }
}
