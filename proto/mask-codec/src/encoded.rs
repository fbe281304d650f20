//! The mask as it travels: numbers that can be read at once around a compressed payload.

use nephrite_types::{BoundingBox, Geometry, Limits};

use crate::deflate::{deflate, inflate};
use crate::payload::{Parts, payload_of};
use crate::{CodecError, LabelEntry, LabelStatus, LabelTable, Mask, RunMask};

/// How a payload is laid out. New layouts get new names; a decoder refuses what it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MaskEncoding {
    /// Boundaries of runs along x as changes from plane to plane, raw deflate; `FORMAT.md`, version 1.
    RunsDeflate,
}

/// One label of an [`EncodedMask`]: known without inflating.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedLabel {
    /// Its value; not 0.
    pub id: u16,
    /// What it is called.
    pub name: String,
    /// What became of it.
    pub status: LabelStatus,
    /// Number of voxels.
    pub voxels: u64,
    /// The smallest box around them, `[z, y, x]`; `None` if there are none.
    pub bounding_box: Option<BoundingBox>,
}

/// A mask as it travels. All but the payload can be read as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedMask {
    /// Where the voxels lie.
    pub geometry: Geometry,
    /// What the payload covers, `[z, y, x]`; `None` if there are no labels.
    pub bounding_box: Option<BoundingBox>,
    /// Sorted by id.
    pub labels: Vec<EncodedLabel>,
    /// How the payload is laid out.
    pub encoding: MaskEncoding,
    /// Bytes of one label in the payload: 1 or 2.
    pub label_bytes: u8,
    /// Boundaries in the payload.
    pub n_runs: u64,
    /// CRC-32 (IEEE) of the inflated payload.
    pub checksum: u32,
    /// Raw deflate stream; empty if there are no labels.
    pub payload: Vec<u8>,
}

/// Of deflate: an eighth less than level 2, in three times its time. What is read at once is better encoded at level 2.
const LEVEL: u32 = 6;

impl EncodedLabel {
    /// Their volume in milliliters.
    pub fn volume_ml(&self, geometry: &Geometry) -> f64 {
        self.voxels as f64 * geometry.voxel_mm3() / 1000.0
    }
}

impl EncodedMask {
    /// # Errors
    /// [`CodecError::PlaneTooLarge`].
    pub fn encode(mask: &Mask) -> Result<EncodedMask, CodecError> {
        EncodedMask::encode_at(mask, LEVEL)
    }

    /// As [`EncodedMask::encode`], with another level of deflate (0 to 9): fewer bytes or less time.
    ///
    /// # Errors
    /// [`CodecError::PlaneTooLarge`].
    pub fn encode_at(mask: &Mask, level: u32) -> Result<EncodedMask, CodecError> {
        let runs = mask.runs();
        let mut summaries = mask.summaries().values().map(|summary| summary.bounding_box);
        let first = summaries.next();
        let bounding_box = first.map(|first| summaries.fold(first, |all, next| all.union(&next)));
        let wide = mask.summaries().keys().any(|id| *id > u16::from(u8::MAX));
        let label_bytes = if wide { 2 } else { 1 };
        let (raw, n_runs) = match &bounding_box {
            Some(bounds) => payload_of(runs, bounds, label_bytes)?,
            None => (Vec::new(), 0),
        };
        Ok(EncodedMask {
            geometry: *runs.geometry(),
            bounding_box,
            labels: encoded_labels(mask),
            encoding: MaskEncoding::RunsDeflate,
            label_bytes,
            n_runs,
            checksum: crc32fast::hash(&raw),
            payload: if bounding_box.is_some() {
                deflate(&raw, level.min(9))
            } else {
                Vec::new()
            },
        })
    }

