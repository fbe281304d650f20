//! Label maps and volumes as NIfTI, NRRD, or MetaImage, with the header that the scan's own library would write.

use std::io::{self, Write};
use std::ops::Range;

use cap_std::fs::Dir;
use flate2::Compression;
use ndarray::{ArrayView3, s};
use nephrite_types::{IntensityScale, Labels, Volume, VoxelType, Voxels, data_file_of};

use crate::VolumeError;
use crate::atomic::{LateBytes, write_with_late_bytes};
use crate::atomic_pair::write_pair;
use crate::format::OutputFormat;
use crate::gzip::{BLOCK_BYTES, write_gzip, write_zlib};
use crate::source_geometry::SourceGeometry;
use crate::text_headers::{meta_image_header, meta_image_size, nrrd_header};
use crate::volume_files::VolumeIdentity;
use crate::voxel_bytes::FileVoxel;

/// Masks are runs: half the size of level 1 for a tenth more time.
const LABEL_LEVEL: u32 = 2;
/// Intensities are noisy: level 1 saves nearly nothing, levels over 2 save nearly nothing more.
const VOLUME_LEVEL: u32 = 2;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteSummary {
    /// Size of all files.
    pub bytes: u64,
    /// Type of the stored voxels.
    pub voxel_type: VoxelType,
    /// Which files they were.
    pub files: VolumeIdentity,
}

/// Writes a label map beside its scan: the geometry of `source`, its axes, in the format that `file_name` ends in
/// ([`VOLUME_ENDINGS`](nephrite_types::VOLUME_ENDINGS)); NRRD and MetaImage are compressed. Beside a header alone (`.nhdr`, `.mhd`) its
/// voxels get a file of their own, [`data_file_of`](nephrite_types::data_file_of); that appears first, and the header only beside it.
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
        |out, target| encode_labels(out, labels, source, target),
    )
}

/// Writes a volume in its stored type, with its scale factors; NRRD and MetaImage have none, so that intensities are stored
/// (float32, float64 for float64) where there are some.
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
    let voxel_type = stored_type(volume, OutputFormat::of_name(file_name)?);
    write_file(
        dir,
        file_name,
        volume.voxels.shape(),
        source,
        voxel_type,
        |out, target| encode_volume(out, volume, source, target),
    )
}

fn write_file(
    dir: &Dir,
    file_name: &str,
    shape: [usize; 3],
    source: &SourceGeometry,
    voxel_type: VoxelType,
    encode: impl FnOnce(&mut dyn Write, Target<'_>) -> io::Result<Rest>,
) -> Result<WriteSummary, VolumeError> {
    let format = OutputFormat::of_name(file_name)?;
    if shape != source.array_shape() {
        return Err(VolumeError::ShapeMismatch {
            name: file_name.to_owned(),
            expected: source.array_shape(),
            found: shape,
        });
    }
    let files = match data_file_of(file_name) {
        None => {
            let target = Target::one(format);
            let ((), header) =
                write_with_late_bytes(dir, file_name, |out| Ok(((), encode(out, target)?.late())))?;
            VolumeIdentity { header, data: None }
        }
        Some(data_file) => {
            let target = Target {
                format,
                data_file: Some(&data_file),
            };
            let pair = write_pair(
                dir,
                file_name,
                &data_file,
                |out| Ok(encode(out, target)?.header()),
            )?;
            VolumeIdentity {
                header: pair.header,
                data: Some(pair.data),
            }
        }
    };
    Ok(WriteSummary {
        bytes: files.files().map(|file| file.size).sum(),
        voxel_type,
        files,
    })
}

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) format: OutputFormat,
    /// Of a pair: the name of the file that holds the voxels, which is what is written first.
    pub(crate) data_file: Option<&'a str>,
}

impl Target<'static> {
    /// One file of header and voxels.
    pub(crate) fn one(format: OutputFormat) -> Self {
        Target {
            format,
            data_file: None,
        }
    }
}

/// What is left to be written once all voxels are.
#[derive(Debug)]
pub(crate) enum Rest {
    Nothing,
    /// Bytes of the file.
    Late(LateBytes),
    /// The header, into a file of its own.
    Header(String),
}

impl Rest {
    fn late(self) -> Option<LateBytes> {
        match self {
            Rest::Late(late) => Some(late),
            Rest::Nothing | Rest::Header(_) => None,
        }
    }

    fn header(self) -> String {
        match self {
            Rest::Header(text) => text,
            Rest::Nothing | Rest::Late(_) => {
                unreachable!("only a pair is written with a name for its data file")
            }
        }
    }
}

/// The bytes of [`write_label_map`], but for those that are filled in at the end.
pub(crate) fn encode_labels(
    out: &mut dyn Write,
    labels: &Labels,
    source: &SourceGeometry,
    target: Target<'_>,
) -> io::Result<Rest> {
    let voxel_type = source.label_type(labels.max());
    let encode = Encode {
        target,
        source,
        voxel_type,
        scale: IntensityScale::IDENTITY,
        level: LABEL_LEVEL,
    };
    match (labels, voxel_type) {
        (Labels::U8(array), VoxelType::U8) => encode.voxels(out, array.view(), |label| label),
        (Labels::U8(array), _) => encode.voxels(out, array.view(), u16::from),
        // `label_type` found that all fit.
        (Labels::U16(array), VoxelType::U8) => encode.voxels(out, array.view(), |label| label as u8),
        (Labels::U16(array), _) => encode.voxels(out, array.view(), |label| label),
    }
}

