//! The masks of a request by name, and the ids of labels by theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use nephrite_mask_codec::Mask;

use crate::OperationError;

/// The masks of a request, by the name of the input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    masks: BTreeMap<String, Vec<Arc<Mask>>>,
}

impl Inputs {
    /// None yet.
    pub fn new() -> Inputs {
        Inputs::default()
    }

    /// Adds a mask to an input.
    pub fn add(&mut self, name: &str, mask: Arc<Mask>) {
        self.masks.entry(name.to_owned()).or_default().push(mask);
    }

    /// The same, for building in one expression.
    pub fn with(mut self, name: &str, mask: Arc<Mask>) -> Inputs {
        self.add(name, mask);
        self
    }

    /// The masks of an input, in the order given; empty if there are none.
    pub fn all(&self, name: &str) -> &[Arc<Mask>] {
        self.masks.get(name).map_or(&[], Vec::as_slice)
    }

    /// The mask of an input that is required.
    ///
    /// # Errors
    /// [`OperationError::MissingInput`]
    pub fn one(&self, name: &str) -> Result<&Arc<Mask>, OperationError> {
        self.optional(name).ok_or_else(|| OperationError::MissingInput {
            name: name.to_owned(),
        })
    }

    /// The mask of an input that may be left out.
    pub fn optional(&self, name: &str) -> Option<&Arc<Mask>> {
        self.all(name).first()
    }

    /// All masks, whatever their input.
    pub fn masks(&self) -> impl Iterator<Item = &Arc<Mask>> {
        self.masks.values().flatten()
    }

    /// Names of inputs and their masks.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Arc<Mask>])> {
        self.masks
            .iter()
            .map(|(name, masks)| (name.as_str(), masks.as_slice()))
    }
}

/// The ids of labels that a parameter names; all labels of the mask if it names none.
///
/// # Errors
/// [`OperationError::UnknownLabel`] if the mask's table has no such name.
pub fn label_ids(mask: &Mask, parameter: &str, names: &[String]) -> Result<Vec<u16>, OperationError> {
    if names.is_empty() {
        return Ok(mask.labels().entries().iter().map(|entry| entry.id).collect());
    }
    let ids = names.iter().map(|name| match mask.labels().by_name(name) {
        Some(entry) => Ok(entry.id),
        None => Err(OperationError::UnknownLabel {
            parameter: parameter.to_owned(),
            label: name.chars().take(64).collect(),
            known: mask
                .labels()
                .entries()
                .iter()
                .map(|entry| entry.name.clone())
                .collect(),
        }),
    });
    ids.collect()
}
