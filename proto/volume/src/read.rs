//! Scans as nnU-Net's readers give them.

use ndarray::{Array3, Zip};
use nephrite_types::memory::{self, OutOfMemory, Zeroable};
use nephrite_types::{CancelToken, IntensityScale, Limits, Stored, Volume, Voxels};

use crate::VolumeError;
use crate::array_geometry::array_geometry;
use crate::file_header::FileHeader;
use crate::format::read_header;
use crate::grid::Grid;
use crate::hash::FileHash;
use crate::header::{Header, without_trailing_axes};
use crate::input::Input;
use crate::intensity_scale::intensity_scale;
use crate::orientation::Orientation;
use crate::payload::{Payload, check_size, skip_to_voxels};
use crate::reader::Reader;
use crate::scan_header::ScanHeader;
use crate::source::{Source, Sources};
use crate::source_geometry::SourceGeometry;
use crate::volume_files::{VolumeFiles, hash_sources};
use crate::world::{FileGeometry, file_geometry};

/// A volume as a reader of nnU-Net gives it, and what is needed to write a mask beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Voxels `[z, y, x]` in their stored type.
    pub volume: Volume,
    /// How to write a result with the geometry of this file.
    pub source: SourceGeometry,
    /// The header, with what other readers make of it.
    pub header: ScanHeader,
    /// Taken from the files, compressed.
    pub bytes_read: u64,
}

