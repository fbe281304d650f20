//! What an operation on masks holds at its peak, from the sizes of its masks alone.

use nephrite_mask_codec::{EncodedMask, LabelTable, Mask};
use nephrite_types::{BoundingBox, CancelToken, Geometry, Limits, length};
use nephrite_volume::{VolumeError, VolumeFiles, VolumeIdentity, label_map_size};

use crate::OperationError;
use crate::nifti::read_mask_in;

/// What a refusal for want of memory calls a request.
pub const ON_MASKS: &str = "an operation on masks";

/// Size of a mask that goes in, before its voxels are read. Axes are z, y, x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskSize {
    /// Of its grid.
    pub shape: [u64; 3],
    /// Of the smallest box around all labels; of a file that was not read yet, the grid.
    pub labelled: [u64; 3],
    /// From voxel to voxel, in mm.
    pub steps_mm: [f64; 3],
    /// Runs: exact for a mask in memory, at most so many for one in a message. Of a file, what structures of a body have in so
    /// many voxels.
    pub n_runs: u64,
    /// What reading it takes for a moment beyond what is kept: the dense array of a file.
    pub reading_bytes: u64,
}

/// Voxels of a file's grid to one run: an abdomen of 66 Mvoxel with all its organs has one run in 170 voxels.
const VOXELS_PER_RUN: u64 = 64;

/// Of compressing a mask on all threads, and of what is small.
const WRITING_BYTES: u64 = 8 << 20;

impl MaskSize {
    /// Of a mask in memory.
    pub fn of(mask: &Mask) -> MaskSize {
        let boxes = mask.summaries().values().map(|summary| summary.bounding_box);
        let n_runs = mask.runs().runs().len() as u64;
        MaskSize::known(mask.runs().geometry(), union(boxes), n_runs)
    }

    /// Of a mask in a message, from what the message states.
    pub fn of_encoded(mask: &EncodedMask) -> MaskSize {
        MaskSize::known(&mask.geometry, mask.bounding_box, mask.max_runs())
    }

    fn known(geometry: &Geometry, labelled: Option<BoundingBox>, n_runs: u64) -> MaskSize {
        MaskSize {
            shape: geometry.shape.zyx().map(|n| n as u64),
            labelled: labelled.map_or([0; 3], |labelled| labelled.shape().map(|n| n as u64)),
            steps_mm: geometry.steps_mm(),
            n_runs,
            reading_bytes: 0,
        }
    }

    /// Of a label map in a file, from its header.
    fn of_file(files: &VolumeFiles, name: &str, limits: &Limits) -> Result<MaskSize, OperationError> {
        let size = label_map_size(files, name, limits)?;
        let shape = size.shape.map(|n| n as u64);
        let n_voxels = product(shape); // compared with the limits
        // As stored, and beside that as labels, of 8 bits if they come from 8 bits.
        let labels = size.stored_bytes.min(n_voxels.saturating_mul(2));
        Ok(MaskSize {
            shape,
            labelled: shape,
            steps_mm: [1.0; 3], // no box grows beyond the grid
            n_runs: n_voxels / VOXELS_PER_RUN,
            reading_bytes: size.stored_bytes.saturating_add(labels),
        })
    }

    /// Rows along x.
    pub fn n_rows(&self) -> u64 {
        self.shape[0].saturating_mul(self.shape[1])
    }

    /// In run form.
    pub fn run_bytes(&self) -> u64 {
        let rows = self.n_rows().saturating_add(1).saturating_mul(4);
        rows.saturating_add(self.n_runs.saturating_mul(12))
    }

    /// The grid as a dense array of 16 bits.
    pub fn dense_bytes(&self) -> u64 {
        product(self.shape).saturating_mul(2)
    }

    /// What lies within `mm` of a label, as a dense array of 16 bits.
    pub fn dense_bytes_within(&self, mm: f64) -> u64 {
        let axes = std::array::from_fn(|axis| {
            let reach = length::steps_within(mm, self.steps_mm[axis]) + 1.0;
            let grown = self.labelled[axis] as f64 + 2.0 * reach;
            match self.labelled[axis] {
                0 => 0,
                _ if grown < self.shape[axis] as f64 => grown as u64,
                _ => self.shape[axis],
            }
        });
        product(axes).saturating_mul(2)
    }
}

/// A label map in a file whose header was read.
#[derive(Debug, Clone, Copy)]
pub struct UnreadMask {
    size: MaskSize,
    identity: VolumeIdentity,
}

impl UnreadMask {
    /// Reads the header.
    ///
    /// # Errors
    /// As [`read_mask`](crate::read_mask), for what a header can have wrong.
    pub fn of(files: &VolumeFiles, name: &str, limits: &Limits) -> Result<UnreadMask, OperationError> {
        let failed = |source| VolumeError::Read {
            name: name.to_owned(),
            source,
        };
        let size = MaskSize::of_file(files, name, limits)?;
        let identity = files.identity().map_err(failed)?;
        Ok(UnreadMask { size, identity })
    }

    /// From its header.
    pub fn size(&self) -> MaskSize {
        self.size
    }

