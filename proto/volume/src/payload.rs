//! The voxels of a file: whether it can hold as many as its header promises, and how they are read.

use std::io::Read;
use std::sync::mpsc;

use ndarray::Array3;
use nephrite_types::{CancelToken, VoxelType, Voxels};

use crate::VolumeError;
use crate::grid::Grid;
use crate::input::{Input, MAX_DEFLATE_RATIO};
use crate::voxel_bytes::FileVoxel;

/// Bytes that go from the decompressing thread to the converting one at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks under way; bounds memory and lets neither thread wait for long.
const N_CHUNKS: usize = 4;
/// What the header promises against what the file can hold, before memory is asked for.
pub(crate) fn check_size(grid: &Grid, is_compressed: bool, size: u64, name: &str) -> Result<(), VolumeError> {
    if is_compressed {
        if grid.n_bytes > size.saturating_mul(MAX_DEFLATE_RATIO) {
            return Err(VolumeError::ImpossibleCompression {
                name: name.to_owned(),
                compressed: size,
                expected: grid.n_bytes,
            });
        }
    } else if size.saturating_sub(grid.offset) < grid.n_bytes {
        return Err(VolumeError::TruncatedPayload {
            name: name.to_owned(),
            expected: grid.n_bytes,
            found: size.saturating_sub(grid.offset),
        });
    }
    Ok(())
}

/// Passes over what lies between the header and the first voxel.
pub(crate) fn skip_to_voxels<R: Read>(
    input: &mut Input<'_, R>,
    grid: &Grid,
    header_bytes: u64,
    name: &str,
) -> Result<(), VolumeError> {
    let skipped = input.skip(grid.offset - header_bytes)?;
    if skipped < grid.offset - header_bytes {
        return Err(VolumeError::TruncatedHeader {
            name: name.to_owned(),
            expected: grid.offset,
            found: header_bytes + skipped,
        });
    }
    Ok(())
}

/// The voxels of a file, still to be read.
pub(crate) struct Payload<'a> {
    pub(crate) grid: &'a Grid,
    pub(crate) big_endian: bool,
    /// NaN and infinite values become 0, as in ITK.
    pub(crate) only_finite: bool,
    pub(crate) name: &'a str,
    pub(crate) cancel: &'a CancelToken,
}

impl Payload<'_> {
    pub(crate) fn read<R: Read>(&self, input: &mut Input<'_, R>) -> Result<Voxels, VolumeError> {
        Ok(match self.grid.voxel_type {
            VoxelType::U8 => Voxels::U8(self.read_as(input)?),
            VoxelType::I8 => Voxels::I8(self.read_as(input)?),
            VoxelType::U16 => Voxels::U16(self.read_as(input)?),
            VoxelType::I16 => Voxels::I16(self.read_as(input)?),
            VoxelType::U32 => Voxels::U32(self.read_as(input)?),
            VoxelType::I32 => Voxels::I32(self.read_as(input)?),
            VoxelType::U64 => Voxels::U64(self.read_as(input)?),
            VoxelType::I64 => Voxels::I64(self.read_as(input)?),
            VoxelType::F32 => Voxels::F32(self.read_as(input)?),
            VoxelType::F64 => Voxels::F64(self.read_as(input)?),
        })
    }

    /// Decompresses here while another thread converts.
    ///
    /// The memory is reserved at once, which only claims addresses; it is written, and so taken from the machine, no
    /// faster than bytes come out of the file.
    fn read_as<T: FileVoxel, R: Read>(&self, input: &mut Input<'_, R>) -> Result<Array3<T>, VolumeError> {
        let mut voxels: Vec<T> = Vec::new();
        voxels
            .try_reserve_exact(self.grid.n_voxels)
            .map_err(|_| VolumeError::NoMemory {
                name: self.name.to_owned(),
                bytes: self.grid.n_bytes,
            })?;
        if self.grid.n_bytes <= CHUNK_BYTES as u64 {
            let mut chunk = vec![0; self.grid.n_bytes as usize];
            self.fill(input, &mut chunk, 0)?;
            T::append_from_bytes(&mut voxels, &chunk, self.big_endian, self.only_finite);
        } else {
            voxels = self.read_on_two_threads(input, voxels)?;
        }
        Ok(Array3::from_shape_vec(self.grid.shape_zyx(), voxels).expect("exactly n_voxels were read"))
    }

    fn read_on_two_threads<T: FileVoxel, R: Read>(
        &self,
        input: &mut Input<'_, R>,
        mut voxels: Vec<T>,
    ) -> Result<Vec<T>, VolumeError> {
        std::thread::scope(|scope| {
            let (full, to_convert) = mpsc::sync_channel::<Vec<u8>>(N_CHUNKS);
            let (converted, empty) = mpsc::channel::<Vec<u8>>();
            let (big_endian, only_finite) = (self.big_endian, self.only_finite);
            let converter = scope.spawn(move || {
                for chunk in to_convert {
                    T::append_from_bytes(&mut voxels, &chunk, big_endian, only_finite);
                    // Nobody waits for the last ones.
                    let _ = converted.send(chunk);
                }
                voxels
            });
            let mut done = 0;
            while done < self.grid.n_bytes {
                self.cancel.check()?;
                let mut chunk = empty.try_recv().unwrap_or_else(|_| vec![0; CHUNK_BYTES]);
                // CHUNK_BYTES and all voxels are multiples of the voxel size, so no voxel is cut.
                chunk.truncate((self.grid.n_bytes - done).min(CHUNK_BYTES as u64) as usize);
                self.fill(input, &mut chunk, done)?;
                done += chunk.len() as u64;
                full.send(chunk)
                    .expect("the converter takes chunks until the channel closes");
            }
            drop(full);
            Ok(converter.join().expect("conversion of voxels does not panic"))
        })
    }

    /// Fills `chunk`, which begins `done` bytes into the voxels.
    fn fill<R: Read>(
        &self,
        input: &mut Input<'_, R>,
        chunk: &mut [u8],
        done: u64,
    ) -> Result<(), VolumeError> {
        let n = input.read_up_to(chunk)?;
        if n < chunk.len() {
            return Err(VolumeError::TruncatedPayload {
                name: self.name.to_owned(),
                expected: self.grid.n_bytes,
                found: done + n as u64,
            });
        }
        Ok(())
    }
}
