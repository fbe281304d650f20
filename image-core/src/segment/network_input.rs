//! What a network is given: channels of a part of the scans and of masks, cropped, normalized and resampled.

use std::sync::Arc;

use nephrite_kernel::Mask;
use nephrite_nnunet::{Model, NetworkInput, preprocess};
use nephrite_types::{CancelToken, IntensityScale, Labels, Volume, Voxels};

use super::grid::{mask_error, on_grid};
use super::part::{Part, outside};
use super::request::ModelRun;
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::{Counters, InputKey, InputLease, ScanLease, private_input};

/// Makes the inputs of the networks of a run from its scans.
pub(super) struct NetworkInputs<'a> {
    pub(super) core: &'a Core,
    pub(super) run: &'a ModelRun,
    pub(super) part: &'a Part,
    /// At least one.
    pub(super) scans: Vec<ScanLease>,
    pub(super) counters: &'a mut Counters,
    pub(super) cancel: &'a CancelToken,
}

impl NetworkInputs<'_> {
    /// Of a first stage, which sees the scans alone.
    pub(super) fn of_scans_alone(&mut self, network: &Model) -> Result<InputLease, CoreError> {
        self.input(network, &[], None)
    }

    /// With everything that the run has: masks as channels, and the mask of the previous stage.
    pub(super) fn of_all(
        &mut self,
        network: &Model,
        previous: Option<Labels>,
    ) -> Result<InputLease, CoreError> {
        let masks = self.run.masks.iter();
        let masks = masks.map(|(mask, label)| self.channel_of(mask, label));
        let masks = masks.collect::<Result<Vec<_>, _>>()?;
        self.input(network, &masks, previous.as_ref())
    }

    /// A mask in the order of the reader, cut to the part: from the frame of this file by voxel, from other grids by world
    /// coordinates.
    pub(super) fn labels_of(&mut self, mask: &Arc<Mask>) -> Result<Labels, CoreError> {
        let mask = self.on_part(mask)?;
        let labels = mask.runs().try_to_labels().map_err(mask_error)?;
        Ok(self.part.orientation.labels_to_ras(labels))
    }

    /// Shared with other steps unless it is of several scans, or masks went into it.
    fn input(
        &mut self,
        network: &Model,
        masks: &[Volume],
        previous: Option<&Labels>,
    ) -> Result<InputLease, CoreError> {
        let NetworkInputs {
            core,
            run,
            part,
            scans,
            counters,
            cancel,
        } = self;
        let path = &run.scans[0].path;
        let numerics = run.options.numerics;
        let make = || -> Result<NetworkInput, CoreError> {
            let whole = scans.iter().map(|scan| &scan.get().scan.volume);
            let cropped = match part.is_whole() {
                true => Vec::new(),
                false => whole
                    .clone()
                    .map(|volume| volume.crop(&part.bounds).map_err(outside))
                    .collect::<Result<Vec<_>, _>>()?,
            };
            let mut channels: Vec<&Volume> = match part.is_whole() {
                true => whole.collect(),
                false => cropped.iter().collect(),
            };
            channels.extend(masks);
            let input = preprocess(network, &channels, previous, numerics, core.limits(), cancel);
            input.map_err(|error| CoreError::of_network(error, path))
        };
        match scans.as_slice() {
            [scan] if run.is_step && masks.is_empty() && previous.is_none() => {
                let key = InputKey {
                    scan: scan.key.clone(),
                    content: scan.get().hash,
                    crop: InputKey::crop(&part.bounds),
                    recipe: network.recipe().key(numerics),
                };
                let name = path.to_string_lossy();
                core.volumes().network_input(key, &name, counters, cancel, make)
            }
            _ => Ok(private_input(make()?, counters)),
        }
    }

    /// One label of a mask as a channel, 1 inside and 0 outside.
    fn channel_of(&mut self, mask: &Arc<Mask>, label: &str) -> Result<Volume, CoreError> {
        let id = nephrite_kernel::label_ids(mask, "channels", &[label.to_owned()])?;
        let moved = self.on_part(mask)?;
        let only = moved.runs().relabel(|_, run| u16::from(id.contains(&run.label)));
        let labels = only.try_to_labels().map_err(mask_error)?;
        let array = match self.part.orientation.labels_to_ras(labels) {
            Labels::U8(array) => array,
            Labels::U16(array) => array.mapv(|value| value as u8), // 0 or 1
        };
        Ok(Volume {
            voxels: Voxels::U8(array),
            scale: IntensityScale::IDENTITY,
            geometry: self.part.grid()?,
        })
    }

    /// A mask on the part of the frame.
    fn on_part(&mut self, mask: &Arc<Mask>) -> Result<Arc<Mask>, CoreError> {
        let limits = self.core.limits();
        let mask = on_grid(mask, &self.part.frame, limits, self.counters, self.cancel)?;
        if self.part.is_whole() {
            return Ok(mask);
        }
        let runs = nephrite_sample::crop(mask.runs(), &self.part.in_file, limits)?;
        Ok(Arc::new(
            Mask::new(runs, mask.labels().clone()).map_err(mask_error)?,
        ))
    }
}