    /// Inflates and checks everything that the message states. Nothing is allocated from a stated number before it was
    /// compared with the limits, and the payload inflates to what its runs can take, no further.
    ///
    /// # Errors
    /// [`CodecError`]
    pub fn decode(&self, limits: &Limits) -> Result<Mask, CodecError> {
        if !matches!(self.label_bytes, 1 | 2) {
            return Err(CodecError::LabelBytes {
                found: self.label_bytes.into(),
            });
        }
        let table = self.table()?;
        let runs = match &self.bounding_box {
            Some(bounds) => self.decode_box(bounds, limits)?,
            None if self.payload.is_empty() && self.n_runs == 0 => RunMask::empty(self.geometry, limits)?,
            None => {
                return Err(CodecError::PayloadSize {
                    expected: 0,
                    found: self.payload.len() as u64,
                });
            }
        };
        let mask = Mask::new(runs, table)?;
        self.check_labels(&mask)?;
        Ok(mask)
    }

    /// The label table alone.
    ///
    /// # Errors
    /// [`CodecError::Mask`]
    pub fn table(&self) -> Result<LabelTable, CodecError> {
        let entries = self.labels.iter().map(|label| LabelEntry {
            id: label.id,
            name: label.name.clone(),
            status: label.status,
        });
        Ok(LabelTable::new(entries.collect())?)
    }

    /// Runs of the decoded mask, at most: each begins at a boundary, or with its row where a label goes on from the row before.
    /// Known without inflating.
    pub fn max_runs(&self) -> u64 {
        let rows = self.bounding_box.map_or(0, |bounds| {
            let [nz, ny, _] = bounds.shape().map(|n| n as u64);
            nz.saturating_mul(ny)
        });
        self.n_runs.saturating_add(rows)
    }

    fn decode_box(&self, bounds: &BoundingBox, limits: &Limits) -> Result<RunMask, CodecError> {
        let shape = self.geometry.shape.zyx();
        let BoundingBox { start, end } = *bounds;
        if (0..3).any(|axis| start[axis] >= end[axis] || end[axis] > shape[axis]) {
            return Err(CodecError::Box { start, end, shape });
        }
        let max_runs = limits.max_mask_runs.saturating_mul(2); // each has at most two boundaries
        if self.n_runs > max_runs {
            return Err(CodecError::Mask(crate::MaskError::TooManyRuns {
                limit: max_runs,
                found: self.n_runs,
            }));
        }
        crate::run_mask::check_size(&self.geometry, limits)?;
        let n_planes = bounds.shape()[0];
        let limit = n_planes as u64 * 4
            + 2 * self.n_runs.div_ceil(8)
            + self.n_runs * (5 + u64::from(self.label_bytes));
        let raw = inflate(&self.payload, limit)?;
        let found = crc32fast::hash(&raw);
        if found != self.checksum {
            return Err(CodecError::Checksum {
                expected: self.checksum,
                found,
            });
        }
        let parts = Parts::from_bytes(&raw, n_planes, self.n_runs, self.label_bytes)?;
        drop(raw);
        parts.to_runs(&self.geometry, bounds, limits)
    }

    /// What others read without inflating must be true.
    fn check_labels(&self, mask: &Mask) -> Result<(), CodecError> {
        for label in &self.labels {
            let found = mask.summaries().get(&label.id);
            let voxels = found.map_or(0, |summary| summary.voxels);
            if voxels != label.voxels {
                return Err(CodecError::VoxelCount {
                    id: label.id,
                    stated: label.voxels,
                    found: voxels,
                });
            }
            if found.map(|summary| summary.bounding_box) != label.bounding_box {
                return Err(CodecError::StatedBox {
                    what: label.name.clone(),
                });
            }
        }
        Ok(())
    }
}

fn encoded_labels(mask: &Mask) -> Vec<EncodedLabel> {
    let entries = mask.labels().entries().iter();
    let labels = entries.map(|entry| {
        let summary = mask.summaries().get(&entry.id);
        EncodedLabel {
            id: entry.id,
            name: entry.name.clone(),
            status: entry.status,
            voxels: summary.map_or(0, |summary| summary.voxels),
            bounding_box: summary.map(|summary| summary.bounding_box),
        }
    });
    labels.collect()
}
