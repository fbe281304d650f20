//! Label maps and volumes as NIfTI, with the header that the scan's own library would write.

use std::io::{self, Write};
use std::ops::Range;

use cap_std::fs::Dir;
use flate2::Compression;
use ndarray::{ArrayView3, s};
use nephrite_types::{FileIdentity, IntensityScale, Labels, Volume, VoxelType};

use crate::VolumeError;
use crate::atomic::write_identified;
use crate::gzip::{BLOCK_BYTES, write_gzip};
use crate::source_geometry::SourceGeometry;
use crate::voxel_bytes::FileVoxel;

/// Masks are runs: half the size of level 1 for a tenth more time.
const LABEL_LEVEL: u32 = 2;
/// Intensities are noisy: level 1 saves nearly nothing, levels over 2 save nearly nothing more.
const VOLUME_LEVEL: u32 = 2;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteSummary {
    /// Size of the file.
    pub bytes: u64,
    /// Type of the stored voxels.
    pub voxel_type: VoxelType,
    /// Which file it was.
    pub file: FileIdentity,
}

/// Writes a label map beside its scan: the geometry of `source`, its axes, `.nii` or `.nii.gz` by `file_name`.
///
/// `labels` are `[z, y, x]` in the order of the volume that came with `source`. Stored as u8 if the largest label is
/// below 255, else as u16 (nnU-Net's rule). `SimpleITKIOWithReorient` of nnU-Net always stores u8 and wraps larger
/// labels; here they are stored as u16. The same labels give the same bytes on any number of threads.
///
/// # Errors
/// [`VolumeError::ShapeMismatch`], [`VolumeError::OutputName`] and those of [`write_atomically`](crate::write_atomically).
pub fn write_label_map(
    dir: &Dir,
    file_name: &str,
    labels: &Labels,
    source: &SourceGeometry,
) -> Result<WriteSummary, VolumeError> {
    let voxel_type = source.label_type(labels.max());
    write_file(
        dir,
        file_name,
        labels.shape(),
        source,
        voxel_type,
        |out, compressed| encode_labels(out, labels, source, compressed),
    )
}

/// Writes a volume in its stored type, with its scale factors.
///
/// The volume is `[z, y, x]` with the axes of `source`; its own geometry does not count, so that it can be written with
/// the geometry of the file it came from. For another grid see [`SourceGeometry::from_geometry`].
///
/// # Errors
/// As [`write_label_map`].
pub fn write_volume(
    dir: &Dir,
    file_name: &str,
    volume: &Volume,
    source: &SourceGeometry,
) -> Result<WriteSummary, VolumeError> {
    let (shape, voxel_type) = (volume.voxels.shape(), volume.voxels.voxel_type());
    write_file(dir, file_name, shape, source, voxel_type, |out, compressed| {
        encode_volume(out, volume, source, compressed)
    })
}

fn write_file(
    dir: &Dir,
    file_name: &str,
    shape: [usize; 3],
    source: &SourceGeometry,
    voxel_type: VoxelType,
    encode: impl FnOnce(&mut dyn Write, bool) -> io::Result<()>,
) -> Result<WriteSummary, VolumeError> {
    let compressed = is_compressed(file_name)?;
    if shape != source.array_shape() {
        return Err(VolumeError::ShapeMismatch {
            name: file_name.to_owned(),
            expected: source.array_shape(),
            found: shape,
        });
    }
    let (bytes, file) = write_identified(dir, file_name, |out| {
        let mut out = Counted { out, n_bytes: 0 };
        encode(&mut out, compressed)?;
        Ok(out.n_bytes)
    })?;
    Ok(WriteSummary {
        bytes,
        voxel_type,
        file,
    })
}

fn is_compressed(file_name: &str) -> Result<bool, VolumeError> {
    match file_name {
        name if name.ends_with(".nii.gz") => Ok(true),
        name if name.ends_with(".nii") => Ok(false),
        name => Err(VolumeError::OutputName {
            name: name.to_owned(),
            reason: "must end in .nii or .nii.gz",
        }),
    }
}

