//! All of preprocessing in nnU-Net's order, and what is needed to come back from it.

use ndarray::parallel::prelude::*;
use ndarray::{Array3, Array4, Axis, Ix4, Zip};
use nephrite_nnunet_folder::{Normalization, Resampling};
use nephrite_resample::{Real, resize_planes};
use nephrite_types::{
    BoundingBox, CancelToken, Labels, Limits, Numerics, OutOfMemory, Stored, Volume, memory, with_voxels,
};

use super::crop::{cropped, nonzero_box, nonzero_mask};
use super::fill_holes::fill_holes;
use super::normalize::Normalizer;
use super::previous_stage::{PreviousStage, append_one_hot};
use crate::recipe::{Recipe, resize_plan};
use crate::scans_on_cards::ScansOnCards;
use crate::{Model, NnunetError};

/// What goes into the sliding window, and what is needed to come back from it.
#[derive(Debug, Clone)]
pub struct NetworkInput {
    /// `[channel, …]` on the network grid, axes in the order of `transpose_forward`.
    pub data: Array4<f32>,
    /// Network axis `k` is axis `transpose_forward[k]` of the reader.
    pub transpose_forward: [usize; 3],
    /// The part of the scan that was not all zero; axes `[z, y, x]` of the reader.
    pub crop: BoundingBox,
    /// Shape of the scan, `[z, y, x]` of the reader.
    pub reader_shape: [usize; 3],
    /// Spacing of the scan in mm, network axis order.
    pub scan_spacing: [f64; 3],
    /// Spacing of the network grid in mm, network axis order.
    pub network_spacing: [f64; 3],
    /// What cards hold of it.
    pub on_cards: ScansOnCards,
}

impl NetworkInput {
    /// Shape of the cropped scan, network axis order.
    pub fn cropped_shape(&self) -> [usize; 3] {
        permuted(self.crop.shape(), self.transpose_forward)
    }

    /// Gives back what cards hold of it.
    pub fn leave_cards(&self) {
        self.on_cards.leave();
    }

    /// Shape of the network grid, network axis order.
    pub fn network_shape(&self) -> [usize; 3] {
        let (_, z, y, x) = self.data.dim();
        [z, y, x]
    }
}

fn permuted<T: Copy>(reader: [T; 3], transpose_forward: [usize; 3]) -> [T; 3] {
    transpose_forward.map(|axis| reader[axis])
}

