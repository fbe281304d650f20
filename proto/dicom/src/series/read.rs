//! Voxels of a series: files are read and decoded beside each other, each once.

use cap_std::fs::Dir;
use ndarray::{Array3, ArrayViewMut2, Axis, Ix3};
use nephrite_types::memory::{self, Zeroable};
use nephrite_types::{CancelToken, Limits, VoxelType, Voxels};
use nephrite_volume::{FileHash, Reader, Scan, VolumeError};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::folder::open;
use super::model::{Plan, PlannedSlice, PlannedTilt, Series, SeriesFile};
use super::source::{Source, hash_listed};
use crate::error::DicomError;
use crate::file_error::FileFault;
use crate::limits::DicomLimits;
use crate::series_fault::{DuplicatePixels, SeriesFault};

/// A series as a scan.
#[derive(Debug, Clone)]
pub struct DicomScan {
    /// As a reader of nnU-Net would have the NIfTI file of it; `bytes_read` are those of the files.
    pub scan: Scan,
    /// Of all files of the series, see [`hash_series`].
    pub hash: FileHash,
}

/// Reads a series that [`list`](super::list) found in `dir`, as `reader` of nnU-Net would read the NIfTI file that dcm2niix
/// writes of it.
///
/// Voxels are stored values, 16-bit integers, with one scale, or f32 intensities where slices differ in scale or sign.
///
/// # Errors
/// [`DicomError::Series`] if it is not read; [`DicomError::File`] for a file that changed since it was listed, or whose
/// pixels are not what its header says; [`DicomError::Volume`] over `limits`.
pub fn read(
    dir: &Dir,
    series: &Series,
    reader: Reader,
    limits: &Limits,
    dicom_limits: &DicomLimits,
    cancel: &CancelToken,
) -> Result<DicomScan, DicomError> {
    let plan = series.plan()?;
    check_limits(series, plan, limits)?;
    let context = Context {
        dir,
        series,
        plan,
        limits: dicom_limits,
        cancel,
    };
    if let Some((pixels, files)) = context.compare_twice(DuplicatePixels::Different)? {
        let n = plan.twice.len();
        return Err(series.error(SeriesFault::DuplicatePosition { n, pixels, files }));
    }
    let (voxels, hashes) = match (plan.voxel_type, plan.tilt) {
        (VoxelType::I16, _) => {
            let (array, hashes) = context.array(|plane, image| copy(plane, image, |value| value as i16))?;
            (Voxels::I16(array), hashes)
        }
        (VoxelType::U16, _) => {
            let (array, hashes) = context.array(|plane, image| copy(plane, image, |value| value as u16))?;
            (Voxels::U16(array), hashes)
        }
        (_, None) => {
            let (array, hashes) = context.array(|plane, image| {
                copy(plane, image, |value| image.slice.scale.apply(value));
            })?;
            (Voxels::F32(array), hashes)
        }
        (_, Some(tilt)) => {
            let (array, hashes) = context.array(|plane, image| straighten(plane, image, tilt))?;
            (Voxels::F32(array), hashes)
        }
    };
    let hash = joined(&hashes);
    let scan = Scan::of_grid(
        voxels,
        &plan.geometry,
        plan.scale,
        reader,
        limits,
        &series.summary.id,
    )?;
    Ok(DicomScan {
        scan: Scan {
            bytes_read: hash.bytes,
            ..scan
        },
        hash,
    })
}

/// Whether the images of a series that lie where others lie show the same; one that cannot be decoded leaves it open.
pub(super) fn duplicate_pixels(
    dir: &Dir,
    series: &Series,
    limits: &DicomLimits,
    cancel: &CancelToken,
) -> Result<DuplicatePixels, DicomError> {
    let Ok(plan) = &series.plan else {
        return Ok(DuplicatePixels::Unread);
    };
    let context = Context {
        dir,
        series,
        plan,
        limits,
        cancel,
    };
    match context.compare_twice(DuplicatePixels::Different) {
        Ok(Some((pixels, _))) => Ok(pixels),
        Ok(None) => Ok(DuplicatePixels::Same),
        Err(stopped @ DicomError::Cancelled(_)) => Err(stopped),
        Err(_) => Ok(DuplicatePixels::Unread),
    }
}

