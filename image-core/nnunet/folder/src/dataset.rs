//! `dataset.json`: the channels that a model takes, in the order of their files, and its labels.

use nephrite_types::Limits;
use serde_json::Map;

use crate::FolderError;
use crate::json::{Json, parse_python_json, text_as_int};
use crate::labels::LabelScheme;
use crate::plans::MAX_CHANNELS;

/// `dataset.json`: what goes into a model and what its output means.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Image channels, in the order of the inputs: channel `"0"` first. In file order if their keys are not numbers.
    pub channel_names: Vec<String>,
    /// Suffix of nnU-Net's own inputs and outputs, for example `.nii.gz`.
    pub file_ending: String,
    /// Labels and regions.
    pub labels: LabelScheme,
}

impl Dataset {
    /// Reads the content of a `dataset.json`; `file` names it in errors.
    ///
    /// # Errors
    /// [`FolderError`] naming the file, the key and the value.
    pub fn from_json(file: &str, json: &[u8], limits: &Limits) -> Result<Dataset, FolderError> {
        let root = parse_python_json(file, json)?;
        let json = Json::root(file, &root);
        let file_ending = match json.get("file_ending")? {
            Some(ending) => ending.text()?.to_owned(),
            None => ".nii.gz".to_owned(), // stripped-down folders; nephrite takes paths and does not need it
        };
        Ok(Dataset {
            channel_names: channel_names(&json)?,
            file_ending,
            labels: LabelScheme::read(&json, limits)?,
        })
    }

    /// Image channels, without the one-hot channels of a cascade.
    pub fn n_channels(&self) -> usize {
        self.channel_names.len()
    }
}

/// Channel `"1"` is the scan `_0001`, wherever it stands in the file.
fn in_input_order<'a>(mut entries: Vec<(&str, Json<'a>)>) -> Vec<Json<'a>> {
    if entries.iter().all(|(key, _)| text_as_int(key).is_some()) {
        entries.sort_by_key(|(key, _)| text_as_int(key));
    }
    entries.into_iter().map(|(_, name)| name).collect()
}

/// `modality` is the older key and wins, as in nnU-Net.
fn channel_names(json: &Json<'_>) -> Result<Vec<String>, FolderError> {
    let channels = match json.get("modality")? {
        Some(modality) => modality,
        None => json.require("channel_names")?,
    };
    let n_channels = channels.value().as_object().map(Map::len);
    if n_channels.is_some_and(|n| n == 0 || n > MAX_CHANNELS) {
        return Err(channels.invalid(format!("an object of 1 to {MAX_CHANNELS} channels")));
    }
    let names = match channels.value().is_array() {
        true => channels.list(MAX_CHANNELS)?,
        false => in_input_order(channels.entries()?),
    };
    if names.is_empty() {
        return Err(channels.invalid(format!("1 to {MAX_CHANNELS} channels")));
    }
    Ok(names
        .iter()
        .map(|name| {
            name.value()
                .as_str()
                .map_or_else(|| name.value().to_string(), str::to_owned)
        })
        .collect())
}
