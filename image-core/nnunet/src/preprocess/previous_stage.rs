//! The mask of a cascade's first stage as one-hot channels of the second.

use ndarray::{Array3, Array4, Axis, Zip};
use nephrite_resample::resize_labels;
use nephrite_types::{BoundingBox, CancelToken, Labels, OutOfMemory, memory};

use super::crop::cropped;
use crate::NnunetError;
use crate::recipe::{Recipe, label_plan};

/// What an allocation is for, in messages.
const STAGE: &str = "the mask of the previous stage";

/// The mask of the previous stage of a cascade, cropped as the scan; −1 where it is background and the scan is zero.
///
/// Source: nnunetv2 2.8.1, `preprocessing/cropping/cropping.py` (`crop_to_nonzero` with a segmentation).
pub(crate) struct PreviousStage {
    /// Axes `[z, y, x]` of the reader.
    labels: Array3<i32>,
}

impl PreviousStage {
    /// `mask` is the non-zero mask with its holes filled, cropped.
    pub(crate) fn cropped(
        labels: &Labels,
        crop: &BoundingBox,
        mask: Option<&Array3<bool>>,
    ) -> Result<Self, OutOfMemory> {
        let mut labels = match labels {
            Labels::U8(array) => memory::mapped(cropped(array.view(), crop), STAGE, i32::from)?,
            Labels::U16(array) => memory::mapped(cropped(array.view(), crop), STAGE, i32::from)?,
        };
        if let Some(mask) = mask {
            Zip::from(&mut labels).and(mask).for_each(|label, inside| {
                if *label == 0 && !inside {
                    *label = -1;
                }
            });
        }
        Ok(PreviousStage { labels })
    }

    /// Where z-score normalization counts voxels.
    pub(crate) fn inside(&self) -> Result<Array3<bool>, OutOfMemory> {
        memory::mapped(self.labels.view(), STAGE, |label| label >= 0)
    }

    /// On the network grid, network axis order; `spacings` are the scan's and the network's.
    pub(crate) fn resampled(
        &self,
        recipe: &Recipe,
        transpose_forward: [usize; 3],
        to: [usize; 3],
        spacings: [[f64; 3]; 2],
        cancel: &CancelToken,
    ) -> Result<Array3<i32>, NnunetError> {
        let labels = self.labels.view().permuted_axes(transpose_forward);
        let (rule, separate) = label_plan(&recipe.seg_resampling, spacings[0], spacings[1]);
        Ok(resize_labels(labels, to, rule, separate, cancel)?)
    }
}

/// Writes one channel per foreground label, 1 where the previous stage has it, behind the image channels.
pub(crate) fn append_one_hot(
    labels: &Array3<i32>,
    foreground_labels: &[u16],
    n_image_channels: usize,
    data: &mut Array4<f32>,
) {
    for (i, &foreground) in foreground_labels.iter().enumerate() {
        let channel = data.index_axis_mut(Axis(0), n_image_channels + i);
        Zip::from(channel).and(labels).par_for_each(|value, label| {
            *value = if *label == i32::from(foreground) { 1.0 } else { 0.0 };
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_outside_the_mask_is_minus_one_and_labels_stay() {
        let labels = Labels::U8(Array3::from_shape_vec((1, 1, 4), vec![0, 2, 0, 1]).unwrap());
        let mask = Array3::from_shape_vec((1, 1, 4), vec![true, false, false, true]).unwrap();
        let previous = PreviousStage::cropped(&labels, &BoundingBox::full([1, 1, 4]), Some(&mask)).unwrap();
        assert_eq!(previous.labels.iter().copied().collect::<Vec<_>>(), [0, 2, -1, 1]);
        assert_eq!(
            previous.inside().unwrap().iter().copied().collect::<Vec<_>>(),
            [true, true, false, true]
        );
        let mut data = Array4::zeros((3, 1, 1, 4));
        append_one_hot(&previous.labels, &[1, 2], 1, &mut data);
        assert_eq!(
            data.iter().copied().collect::<Vec<_>>(),
            [0., 0., 0., 0., 0., 0., 0., 1., 0., 1., 0., 0.]
        );
    }
}