/// What the files of a series hold: SHA-256 over `SOPInstanceUID SHA-256-of-the-file` lines, sorted, and the bytes of all.
/// Files that moved keep it; files that changed do not.
///
/// # Errors
/// [`DicomError::File`], [`DicomError::Cancelled`]
pub fn hash_series(dir: &Dir, series: &Series, cancel: &CancelToken) -> Result<FileHash, DicomError> {
    let hash = |file: &SeriesFile| -> Result<(String, FileHash), DicomError> {
        cancel.check()?;
        let open = open(dir, &file.path)?;
        let hash = hash_listed(&open, &file.name, cancel)?;
        Ok((file.sop_instance.clone(), hash))
    };
    let hashes = series
        .files
        .par_iter()
        .map(hash)
        .collect::<Result<Vec<_>, DicomError>>()?;
    Ok(joined(&hashes))
}

fn joined(hashes: &[(String, FileHash)]) -> FileHash {
    let mut lines: Vec<String> = hashes
        .iter()
        .map(|(uid, hash)| format!("{uid} {hash}\n"))
        .collect();
    lines.sort();
    let mut all = Sha256::new();
    for line in &lines {
        all.update(line);
    }
    FileHash {
        sha256: all.finalize().into(),
        bytes: hashes.iter().map(|(_, hash)| hash.bytes).sum(),
    }
}

/// Before memory is taken.
fn check_limits(series: &Series, plan: &Plan, limits: &Limits) -> Result<(), VolumeError> {
    let name = series.summary.id.clone();
    let voxels = plan.geometry.shape.n_voxels() as u64;
    let bytes = voxels.saturating_mul(plan.voxel_type.n_bytes() as u64);
    if voxels > limits.max_voxels {
        return Err(VolumeError::TooManyVoxels {
            name,
            found: voxels,
            limit: limits.max_voxels,
        });
    }
    if bytes > limits.max_payload_bytes {
        return Err(VolumeError::TooManyBytes {
            name,
            found: bytes,
            limit: limits.max_payload_bytes,
        });
    }
    Ok(())
}

/// An image and its stored values, row by row.
struct Image<'a> {
    values: &'a [i32],
    slice: &'a PlannedSlice,
    /// Counted from 0 along the normal.
    rank: usize,
}

/// Row by row as it is.
fn copy<T>(mut plane: ArrayViewMut2<'_, T>, image: &Image<'_>, voxel: impl Fn(i32) -> T) {
    let rows = image.values.chunks_exact(image.slice.source.columns as usize);
    for (mut row, values) in plane.rows_mut().into_iter().zip(rows) {
        for (to, &value) in row.iter_mut().zip(values) {
            *to = voxel(value);
        }
    }
}

/// Rows that the tilt of the gantry shifted, back at their place: intensities between two rows, linear.
fn straighten(mut plane: ArrayViewMut2<'_, f32>, image: &Image<'_>, tilt: PlannedTilt) {
    let columns = image.slice.source.columns as usize;
    let rows: Vec<&[i32]> = image.values.chunks_exact(columns).collect();
    let scale = image.slice.scale;
    for (index, mut row) in plane.rows_mut().into_iter().enumerate() {
        let at = index as f64 - tilt.rows_before - tilt.by * image.rank as f64;
        let (low, part) = (at.floor(), (at - at.floor()) as f32);
        // A row that is met up to rounding needs no neighbor.
        let (low, part) = if part > 0.999 {
            (low + 1.0, 0.0)
        } else {
            (low, part)
        };
        let part = if part < 0.001 { 0.0 } else { part };
        let get = |row: f64| (row >= 0.0).then(|| rows.get(row as usize)).flatten();
        match (get(low), get(low + 1.0)) {
            (Some(below), Some(above)) => {
                for (to, (&a, &b)) in row.iter_mut().zip(below.iter().zip(*above)) {
                    *to = scale.apply(a) * (1.0 - part) + scale.apply(b) * part;
                }
            }
            (Some(only), None) if part == 0.0 => {
                row.iter_mut()
                    .zip(*only)
                    .for_each(|(to, &a)| *to = scale.apply(a));
            }
            _ => row.fill(tilt.fill),
        }
    }
}

