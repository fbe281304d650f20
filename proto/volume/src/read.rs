//! Scans as nnU-Net's readers give them, and what a header says of a file.

use ndarray::{Array3, Zip};
use nephrite_types::memory::{self, OutOfMemory, Zeroable};
use nephrite_types::{Affine, CancelToken, IntensityScale, Limits, Stored, Volume, VoxelType, Voxels};

use crate::VolumeError;
use crate::array_geometry::array_geometry;
use crate::file_header::{FileHeader, Format};
use crate::format::read_header;
use crate::grid::{Grid, stored_dims, voxel_type};
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
use crate::world::{FileGeometry, file_geometry, top_rows};

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

/// What the header of a file says.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeInfo {
    /// What the file is.
    pub format: Format,
    /// True if the file, or all but its header, is compressed.
    pub compressed: bool,
    /// True if numbers are stored most significant byte first.
    pub big_endian: bool,
    /// Voxels per axis, x first, trailing axes included.
    pub dims: Vec<u64>,
    /// `|pixdim|` of x, y, z in mm (units converted); 1 for an axis that is not there.
    pub spacing_xyz: [f64; 3],
    /// Unit of space in the file.
    pub unit: Unit,
    /// Stored type.
    pub voxel_type: VoxelType,
    /// From stored values to intensities, as `SimpleITKIO` takes it.
    pub scale: IntensityScale,
    /// Voxel `(x, y, z)` to RAS+ millimeters as `SimpleITKIO` sees it, or as `NibabelIO` does where that one refuses
    /// (shear, forms that place nothing, or not a 3-D file).
    pub affine: Affine,
    /// The way x, y, z run, in three letters: `RAS`, `LPS`, …
    pub orientation: String,
}

/// Unit of space in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Not said; counts as millimeters.
    Unknown,
    /// 1000 mm.
    Metre,
    /// As in the world.
    Millimetre,
    /// 1/1000 mm.
    Micrometre,
}

impl Unit {
    fn from_xyzt(xyzt_units: i32) -> Unit {
        match xyzt_units & 0x07 {
            1 => Unit::Metre,
            2 => Unit::Millimetre,
            3 => Unit::Micrometre,
            _ => Unit::Unknown,
        }
    }

    /// `m`, `mm`, `um` or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Unknown => "unknown",
            Unit::Metre => "m",
            Unit::Millimetre => "mm",
            Unit::Micrometre => "um",
        }
    }
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

/// Reads the header of a file.
///
/// # Errors
/// As [`read_volume`] for a broken header. A 4-D file and a sheared one are described, not refused.
pub fn inspect(
    files: impl Into<VolumeFiles>,
    name: &str,
    limits: &Limits,
) -> Result<VolumeInfo, VolumeError> {
    files
        .into()
        .read_unchanged(name, |sources| describe(sources, name, limits))
}

fn describe<S: Source>(
    sources: Sources<'_, S>,
    name: &str,
    limits: &Limits,
) -> Result<VolumeInfo, VolumeError> {
    let size = sources.size;
    let mut input = Input::new(sources, name)?;
    let FileHeader { format, header, .. } = read_header(&mut input, size, name)?;
    let dims = stored_dims(&header, name)?;
    // Axes past the third do not place voxels; without them the readers' rules hold for 4-D files too.
    let spatial = Header {
        dim: spatial_dim(&header),
        intent_code: 0,
        ..header.clone()
    };
    let geometry = |reader| -> Result<FileGeometry, VolumeError> {
        file_geometry(
            &spatial,
            &Grid::new(&spatial, reader, limits, name)?,
            reader,
            name,
        )
    };
    let geometry = match geometry(Reader::SimpleItk) {
        Err(
            error @ (VolumeError::NotOrthonormal { .. }
            | VolumeError::Dimensions { .. }
            | VolumeError::NotFinite { .. }
            | VolumeError::Geometry { .. }),
        ) => geometry(Reader::Nibabel).map_err(|_| error)?,
        other => other?,
    };
    let mm = geometry.mm_per_unit();
    let form = geometry.form;
    let broken = |source| VolumeError::Geometry {
        name: name.to_owned(),
        form,
        source,
    };
    Ok(VolumeInfo {
        format,
        compressed: input.is_compressed(),
        big_endian: header.big_endian,
        dims,
        spacing_xyz: geometry.spacing_xyz.map(|v| v * mm),
        unit: Unit::from_xyzt(header.xyzt_units),
        voxel_type: voxel_type(&header, name)?,
        scale: intensity_scale(&header, Reader::SimpleItk, name)?,
        affine: Affine::new(top_rows(geometry.affine).map(|row| row.map(|v| v * mm))).map_err(broken)?,
        orientation: Orientation::from_itk_direction(geometry.affine).code(),
    })
}

/// At most three axes, at least two.
fn spatial_dim(header: &Header) -> [i64; 8] {
    let mut dim = header.dim;
    if dim[0] > 3 {
        dim[0] = 3;
    } else if dim[0] == 1 {
        (dim[0], dim[2]) = (2, 1);
    }
    dim
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
