//! What an operation on masks holds at its peak, from the sizes of its masks alone.

use std::fs::File;
use std::io::Seek;

use nephrite_mask_codec::{EncodedMask, Mask};
use nephrite_types::Limits;
use nephrite_volume::label_map_size;

use crate::OperationError;

/// Size of a mask that goes in, before its voxels are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskSize {
    /// Of its grid.
    pub n_voxels: u64,
    /// Rows along x.
    pub n_rows: u64,
    /// Runs: exact for a mask in memory or in a message. Of a file, what structures of a body have in so many voxels.
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
        let runs = mask.runs();
        MaskSize {
            n_voxels: runs.geometry().shape.n_voxels() as u64,
            n_rows: runs.n_rows() as u64,
            n_runs: runs.runs().len() as u64,
            reading_bytes: 0,
        }
    }

    /// Of a mask in a message, from what the message states.
    pub fn of_encoded(mask: &EncodedMask) -> MaskSize {
        let [nz, ny, nx] = mask.geometry.shape.zyx().map(|n| n as u64);
        MaskSize {
            n_voxels: nz.saturating_mul(ny).saturating_mul(nx),
            n_rows: nz.saturating_mul(ny),
            n_runs: mask.n_runs, // every run has a boundary of its own, at least
            reading_bytes: 0,
        }
    }

    /// Of a label map in a file, from its header; the file stands at its start afterwards.
    ///
    /// # Errors
    /// As [`read_mask`](crate::read_mask), for what a header can have wrong.
    pub fn of_file(mut file: &File, name: &str, limits: &Limits) -> Result<MaskSize, OperationError> {
        let size = label_map_size(file, name, limits)?;
        file.rewind()
            .map_err(|source| nephrite_volume::VolumeError::Read {
                name: name.to_owned(),
                source,
            })?;
        let [nz, ny, nx] = size.shape.map(|n| n as u64);
        let n_voxels = nz.saturating_mul(ny).saturating_mul(nx); // compared with the limits
        // As stored, and beside that as labels, of 8 bits if they come from 8 bits.
        let labels = size.stored_bytes.min(n_voxels.saturating_mul(2));
        Ok(MaskSize {
            n_voxels,
            n_rows: nz.saturating_mul(ny),
            n_runs: n_voxels / VOXELS_PER_RUN,
            reading_bytes: size.stored_bytes.saturating_add(labels),
        })
    }

    /// In run form.
    pub fn run_bytes(&self) -> u64 {
        let rows = self.n_rows.saturating_add(1).saturating_mul(4);
        rows.saturating_add(self.n_runs.saturating_mul(12))
    }

    /// As a dense array of 16 bits.
    pub fn dense_bytes(&self) -> u64 {
        self.n_voxels.saturating_mul(2)
    }
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

/// What a request holds at its peak, from the first mask that it reads to the last that it writes.
///
/// `working_bytes` is what the operation says ([`MaskOperation::working_bytes`](crate::MaskOperation::working_bytes));
/// 0 where it runs elsewhere. With `writes_files` the outcome's masks may go to files.
pub fn request_bytes(masks: &[MaskSize], working_bytes: u64, writes_files: bool) -> u64 {
    let held = run_bytes(masks);
    // The last that is read finds all others there, and is in run form twice for a moment.
    let reading = masks.iter().map(|mask| mask.reading_bytes.max(mask.run_bytes()));
    let writing = match writes_files {
        true => largest_dense_bytes(masks).saturating_add(held),
        false => held,
    };
    let most = reading.max().unwrap_or(0).max(working_bytes).max(writing);
    held.saturating_add(most).saturating_add(WRITING_BYTES)
}
