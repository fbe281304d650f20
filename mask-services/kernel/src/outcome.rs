//! What an operation gives: masks, files and numbers.

use std::sync::Arc;

use nephrite_mask_codec::Mask;
use serde::{Deserialize, Serialize};

use crate::{Artefact, Traffic};

/// What an operation gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Name of the output and its mask, in the order of the description.
    pub masks: Vec<(String, Arc<Mask>)>,
    /// Files that were written.
    pub artefacts: Vec<Artefact>,
    /// Numbers that were found.
    pub measurements: Vec<Measurement>,
    /// What calling another process cost, if one ran it; nothing here.
    pub traffic: Traffic,
}

/// One number that an operation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// Name of the label it is about; empty if it is about the whole.
    pub label: String,
    /// What was measured, such as `volume`.
    pub name: String,
    /// `mm`, `mL`, `voxel` …; empty for a plain count.
    pub unit: String,
    /// Finite.
    pub value: f64,
}

impl Outcome {
    /// One mask and nothing else.
    pub fn mask(name: &str, mask: Mask) -> Outcome {
        Outcome {
            masks: vec![(name.to_owned(), Arc::new(mask))],
            ..Outcome::default()
        }
    }

    /// The mask of an output.
    pub fn get(&self, name: &str) -> Option<&Arc<Mask>> {
        self.masks
            .iter()
            .find(|(output, _)| output == name)
            .map(|(_, mask)| mask)
    }
}