/// Reads a scan as `reader` of nnU-Net does: NIfTI (`.nii` or `.nii.gz`, version 1 or 2, either byte order), NRRD, or MetaImage, which
/// the content tells, never the name. A file whose voxels are in another one is opened with [`VolumeFiles::open`].
///
/// The result is `[z, y, x]`, in the stored type (but for integers of 32 and 64 bits with scale factors, which ITK's
/// readers round to f32). `SimpleITKIO` takes 2-D images too, as `[1, y, x]` with a spacing of
/// 999 times the larger one along z. The readers that reorient hold the voxels twice for a moment, unless the axes
/// already run to R, A, S. `name` stands in messages only.
///
/// Every size is checked against `limits` and the size of the file before memory is asked for; of a gzip stream no more
/// is decompressed than the header promises and 1 MiB to find its end. NIfTI-2, which ITK does not read, is read by the
/// same rules. A file that somebody changes while it is read is refused.
///
/// # Errors
/// See [`VolumeError`]; the file is refused as a whole.
///
/// # Source
/// nnU-Net 2.8.1 `imageio/simpleitk_reader_writer.py` and `imageio/nibabel_reader_writer.py`, ITK 5.4, nibabel 5.4.
pub fn read_volume(
    files: impl Into<VolumeFiles>,
    name: &str,
    reader: Reader,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Scan, VolumeError> {
    files.into().read_unchanged(name, |sources| {
        read_content(sources, name, reader, Content::Intensities, limits, cancel)
    })
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// All as the reader has it.
    Intensities,
    /// Trailing axes of length 1 are dropped whatever the reader, and what is not finite stays, to be refused.
    Labels,
}

/// [`read_volume`], and what the files held, all of it: a decoder may stop before the end. They are read once. The hash is that of
/// [`hash_volume`](crate::hash_volume).
///
/// # Errors
/// As [`read_volume`].
pub fn read_volume_hashed(
    files: impl Into<VolumeFiles>,
    name: &str,
    reader: Reader,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<(Scan, FileHash), VolumeError> {
    files.into().read_unchanged(name, |sources| {
        hash_sources(sources, name, cancel, |sources| {
            read_content(sources, name, reader, Content::Intensities, limits, cancel)
        })
    })
}

/// [`read_volume`] for anything that can be read, of either content.
pub(crate) fn read_content<S: Source>(
    sources: Sources<'_, S>,
    name: &str,
    reader: Reader,
    content: Content,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Scan, VolumeError> {
    cancel.check()?;
    let size = sources.size;
    let mut input = Input::new(sources, name)?;
    let FileHeader {
        format,
        header,
        n_bytes,
        size,
        ..
    } = read_header(&mut input, size, name)?;
    let header = match content {
        Content::Intensities => header,
        Content::Labels => without_trailing_axes(header),
    };
    let grid = Grid::new(&header, reader, limits, name)?;
    let geometry = file_geometry(&header, &grid, reader, name)?;
    let scale = intensity_scale(&header, reader, name)?;
    let is_compressed = input.is_compressed();
    check_size(&grid, is_compressed, size, name)?;

    skip_to_voxels(&mut input, &grid, n_bytes, name)?;
    let payload = Payload {
        grid: &grid,
        big_endian: header.big_endian,
        // Of ITK's readers only that of NIfTI looks.
        only_finite: reader.is_itk() && content == Content::Intensities && format.nifti_version().is_some(),
        name,
        cancel,
    };
    let voxels = payload.read(&mut input)?;
    input.finish()?;
    let voxels = as_scaled(voxels, scale, reader);
    let (volume, source) = orient(voxels, scale, &header, &grid, geometry, reader, name)?;
    Ok(Scan {
        volume,
        source,
        bytes_read: input.bytes_read(),
        header: ScanHeader::new(header, is_compressed, size, limits, name),
    })
}

/// The voxels in the type, and the scale, that the reader has them in.
pub(crate) fn scaled(
    voxels: Voxels,
    header: &Header,
    reader: Reader,
    name: &str,
) -> Result<(Voxels, IntensityScale), VolumeError> {
    let scale = intensity_scale(header, reader, name)?;
    Ok((as_scaled(voxels, scale, reader), scale))
}

fn as_scaled(voxels: Voxels, scale: IntensityScale, reader: Reader) -> Voxels {
    if reader.is_itk() && !scale.is_identity() {
        wide_integers_to_f32(voxels)
    } else {
        voxels
    }
}

/// ITK rounds integers to f32 before it scales them; up to 16 bits nothing is lost, beyond 24 bits the result differs.
///
/// Source: ITK 5.4 `itkNiftiImageIO.cxx`, `Read` (`CastCopy`, then `RescaleFunction`).
fn wide_integers_to_f32(voxels: Voxels) -> Voxels {
    match voxels {
        Voxels::I32(a) => Voxels::F32(a.map(|v| v.to_f32())),
        Voxels::U32(a) => Voxels::F32(a.map(|v| v.to_f32())),
        Voxels::I64(a) => Voxels::F32(a.map(|v| v.to_f32())),
        Voxels::U64(a) => Voxels::F32(a.map(|v| v.to_f32())),
        narrow_or_real => narrow_or_real,
    }
}

/// Turns the axes where the reader does, and puts volume and source geometry together.
pub(crate) fn orient(
    voxels: Voxels,
    scale: IntensityScale,
    header: &Header,
    grid: &Grid,
    file: FileGeometry,
    reader: Reader,
    name: &str,
) -> Result<(Volume, SourceGeometry), VolumeError> {
    let (geometry, orientation) = array_geometry(header, grid, file, reader, name)?;
    let turned = orientation != Orientation::RAS;
    let voxels = if turned {
        turn(voxels, orientation)?
    } else {
        voxels
    };
    let volume = Volume {
        voxels,
        scale,
        geometry,
    };
    let source = SourceGeometry::of_file(grid, file, orientation, reader, header.xyzt_units);
    Ok((volume, source))
}

fn turn(voxels: Voxels, orientation: Orientation) -> Result<Voxels, OutOfMemory> {
    fn copy<T: Copy + Zeroable + Send + Sync>(
        file: Array3<T>,
        orientation: Orientation,
    ) -> Result<Array3<T>, OutOfMemory> {
        let view = orientation.view_to_ras(file.view());
        let mut turned = memory::zeroed_array(view.raw_dim(), "a turned scan")?;
        Zip::from(&mut turned)
            .and(view)
            .par_for_each(|to, &from| *to = from);
        Ok(turned)
    }
    use Voxels::*;
    Ok(match voxels {
        U8(a) => U8(copy(a, orientation)?),
        I8(a) => I8(copy(a, orientation)?),
        U16(a) => U16(copy(a, orientation)?),
        I16(a) => I16(copy(a, orientation)?),
        U32(a) => U32(copy(a, orientation)?),
        I32(a) => I32(copy(a, orientation)?),
        U64(a) => U64(copy(a, orientation)?),
        I64(a) => I64(copy(a, orientation)?),
        F32(a) => F32(copy(a, orientation)?),
        F64(a) => F64(copy(a, orientation)?),
    })
}
