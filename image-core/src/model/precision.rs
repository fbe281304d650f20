//! A precision, as it stands in reports and records.

use nephrite_cpu::Precision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// In what the factors of a network's products are held. Sums, statistics, and all that flows between layers are f32.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Precision", rename_all = "lowercase")]
#[schemars(rename = "Precision")]
pub(crate) enum PrecisionName {
    /// Full precision.
    F32,
    /// 8 bits of mantissa.
    Bf16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Told(#[serde(with = "PrecisionName")] Precision);

    #[test]
    fn a_precision_is_told_by_its_name() {
        for precision in Precision::ALL {
            let told = serde_json::to_value(Told(precision)).unwrap();
            assert_eq!(told, precision.name());
            assert_eq!(serde_json::from_value::<Told>(told).unwrap(), Told(precision));
        }
        assert!(serde_json::from_str::<Told>("\"f16\"").is_err());
    }
}
