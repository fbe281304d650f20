//! `plans.json`: its configurations with inheritance resolved, in the present and the legacy form.

use nephrite_types::Limits;
use serde_json::{Map, Value};

use crate::architecture::ArchitectureJson;
use crate::json::{Json, parse_python_json};
use crate::{FolderError, IntensityProperties, Normalization, Resampling};

/// `plans.json`: how a model was trained, and how its input must be prepared.
///
/// Axis order: keys of a configuration (`patch_size`, `spacing`) are in the order after `transpose_forward`.
/// Source: nnunetv2 2.8.1, `utilities/plans_handling/plans_handler.py`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plans {
    file: String,
    root: Value,
    limits: Limits,
    /// `dataset_name`, informative.
    pub dataset_name: Option<String>,
    /// `plans_name`, informative.
    pub plans_name: Option<String>,
    /// Name of nnU-Net's reader and writer class, for example `SimpleITKIO`.
    pub image_reader_writer: String,
    /// Axis k of the network's arrays is axis `transpose_forward[k]` of the reader's.
    pub transpose_forward: [usize; 3],
    /// The inverse of `transpose_forward`.
    pub transpose_backward: [usize; 3],
}

/// One resolved entry of `configurations`.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// Its key, for example `3d_fullres`.
    pub name: String,
    /// Of a cascade: the configuration whose segmentation is a further input.
    pub previous_stage: Option<String>,
    /// Voxels of the network's input, 2 or 3 axes (after `transpose_forward`; 2-D: the last two).
    pub patch_size: Vec<usize>,
    /// Millimeters per voxel of the network's input, as many axes as `patch_size`.
    pub spacing: Vec<f64>,
    /// Per image channel.
    pub normalization: Vec<Normalization>,
    /// `resampling_fn_data`.
    pub resampling_data: Resampling,
    /// `resampling_fn_seg`, for the previous stage of a cascade.
    pub resampling_seg: Resampling,
    /// `resampling_fn_probabilities`, for the network's output.
    pub resampling_probabilities: Resampling,
    /// The network.
    pub architecture: ArchitectureJson,
}

/// Image channels of one model.
pub(crate) const MAX_CHANNELS: usize = 256;
/// Configurations in one file, and length of a chain of `inherits_from`.
const MAX_CONFIGURATIONS: usize = 256;
const PREPROCESSOR: &str = "DefaultPreprocessor";
const LABEL_MANAGER: &str = "LabelManager";

impl Plans {
    /// Reads the content of a `plans.json`; `file` names it in errors. Configurations are checked when they are
    /// asked for.
    ///
    /// # Errors
    /// [`FolderError`] naming the file, the key and the value.
    pub fn from_json(file: &str, json: &[u8], limits: &Limits) -> Result<Plans, FolderError> {
        let root = parse_python_json(file, json)?;
        let json = Json::root(file, &root);
        if let Some(manager) = json.get("label_manager")? {
            let name = manager.text()?;
            if name != LABEL_MANAGER {
                return Err(manager.unknown_name(name, &[LABEL_MANAGER]));
            }
        }
        let transpose_forward = permutation(&json.require("transpose_forward")?)?;
        let backward = json.require("transpose_backward")?;
        let transpose_backward = permutation(&backward)?;
        if (0..3).any(|axis| transpose_forward[transpose_backward[axis]] != axis) {
            return Err(backward.invalid(format!("the inverse of transpose_forward {transpose_forward:?}")));
        }
        let configurations = json.require("configurations")?;
        if configurations.object()?.len() > MAX_CONFIGURATIONS {
            return Err(configurations.invalid(format!("at most {MAX_CONFIGURATIONS} configurations")));
        }
        let informative = |key| {
            Ok::<_, FolderError>(
                json.get(key)?
                    .and_then(|name| name.value().as_str())
                    .map(str::to_owned),
            )
        };
        Ok(Plans {
            file: file.to_owned(),
            limits: limits.clone(),
            dataset_name: informative("dataset_name")?,
            plans_name: informative("plans_name")?,
            image_reader_writer: json.require("image_reader_writer")?.text()?.to_owned(),
            transpose_forward,
            transpose_backward,
            root,
        })
    }