    /// Reads the same files, opened again or not. Once the runs are counted, and before they are kept, `room` hears how large
    /// the mask turned out.
    ///
    /// # Errors
    /// As [`read_mask`](crate::read_mask); [`VolumeError::Changed`] if it is another file by now; what `room` says.
    pub fn read<E: From<OperationError>>(
        &self,
        files: impl Into<VolumeFiles>,
        name: &str,
        table: &LabelTable,
        limits: &Limits,
        cancel: &CancelToken,
        room: impl FnOnce(MaskSize) -> Result<(), E>,
    ) -> Result<Mask, E> {
        let files = files.into();
        if files.identity().ok() != Some(self.identity) {
            let name = name.to_owned();
            return Err(OperationError::from(VolumeError::Changed { name }).into());
        }
        let counted = |n_runs| room(MaskSize { n_runs, ..self.size });
        read_mask_in(files, name, table, limits, cancel, counted)
    }
}

fn product(axes: [u64; 3]) -> u64 {
    axes.into_iter().fold(1, u64::saturating_mul)
}

fn union(boxes: impl Iterator<Item = BoundingBox>) -> Option<BoundingBox> {
    boxes.reduce(|all, next| all.union(&next))
}

/// Bytes of all in run form.
pub fn run_bytes(masks: &[MaskSize]) -> u64 {
    masks
        .iter()
        .fold(0, |sum, mask| sum.saturating_add(mask.run_bytes()))
}

/// Bytes of the largest as a dense array of 16 bits.
pub fn largest_dense_bytes(masks: &[MaskSize]) -> u64 {
    masks.iter().map(MaskSize::dense_bytes).max().unwrap_or(0)
}

/// What a request holds at its peak, from the first mask that it reads to the end of its work.
///
/// `working_bytes` is what the operation says ([`MaskOperation::working_bytes`](crate::MaskOperation::working_bytes));
/// 0 where it runs elsewhere.
pub fn request_bytes(masks: &[MaskSize], working_bytes: u64) -> u64 {
    let held = run_bytes(masks);
    // The last that is read finds all others there, and is in run form twice for a moment.
    let reading = masks.iter().map(|mask| mask.reading_bytes.max(mask.run_bytes()));
    let most = reading.max().unwrap_or(0).max(working_bytes);
    held.saturating_add(most).saturating_add(WRITING_BYTES)
}

/// What writing a mask to a file takes beside the mask.
pub fn writing_bytes(mask: &MaskSize) -> u64 {
    mask.dense_bytes().saturating_add(WRITING_BYTES)
}

#[cfg(test)]
mod tests {
    use nephrite_mask_codec::{LabelTable, Run, RunMaskBuilder};
    use nephrite_types::{Affine, Shape3, Spacing};

    use super::*;

    /// One voxel at (z, y, x) = (5, 0, 40) of a grid with steps of 3, 1 and 0.5 mm.
    fn one_voxel() -> Mask {
        let spacing = Spacing::new([3.0, 1.0, 0.5]).unwrap();
        let geometry = Geometry {
            shape: Shape3::new([100, 80, 60]).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        };
        let mut runs = RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
        runs.skip_to_row(5 * 80).unwrap();
        runs.push_row([Run {
            start: 40,
            end: 41,
            label: 1,
        }])
        .unwrap();
        runs.skip_to_row(100 * 80).unwrap();
        Mask::new(runs.finish().unwrap(), LabelTable::numbered([1])).unwrap()
    }

    #[test]
    fn what_lies_near_the_labels_is_their_box_grown_within_the_grid() {
        let size = MaskSize::of(&one_voxel());
        assert_eq!((size.n_runs, size.labelled), (1, [1; 3]));
        // 2 planes, 5 rows and 9 voxels on each side, rounding included
        assert_eq!(size.dense_bytes_within(4.0), 2 * 5 * 11 * 19);
        assert_eq!(size.dense_bytes_within(1e9), size.dense_bytes());
        assert_eq!(size.dense_bytes(), 2 * 100 * 80 * 60);
        assert_eq!(size.run_bytes(), 4 * (100 * 80 + 1) + 12);
    }

    #[test]
    fn a_message_tells_what_the_mask_in_it_is() {
        let mask = one_voxel();
        let told = MaskSize::of_encoded(&EncodedMask::encode(&mask).unwrap());
        let known = MaskSize::of(&mask);
        assert!(told.n_runs >= known.n_runs);
        let told = MaskSize {
            n_runs: known.n_runs,
            ..told
        };
        assert_eq!(told, known);
    }

    #[test]
    fn a_request_counts_all_masks_and_the_largest_moment() {
        let of = |n_runs, reading_bytes| MaskSize {
            n_runs,
            reading_bytes,
            ..MaskSize::of(&one_voxel())
        };
        let (small, file) = (of(10, 0), of(20, 1_000_000));
        let held = small.run_bytes() + file.run_bytes();
        assert_eq!(request_bytes(&[small, file], 5), held + 1_000_000 + WRITING_BYTES);
        assert_eq!(
            request_bytes(&[small, file], 2_000_000),
            held + 2_000_000 + WRITING_BYTES
        );
        assert_eq!(writing_bytes(&small), small.dense_bytes() + WRITING_BYTES);
    }
}