/// Crops to what is not zero, normalizes, resamples to the network's grid and appends the one-hot previous stage.
///
/// Scans are read plane by plane in their native type: no f32 copy of a whole scan is made. `numerics` decides in
/// which precision resampling computes.
///
/// # Errors
/// [`NnunetError`]: wrong number of channels, different grids, a grid without voxels or over the limits.
///
/// Source: nnunetv2 2.8.1, `preprocessing/preprocessors/default_preprocessor.py` (`run_case_npy`).
pub fn preprocess(
    model: &Model,
    channels: &[&Volume],
    previous_stage: Option<&Labels>,
    numerics: Numerics,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<NetworkInput, NnunetError> {
    let recipe = model.recipe();
    check_channels(recipe, channels, previous_stage)?;
    let reader_shape = channels[0].voxels.shape();
    let transpose_forward = recipe.transpose_forward;
    let scan_spacing = permuted(channels[0].geometry.spacing.zyx(), transpose_forward);
    let network_spacing = recipe.network_spacing(scan_spacing);

    let crop = nonzero_box(channels);
    let cropped_shape = permuted(crop.shape(), transpose_forward);
    let network_shape = recipe
        .network_shape(cropped_shape, scan_spacing)
        .ok_or(NnunetError::EmptyGrid {
            crop: cropped_shape,
            spacing: scan_spacing,
            target: network_spacing,
        })?;
    check_size(network_shape, recipe.n_input_channels(), limits)?;

    let needs_mask = recipe.is_cascade() || recipe.channels.iter().any(|c| c.needs_mask());
    let mask = needs_mask
        .then(|| nonzero_without_holes(channels, &crop))
        .transpose()?;
    let previous = previous_stage
        .map(|labels| PreviousStage::cropped(labels, &crop, mask.as_ref()))
        .transpose()?;
    // Labels of the previous stage count as inside, wherever they lie.
    let inside = match &previous {
        Some(previous) => Some(previous.inside()?),
        None => mask,
    };

    let [n0, n1, n2] = network_shape;
    let shape = Ix4(recipe.n_input_channels(), n0, n1, n2);
    let mut data = memory::zeroed_array(shape, "the input of the network")?;
    for (c, volume) in channels.iter().enumerate() {
        cancel.check()?;
        let inside = inside.as_ref().filter(|_| recipe.channels[c].needs_mask());
        let channel = Channel {
            volume,
            crop: &crop,
            transpose_forward,
            inside,
        };
        let normalizer = channel
            .normalizer(&recipe.channels[c].normalization)
            .map_err(|source| NnunetError::Normalization { channel: c, source })?;
        let target = data.index_axis_mut(Axis(0), c);
        channel.resample_into(
            target,
            &normalizer,
            recipe,
            [scan_spacing, network_spacing],
            numerics,
            cancel,
        )?;
    }
    if let Some(previous) = previous {
        let resampled = previous.resampled(
            recipe,
            transpose_forward,
            network_shape,
            [scan_spacing, network_spacing],
            cancel,
        )?;
        append_one_hot(
            &resampled,
            &recipe.foreground_labels,
            recipe.channels.len(),
            &mut data,
        );
    }
    Ok(NetworkInput {
        data,
        transpose_forward,
        crop,
        reader_shape,
        scan_spacing,
        network_spacing,
        on_cards: ScansOnCards::default(),
    })
}

fn nonzero_without_holes(channels: &[&Volume], crop: &BoundingBox) -> Result<Array3<bool>, OutOfMemory> {
    let mut mask = nonzero_mask(channels, crop)?;
    fill_holes(&mut mask)?;
    Ok(mask)
}

/// One scan as one channel of the network sees it.
struct Channel<'a> {
    volume: &'a Volume,
    crop: &'a BoundingBox,
    transpose_forward: [usize; 3],
    /// Cropped mask, axes of the reader; only for schemes that use it.
    inside: Option<&'a Array3<bool>>,
}

impl Channel<'_> {
    fn normalizer(&self, normalization: &Normalization) -> Result<Normalizer, super::NotRgb> {
        let scale = self.volume.scale;
        with_voxels!(&self.volume.voxels, array => {
            let channel = cropped(array.view(), self.crop);
            Ok(match normalization {
                Normalization::Ct(p) => Normalizer::ct(p.percentile_00_5, p.percentile_99_5, p.mean, p.std),
                Normalization::ZScore { .. } => Normalizer::z_score(channel, scale, self.inside),
                Normalization::None => Normalizer::Identity,
                Normalization::RescaleTo01 => Normalizer::rescale_to_01(channel, scale),
                Normalization::RgbTo01 => Normalizer::rgb_to_01(channel, scale)?,
            })
        })
    }

    /// Normalizes and resamples; `spacings` are the scan's and the network's.
    fn resample_into(
        &self,
        mut target: ndarray::ArrayViewMut3<'_, f32>,
        normalizer: &Normalizer,
        recipe: &Recipe,
        spacings: [[f64; 3]; 2],
        numerics: Numerics,
        cancel: &CancelToken,
    ) -> Result<(), NnunetError> {
        let from = permuted(self.crop.shape(), self.transpose_forward);
        let (n0, n1, n2) = target.dim();
        let to = [n0, n1, n2];
        let plan = resize_plan(&recipe.data_resampling, spacings[0], spacings[1]);
        let is_f64 =
            numerics == Numerics::Reference && matches!(recipe.data_resampling, Resampling::Spline(_));
        if from == to {
            target
                .axis_iter_mut(Axis(0))
                .into_par_iter()
                .enumerate()
                .try_for_each(|(k, plane)| {
                    cancel.check()?;
                    let plane = plane
                        .into_slice()
                        .expect("planes of the network's input are contiguous");
                    self.plane(k, normalizer, plane);
                    Ok::<(), NnunetError>(())
                })?;
        } else if is_f64 {
            let resized = resize_planes::<f64>(
                from,
                to,
                &plan,
                &|k, plane| self.plane(k, normalizer, plane),
                cancel,
            )?;
            Zip::from(&mut target)
                .and(&resized)
                .par_for_each(|t, v| *t = *v as f32);
        } else {
            let resized = resize_planes::<f32>(
                from,
                to,
                &plan,
                &|k, plane| self.plane(k, normalizer, plane),
                cancel,
            )?;
            target.assign(&resized);
        }
        Ok(())
    }

    /// Plane `k` of the cropped, transposed, normalized channel.
    fn plane<T: Real>(&self, k: usize, normalizer: &Normalizer, out: &mut [T]) {
        let forward = self.transpose_forward;
        let scale = self.volume.scale;
        let inside = self.inside.map(|mask| mask.view().permuted_axes(forward));
        with_voxels!(&self.volume.voxels, array => {
            let plane = cropped(array.view(), self.crop).permuted_axes(forward);
            let plane = plane.index_axis(Axis(0), k);
            let width = plane.dim().1;
            for (y, (row, out)) in plane.outer_iter().zip(out.chunks_exact_mut(width)).enumerate() {
                match (&inside, row.as_slice()) {
                    (Some(inside), _) => {
                        let inside = inside.slice(ndarray::s![k, y, ..]);
                        for ((o, v), i) in out.iter_mut().zip(row).zip(inside) {
                            *o = T::from_f64(f64::from(normalizer.apply(scale.apply(*v), *i)));
                        }
                    }
                    // One plain loop per case, so that each becomes a vector loop.
                    (None, Some(row)) if scale.is_identity() => {
                        normalizer.write(row.iter().map(|v| v.to_f32()), out);
                    }
                    (None, Some(row)) => normalizer.write(row.iter().map(|v| scale.apply(*v)), out),
                    (None, None) => normalizer.write(row.iter().map(|v| scale.apply(*v)), out),
                }
            }
        });
    }
}