/// SOPInstanceUID and hash of each file.
type Hashes = Vec<(String, FileHash)>;

/// Decodes a frame, counted from 1.
type Decode<'a> = &'a (dyn Fn(u32) -> Result<Vec<i32>, FileFault> + Sync);

/// A slice of the array, and the image that it is filled with.
type Filled<'a, T> = (ArrayViewMut2<'a, T>, usize, &'a PlannedSlice);

struct Context<'a> {
    dir: &'a Dir,
    series: &'a Series,
    plan: &'a Plan,
    limits: &'a DicomLimits,
    cancel: &'a CancelToken,
}

impl Context<'_> {
    /// The array `[z, y, x]`, and the hash of each file.
    fn array<T: Zeroable + Send + Sync>(
        &self,
        write: impl Fn(ArrayViewMut2<'_, T>, &Image<'_>) + Sync,
    ) -> Result<(Array3<T>, Hashes), DicomError> {
        let [z, y, x] = self.plan.geometry.shape.zyx();
        let mut array = memory::zeroed_array(Ix3(z, y, x), "a scan")?;
        let mut of_file: Vec<Vec<Filled<'_, T>>> = self.series.files.iter().map(|_| Vec::new()).collect();
        let mut slices = self.plan.axes.source_view(array.view_mut());
        for (rank, (plane, slice)) in slices.axis_iter_mut(Axis(0)).zip(&self.plan.slices).enumerate() {
            of_file[slice.file].push((plane, rank, slice));
        }
        let hashes = of_file
            .into_par_iter()
            .zip(&self.series.files)
            .map(|(planes, file)| {
                self.cancel.check()?;
                let source = Source::open(self.dir, file, self.limits)?;
                let fill = |decode: Decode<'_>| self.fill(file, decode, planes, &write);
                let hash = source.with_frames(self.cancel, fill, &file.name)?;
                Ok((file.sop_instance.clone(), hash))
            })
            .collect::<Result<Vec<_>, DicomError>>()?;
        Ok((array, hashes))
    }

    fn fill<T: Send>(
        &self,
        file: &SeriesFile,
        decode: Decode<'_>,
        planes: Vec<Filled<'_, T>>,
        write: &(impl Fn(ArrayViewMut2<'_, T>, &Image<'_>) + Sync),
    ) -> Result<(), DicomError> {
        let failed = |fault: FileFault| DicomError::from(fault.of(&file.name));
        planes.into_par_iter().try_for_each(|(plane, rank, slice)| {
            self.cancel.check()?;
            let values = decode(slice.frame).map_err(failed)?;
            let expected = u64::from(slice.source.rows) * u64::from(slice.source.columns);
            if values.len() as u64 != expected {
                let found = values.len() as u64;
                return Err(failed(FileFault::ShortPixels { found, expected }));
            }
            let image = Image {
                values: &values,
                slice,
                rank,
            };
            write(plane, &image);
            Ok(())
        })
    }

    /// The first image that lies where a slice lies and is to the slice as is asked for: the files of both.
    fn compare_twice(
        &self,
        wanted: DuplicatePixels,
    ) -> Result<Option<(DuplicatePixels, Vec<String>)>, DicomError> {
        for (image, rank) in &self.plan.twice {
            self.cancel.check()?;
            let kept = &self.plan.slices[*rank];
            let same = kept.scale == image.scale && self.values(kept)? == self.values(image)?;
            let pixels = if same {
                DuplicatePixels::Same
            } else {
                DuplicatePixels::Different
            };
            if pixels == wanted {
                let name = |slice: &PlannedSlice| self.series.files[slice.file].name.clone();
                return Ok(Some((pixels, vec![name(kept), name(image)])));
            }
        }
        Ok(None)
    }

    fn values(&self, slice: &PlannedSlice) -> Result<Vec<i32>, DicomError> {
        let file = &self.series.files[slice.file];
        let mut values = Vec::new();
        let read = |decode: Decode<'_>| {
            values = decode(slice.frame).map_err(|fault| fault.of(&file.name))?;
            Ok(())
        };
        Source::open(self.dir, file, self.limits)?.with_frames(self.cancel, read, &file.name)?;
        Ok(values)
    }
}