    /// Names of all configurations, in file order.
    pub fn configuration_names(&self) -> Vec<&str> {
        let configurations = self.root.get("configurations").and_then(Value::as_object);
        configurations
            .map(|map| map.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// Resolves and checks one configuration.
    ///
    /// # Errors
    /// [`FolderError::UnknownConfiguration`], [`FolderError::InheritanceCycle`]; otherwise naming the key and the
    /// value that is missing, wrong or not supported.
    pub fn configuration(&self, name: &str) -> Result<Configuration, FolderError> {
        let resolved = Value::Object(self.resolve(name)?);
        // Errors name the configuration asked for, also for keys that it inherits.
        let holder = Value::Object(Map::from_iter([(format!("configurations.{name}"), resolved)]));
        let holder = Json::root(&self.file, &holder);
        let json = holder.require(&format!("configurations.{name}"))?;

        if let Some(preprocessor) = json.get("preprocessor_name")? {
            let name = preprocessor.text()?;
            if name != PREPROCESSOR {
                return Err(preprocessor.unknown_name(name, &[PREPROCESSOR]));
            }
        }
        let patch_size = self.patch_size(&json.require("patch_size")?)?;
        Ok(Configuration {
            name: name.to_owned(),
            previous_stage: json
                .get("previous_stage")?
                .map(|stage| stage.text().map(str::to_owned))
                .transpose()?,
            spacing: spacing(&json.require("spacing")?, patch_size.len())?,
            normalization: self.normalization(&json)?,
            resampling_data: Resampling::read(&json, "resampling_fn_data")?,
            resampling_seg: Resampling::read(&json, "resampling_fn_seg")?,
            resampling_probabilities: Resampling::read(&json, "resampling_fn_probabilities")?,
            architecture: ArchitectureJson::read(&json, patch_size.len())?,
            patch_size,
        })
    }

    /// The foreground intensities of the training set in one channel.
    ///
    /// # Errors
    /// [`FolderError`] if they are missing or not finite.
    pub fn intensity_properties(&self, channel: usize) -> Result<IntensityProperties, FolderError> {
        let json = Json::root(&self.file, &self.root);
        let (modern, legacy) = (
            "foreground_intensity_properties_per_channel",
            "foreground_intensity_properties_by_modality",
        );
        let key = if json.get(modern)?.is_none() && json.get(legacy)?.is_some() {
            legacy
        } else {
            modern
        };
        IntensityProperties::read(&json.require(key)?.require(&channel.to_string())?)
    }

    /// A configuration with all that it inherits; a child's key replaces the parent's whole value.
    fn resolve(&self, name: &str) -> Result<Map<String, Value>, FolderError> {
        let configurations = Json::root(&self.file, &self.root).require("configurations")?;
        let mut chain: Vec<String> = Vec::new();
        let mut resolved = Map::new();
        let mut next = Some(name.to_owned());
        while let Some(name) = next {
            let is_cycle = chain.contains(&name);
            chain.push(name.clone());
            if is_cycle {
                return Err(FolderError::InheritanceCycle {
                    file: self.file.clone(),
                    chain,
                });
            }
            let json = configurations
                .get(&name)?
                .ok_or_else(|| FolderError::UnknownConfiguration {
                    file: self.file.clone(),
                    name,
                    known: self
                        .configuration_names()
                        .into_iter()
                        .map(str::to_owned)
                        .collect(),
                })?;
            for (key, value) in json.object()? {
                resolved.entry(key.clone()).or_insert_with(|| value.clone()); // children came first
            }
            next = json
                .get("inherits_from")?
                .map(|parent| parent.text().map(str::to_owned))
                .transpose()?;
        }
        Ok(resolved)
    }

    fn patch_size(&self, json: &Json<'_>) -> Result<Vec<usize>, FolderError> {
        let axes = json.list(3)?;
        if axes.len() < 2 {
            return Err(json.invalid("a list of 2 or 3"));
        }
        let patch = axes
            .iter()
            .map(|axis| axis.index(1..=1 << 16))
            .collect::<Result<Vec<_>, _>>()?;
        let n_voxels = patch.iter().fold(1u64, |n, &len| n.saturating_mul(len as u64));
        if n_voxels > self.limits.max_voxels {
            return Err(json.invalid(format!("a patch of at most {} voxels", self.limits.max_voxels)));
        }
        Ok(patch)
    }

    fn normalization(&self, configuration: &Json<'_>) -> Result<Vec<Normalization>, FolderError> {
        let schemes = configuration.require("normalization_schemes")?;
        let use_mask = configuration.require("use_mask_for_norm")?;
        let (channels, masks) = (schemes.list(MAX_CHANNELS)?, use_mask.list(MAX_CHANNELS)?);
        if channels.is_empty() {
            return Err(schemes.invalid("a list of one scheme per channel"));
        }
        if masks.len() != channels.len() {
            return Err(use_mask.invalid(format!("a list of {}, as normalization_schemes", channels.len())));
        }
        let pairs = channels.iter().zip(&masks).enumerate();
        pairs
            .map(|(channel, (scheme, mask))| {
                Normalization::read(scheme, mask.flag()?, || self.intensity_properties(channel))
            })
            .collect()
    }
}

impl Configuration {
    /// True for a network of slices.
    pub fn is_2d(&self) -> bool {
        self.patch_size.len() == 2
    }

    /// Image channels, without the one-hot channels of a cascade.
    pub fn n_image_channels(&self) -> usize {
        self.normalization.len()
    }
}

fn permutation(json: &Json<'_>) -> Result<[usize; 3], FolderError> {
    let axes = json
        .list(3)?
        .iter()
        .map(|axis| axis.index(0..=2))
        .collect::<Result<Vec<_>, _>>()?;
    match <[usize; 3]>::try_from(axes) {
        Ok(axes) if (0..3).all(|axis| axes.contains(&axis)) => Ok(axes),
        _ => Err(json.invalid("a permutation of [0, 1, 2]")),
    }
}

fn spacing(json: &Json<'_>, n_axes: usize) -> Result<Vec<f64>, FolderError> {
    let axes = json.list(3)?;
    if axes.len() != n_axes {
        return Err(json.invalid(format!("a list of {n_axes}, as patch_size")));
    }
    axes.iter()
        .map(|axis| match axis.number() {
            Ok(mm) if mm > 0.0 => Ok(mm),
            _ => Err(axis.invalid("a positive number of millimeters")),
        })
        .collect()
}

#[cfg(test)]
mod tests;