struct Counted<'a> {
    out: &'a mut dyn Write,
    n_bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buffer)?;
        self.n_bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The bytes of [`write_label_map`].
pub(crate) fn encode_labels(
    out: &mut dyn Write,
    labels: &Labels,
    source: &SourceGeometry,
    compressed: bool,
) -> io::Result<()> {
    let voxel_type = source.label_type(labels.max());
    let header = source.header(voxel_type, IntensityScale::IDENTITY).encode();
    let level = compressed.then(|| Compression::new(LABEL_LEVEL));
    let encode = Encode {
        header: &header,
        source,
        level,
    };
    match (labels, voxel_type) {
        (Labels::U8(array), VoxelType::U8) => encode.voxels(out, array.view(), |label| label),
        (Labels::U8(array), _) => encode.voxels(out, array.view(), u16::from),
        // `label_type` found that all fit.
        (Labels::U16(array), VoxelType::U8) => encode.voxels(out, array.view(), |label| label as u8),
        (Labels::U16(array), _) => encode.voxels(out, array.view(), |label| label),
    }
}

/// The bytes of [`write_volume`].
pub(crate) fn encode_volume(
    out: &mut dyn Write,
    volume: &Volume,
    source: &SourceGeometry,
    compressed: bool,
) -> io::Result<()> {
    let header = source.header(volume.voxels.voxel_type(), volume.scale).encode();
    let level = compressed.then(|| Compression::new(VOLUME_LEVEL));
    let encode = Encode {
        header: &header,
        source,
        level,
    };
    nephrite_types::with_voxels!(&volume.voxels, array => encode.voxels(out, array.view(), |v| v))
}

/// One file on its way out.
struct Encode<'a> {
    header: &'a [u8],
    source: &'a SourceGeometry,
    /// None for `.nii`.
    level: Option<Compression>,
}

impl Encode<'_> {
    /// Header and voxels; `array` is in the order of arrays, `stored` gives the value to be stored.
    fn voxels<T, S>(
        &self,
        out: &mut dyn Write,
        array: ArrayView3<'_, T>,
        stored: impl Fn(T) -> S + Sync,
    ) -> io::Result<()>
    where
        T: Copy + Send + Sync,
        S: FileVoxel,
    {
        let file = self.source.orientation().view_to_file(array);
        let (nz, ny, nx) = file.dim();
        let n_rows = nz * ny;
        let rows_per_block = (BLOCK_BYTES / (nx * size_of::<S>())).max(1);
        let rows_of = |block: usize| block * rows_per_block..n_rows.min((block + 1) * rows_per_block);
        let n_blocks = n_rows.div_ceil(rows_per_block);
        match self.level {
            // The header is a block of its own.
            Some(level) => write_gzip(out, n_blocks + 1, level, |i, bytes| match i.checked_sub(1) {
                None => bytes.extend_from_slice(self.header),
                Some(block) => append_rows(&file, rows_of(block), &stored, bytes),
            }),
            None => {
                out.write_all(self.header)?;
                let mut bytes = Vec::with_capacity(BLOCK_BYTES);
                for block in 0..n_blocks {
                    bytes.clear();
                    append_rows(&file, rows_of(block), &stored, &mut bytes);
                    out.write_all(&bytes)?;
                }
                Ok(())
            }
        }
    }
}

/// Appends rows of voxels along x; row `r` is `z = r / n_y`, `y = r % n_y`.
fn append_rows<T: Copy, S: FileVoxel>(
    file: &ArrayView3<'_, T>,
    rows: Range<usize>,
    stored: &impl Fn(T) -> S,
    bytes: &mut Vec<u8>,
) {
    let (_, ny, _) = file.dim();
    for row in rows {
        let line = file.slice(s![row / ny, row % ny, ..]);
        match line.as_slice() {
            // The same, without strides: a vector loop.
            Some(line) => S::append_to_bytes(line.iter().map(|&v| stored(v)), bytes),
            None => S::append_to_bytes(line.iter().map(|&v| stored(v)), bytes),
        }
    }
}
