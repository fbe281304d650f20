//! What preprocessing and export need to know of a model: plans, dataset and checkpoint boiled down to numbers.

use nephrite_nnunet_folder::{Configuration, Dataset, Normalization, Plans, Resampling, SeparateZ};
use nephrite_resample::{ForceSeparateZ, Interpolation, LabelRule, ResizePlan, separate_axis};

/// The recipe of one configuration. Spacings and patch are in network axis order.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Network axis `k` is axis `transpose_forward[k]` of the reader.
    pub transpose_forward: [usize; 3],
    /// Image channels, in order.
    pub channels: Vec<ChannelRecipe>,
    /// Spacing of the configuration in mm: 3 numbers, or the last 2 of a 2-D configuration.
    pub spacing: Vec<f64>,
    /// How images are resampled.
    pub data_resampling: Resampling,
    /// How the mask of a previous stage is resampled.
    pub seg_resampling: Resampling,
    /// How logits are resampled.
    pub probabilities_resampling: Resampling,
    /// Configuration of the previous stage, for a cascade.
    pub previous_stage: Option<String>,
    /// Labels that get a one-hot channel in a cascade, ascending.
    pub foreground_labels: Vec<u16>,
}

/// What happens to one image channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelRecipe {
    /// As in `dataset.json`.
    pub name: String,
    /// How intensities are normalized.
    pub normalization: Normalization,
}

impl ChannelRecipe {
    /// True if normalizing needs to know which voxels are inside the non-zero mask.
    pub fn needs_mask(&self) -> bool {
        matches!(self.normalization, Normalization::ZScore { use_mask: true })
    }
}

impl Recipe {
    /// The recipe of one configuration.
    pub fn new(plans: &Plans, configuration: &Configuration, dataset: &Dataset) -> Self {
        let channels = dataset.channel_names.iter().zip(&configuration.normalization);
        Recipe {
            transpose_forward: plans.transpose_forward,
            channels: channels
                .map(|(name, normalization)| ChannelRecipe {
                    name: name.clone(),
                    normalization: *normalization,
                })
                .collect(),
            spacing: configuration.spacing.clone(),
            data_resampling: configuration.resampling_data,
            seg_resampling: configuration.resampling_seg,
            probabilities_resampling: configuration.resampling_probabilities,
            previous_stage: configuration.previous_stage.clone(),
            foreground_labels: dataset.labels.foreground_labels.clone(),
        }
    }

    /// Image channels and one-hot channels.
    pub fn n_input_channels(&self) -> usize {
        self.channels.len()
            + if self.is_cascade() {
                self.foreground_labels.len()
            } else {
                0
            }
    }

    /// True for the second stage of a cascade.
    pub fn is_cascade(&self) -> bool {
        self.previous_stage.is_some()
    }

    /// Spacing of the network grid in mm; a 2-D configuration keeps the scan's on axis 0.
    pub fn network_spacing(&self, scan: [f64; 3]) -> [f64; 3] {
        match *self.spacing.as_slice() {
            [z, y, x] => [z, y, x],
            [y, x] => [scan[0], y, x],
            _ => unreachable!("plans are read with 2 or 3 spacings"),
        }
    }

    /// Voxels of the network grid, ties to even; `None` if an axis would have none.
    pub fn network_shape(&self, cropped: [usize; 3], scan_spacing: [f64; 3]) -> Option<[usize; 3]> {
        if self.data_resampling == Resampling::None {
            return Some(cropped);
        }
        let target = self.network_spacing(scan_spacing);
        let shape: [f64; 3] =
            std::array::from_fn(|a| (scan_spacing[a] / target[a] * cropped[a] as f64).round_ties_even());
        // a float-to-int cast saturates, and what is too large is refused by the limits
        shape.iter().all(|n| *n >= 1.0).then(|| shape.map(|n| n as usize))
    }
}

/// The plan of a resampling function for volumes, from one spacing to another (mm, network axis order).
pub(crate) fn resize_plan(function: &Resampling, current: [f64; 3], new: [f64; 3]) -> ResizePlan {
    const AXES: &str = "axes are 0, 1 or 2";
    match function {
        Resampling::Spline(spline) => {
            let plan = ResizePlan::new(interpolation(spline.order));
            match separate_axis(
                force(spline.separate_z),
                current,
                new,
                spline.anisotropy_threshold,
            ) {
                Some(axis) => plan
                    .with_separate_axis(axis, interpolation(spline.order_z))
                    .expect(AXES),
                None => plan,
            }
        }
        Resampling::Torch(torch) => {
            let axis = separate_axis(force(torch.separate_z), current, new, torch.anisotropy_threshold);
            ResizePlan::torch(axis).expect(AXES)
        }
        // shapes are equal, nothing happens
        Resampling::None => ResizePlan::new(Interpolation::Nearest),
    }
}

/// The rule and the separate axis of a resampling function for label maps.
pub(crate) fn label_plan(
    function: &Resampling,
    current: [f64; 3],
    new: [f64; 3],
) -> (LabelRule, Option<(usize, Interpolation)>) {
    match function {
        Resampling::Spline(spline) => {
            let axis = separate_axis(
                force(spline.separate_z),
                current,
                new,
                spline.anisotropy_threshold,
            );
            let rule = LabelRule::Batchgenerators(interpolation(spline.order));
            (rule, axis.map(|axis| (axis, interpolation(spline.order_z))))
        }
        Resampling::Torch(torch) => {
            let axis = separate_axis(force(torch.separate_z), current, new, torch.anisotropy_threshold);
            let rule = if torch.memory_efficient_seg {
                LabelRule::TorchMemoryEfficient
            } else {
                LabelRule::Torch
            };
            (rule, axis.map(|axis| (axis, Interpolation::Nearest)))
        }
        Resampling::None => (LabelRule::Batchgenerators(Interpolation::Nearest), None),
    }
}

fn interpolation(order: u8) -> Interpolation {
    Interpolation::from_order(order.into()).expect("plans are read with orders 0, 1 and 3 only")
}

fn force(separate_z: SeparateZ) -> ForceSeparateZ {
    match separate_z {
        SeparateZ::Auto => ForceSeparateZ::Auto,
        SeparateZ::Always => ForceSeparateZ::Always,
        SeparateZ::Never => ForceSeparateZ::Never,
    }
}