/// What a volume is stored as: NRRD and MetaImage have no scale factors, so what has some becomes intensities.
fn stored_type(volume: &Volume, format: OutputFormat) -> VoxelType {
    match (format, volume.voxels.voxel_type()) {
        (OutputFormat::Nifti { .. }, stored) => stored,
        (_, stored) if volume.scale.is_identity() => stored,
        (_, VoxelType::F64) => VoxelType::F64,
        _ => VoxelType::F32,
    }
}

/// The bytes of [`write_volume`], but for those that are filled in at the end.
pub(crate) fn encode_volume(
    out: &mut dyn Write,
    volume: &Volume,
    source: &SourceGeometry,
    target: Target<'_>,
) -> io::Result<Rest> {
    let (voxel_type, scale) = (stored_type(volume, target.format), volume.scale);
    let encode = Encode {
        target,
        source,
        voxel_type,
        scale,
        level: VOLUME_LEVEL,
    };
    let is_scaled =
        voxel_type != volume.voxels.voxel_type() || voxel_type == VoxelType::F64 && !scale.is_identity();
    if matches!(target.format, OutputFormat::Nifti { .. }) || !is_scaled {
        return nephrite_types::with_voxels!(&volume.voxels, array => encode.voxels(out, array.view(), |v| v));
    }
    match &volume.voxels {
        Voxels::F64(array) => encode.voxels(out, array.view(), |v| v * scale.slope + scale.inter),
        voxels => {
            nephrite_types::with_voxels!(voxels, array => encode.voxels(out, array.view(), |v| scale.apply(v)))
        }
    }
}

/// One file on its way out.
struct Encode<'a> {
    target: Target<'a>,
    source: &'a SourceGeometry,
    voxel_type: VoxelType,
    /// Goes into the header of NIfTI.
    scale: IntensityScale,
    level: u32,
}

impl Encode<'_> {
    /// Header and voxels; `array` is in the order of arrays, `stored` gives the value to be stored.
    fn voxels<T, S>(
        &self,
        out: &mut dyn Write,
        array: ArrayView3<'_, T>,
        stored: impl Fn(T) -> S + Sync,
    ) -> io::Result<Rest>
    where
        T: Copy + Send + Sync,
        S: FileVoxel,
    {
        let file = self.source.orientation().view_to_file(array);
        let (nz, ny, nx) = file.dim();
        let n_rows = nz * ny;
        let rows_per_block = (BLOCK_BYTES / (nx * size_of::<S>())).max(1);
        let n_blocks = n_rows.div_ceil(rows_per_block);
        let append = |block: usize, bytes: &mut Vec<u8>| {
            let rows = block * rows_per_block..n_rows.min((block + 1) * rows_per_block);
            append_rows(&file, rows, &stored, bytes);
        };
        let level = Compression::new(self.level);
        let data_file = self.target.data_file;
        match self.target.format {
            OutputFormat::Nifti { compressed } => {
                let header = self.source.header(self.voxel_type, self.scale).encode();
                if compressed {
                    // The header is a block of its own.
                    write_gzip(out, n_blocks + 1, level, |i, bytes| match i.checked_sub(1) {
                        None => bytes.extend_from_slice(&header),
                        Some(block) => append(block, bytes),
                    })?;
                } else {
                    out.write_all(&header)?;
                    let mut bytes = Vec::with_capacity(BLOCK_BYTES);
                    for block in 0..n_blocks {
                        bytes.clear();
                        append(block, &mut bytes);
                        out.write_all(&bytes)?;
                    }
                }
                Ok(Rest::Nothing)
            }
            OutputFormat::Nrrd => {
                out.write_all(nrrd_header(self.source, self.voxel_type, None).as_bytes())?;
                write_gzip(out, n_blocks, level, append)?;
                Ok(Rest::Nothing)
            }
            OutputFormat::NrrdPair => {
                write_gzip(out, n_blocks, level, append)?;
                Ok(Rest::Header(nrrd_header(self.source, self.voxel_type, data_file)))
            }
            OutputFormat::MetaImage => {
                let header = meta_image_header(self.source, self.voxel_type, None, 0);
                out.write_all(header.text.as_bytes())?;
                let n_bytes = write_zlib(out, n_blocks, level, append)?;
                Ok(Rest::Late(LateBytes {
                    offset: header.size_at as u64,
                    bytes: meta_image_size(n_bytes).into_bytes(),
                }))
            }
            OutputFormat::MetaImagePair => {
                let n_bytes = write_zlib(out, n_blocks, level, append)?;
                let header = meta_image_header(self.source, self.voxel_type, data_file, n_bytes);
                Ok(Rest::Header(header.text))
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
