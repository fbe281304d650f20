//! In what a network computes, by the names that a user gives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// In what a network computes. Sums and statistics are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Full precision.
    #[default]
    F32,
    /// On the CPU: factors of products have 8 bits of mantissa, all else is f32.
    Bf16,
    /// On NVIDIA cards: factors of convolutions have 10 bits of mantissa, all else is f32.
    Tf32,
    /// On NVIDIA cards: values and factors in half precision, 10 bits of mantissa and a smaller range.
    Half,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 4] = [Precision::F32, Precision::Bf16, Precision::Tf32, Precision::Half];

    /// The name on the command line, in configuration and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Tf32 => "tf32",
            Precision::Half => "half",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown precision {0:?}, expected one of f32, bf16, tf32, half")]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        let mut all = Precision::ALL.into_iter();
        all.find(|precision| precision.name() == name)
            .ok_or_else(|| UnknownPrecision(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_precision() {
        for precision in Precision::ALL {
            assert_eq!(precision.name().parse(), Ok(precision));
            assert_eq!(serde_json::to_value(precision).unwrap(), precision.name());
        }
        assert!("f16".parse::<Precision>().is_err());
    }
}
