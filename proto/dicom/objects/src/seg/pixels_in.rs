//! Pixel data of a segmentation from outside, frame by frame as runs.

use dicom_dictionary_std::tags;
use nephrite_dicom::{DicomObject, PixelCoding};

use super::bits::runs_of_ones;
use super::packbits;
use crate::ObjectError;
use crate::attributes::fault;
use crate::reslice::runs_of;

/// Shape of pixel data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PixelShape {
    pub(crate) frames: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// 1, 8 or 16.
    pub(crate) bits: usize,
}

/// Voxels `start..end` of a row have this value; 0 is left out.
pub(crate) type ValueRun = (u32, u32, u16);

/// Pixel data whose size was compared with its shape.
#[derive(Debug)]
pub(crate) enum PixelFrames<'a> {
    Native(&'a [u8]),
    Rle(Vec<&'a [u8]>),
}

impl<'a> PixelFrames<'a> {
    /// # Errors
    /// [`ObjectError::Object`] for other encodings, and for data that are too short.
    pub(crate) fn of(file: &'a DicomObject, shape: PixelShape) -> Result<PixelFrames<'a>, ObjectError> {
        let syntax = &file.header.syntax;
        match syntax.coding {
            PixelCoding::Native if !syntax.encoding.big_endian => {
                let bytes = file
                    .native_pixels()
                    .map_err(|error| fault(tags::PIXEL_DATA, error.to_string()))?;
                let n_bits = shape.frames as u128 * (shape.rows * shape.columns * shape.bits) as u128;
                let expected = n_bits.div_ceil(8);
                if (bytes.len() as u128) < expected {
                    let reason = format!("has {} bytes, its frames take {expected}", bytes.len());
                    return Err(fault(tags::PIXEL_DATA, reason));
                }
                Ok(PixelFrames::Native(bytes))
            }
            PixelCoding::Rle if shape.bits >= 8 => {
                let fragments = file
                    .fragments()
                    .map_err(|error| fault(tags::PIXEL_DATA, error.to_string()))?;
                let fragments = fragments.parts;
                if fragments.len() != shape.frames {
                    let n = fragments.len();
                    let reason = format!(
                        "has {n} fragments, expected one for each of {} frames",
                        shape.frames
                    );
                    return Err(fault(tags::PIXEL_DATA, reason));
                }
                Ok(PixelFrames::Rle(fragments))
            }
            _ => {
                let reason = format!("{} is not read with {} bits per voxel", syntax.name, shape.bits);
                Err(fault(tags::PIXEL_DATA, reason))
            }
        }
    }

    /// Runs of a frame, row by row; what `value_of` maps to 0 is left out.
    pub(crate) fn rows(
        &self,
        shape: PixelShape,
        frame: usize,
        value_of: impl Fn(u16) -> u16,
        mut visit: impl FnMut(usize, ValueRun) -> Result<(), ObjectError>,
    ) -> Result<(), ObjectError> {
        let PixelShape {
            rows, columns, bits, ..
        } = shape;
        let n = rows * columns;
        let mut visit_dense = |samples: &[u16]| {
            for (row, samples) in samples.chunks_exact(columns).enumerate() {
                let mapped: Vec<u16> = samples.iter().map(|sample| value_of(*sample)).collect();
                for run in runs_of(&mapped).filter(|run| run.label != 0) {
                    visit(row, (run.start, run.end, run.label))?;
                }
            }
            Ok(())
        };
        match self {
            PixelFrames::Native(bytes) if bits == 1 => {
                for row in 0..rows {
                    let start = frame as u64 * n as u64 + (row * columns) as u64;
                    for (from, to) in runs_of_ones(bytes, start, start + columns as u64) {
                        visit(row, (from, to, 1))?;
                    }
                }
                Ok(())
            }
            PixelFrames::Native(bytes) if bits == 8 => {
                let samples: Vec<u16> = bytes[frame * n..][..n]
                    .iter()
                    .map(|byte| u16::from(*byte))
                    .collect();
                visit_dense(&samples)
            }
            PixelFrames::Native(bytes) => {
                let (pairs, _) = bytes[2 * frame * n..][..2 * n].as_chunks::<2>();
                let samples: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
                visit_dense(&samples)
            }
            PixelFrames::Rle(fragments) => {
                let samples = packbits::decode(fragments[frame], n, bits / 8)
                    .map_err(|error| fault(tags::PIXEL_DATA, format!("frame {}: {error}", frame + 1)))?;
                visit_dense(&samples)
            }
        }
    }
}