fn check_channels(
    recipe: &Recipe,
    channels: &[&Volume],
    previous_stage: Option<&Labels>,
) -> Result<(), NnunetError> {
    if channels.len() != recipe.channels.len() {
        let names: Vec<&str> = recipe.channels.iter().map(|c| c.name.as_str()).collect();
        return Err(NnunetError::ChannelCount {
            expected: recipe.channels.len(),
            names: names.join(", "),
            found: channels.len(),
        });
    }
    let first = channels[0];
    for (channel, volume) in channels.iter().enumerate().skip(1) {
        let differ = |what, expected, found| NnunetError::ChannelsDiffer {
            channel,
            what,
            expected,
            found,
        };
        if volume.voxels.shape() != first.voxels.shape() {
            let (expected, found) = (first.geometry.shape, volume.geometry.shape);
            return Err(differ("shape", expected.to_string(), found.to_string()));
        }
        let (a, b) = (volume.geometry.spacing.zyx(), first.geometry.spacing.zyx());
        // numpy.allclose, as the readers of nnU-Net compare
        if a.iter()
            .zip(&b)
            .any(|(a, b)| (a - b).abs() > 1e-8 + 1e-5 * b.abs())
        {
            return Err(differ(
                "spacing (z, y, x)",
                format!("{b:?} mm"),
                format!("{a:?} mm"),
            ));
        }
    }
    match (previous_stage, &recipe.previous_stage) {
        (None, Some(stage)) => Err(NnunetError::PreviousStageMissing { stage: stage.clone() }),
        (Some(_), None) => Err(NnunetError::PreviousStageUnexpected),
        (Some(labels), Some(_)) if labels.shape() != first.voxels.shape() => {
            Err(NnunetError::PreviousStageShape {
                expected: first.voxels.shape(),
                found: labels.shape(),
            })
        }
        _ => Ok(()),
    }
}

/// Refuses a network grid over the limits.
pub(crate) fn check_size(shape: [usize; 3], n_channels: usize, limits: &Limits) -> Result<(), NnunetError> {
    let voxels = shape
        .iter()
        .try_fold(n_channels as u64, |n, &len| n.checked_mul(len as u64));
    let found = voxels.unwrap_or(u64::MAX);
    if found > limits.max_voxels {
        return Err(NnunetError::OverLimit {
            what: "the network grid",
            unit: "voxels",
            limit: limits.max_voxels,
            found,
        });
    }
    Ok(())
}
