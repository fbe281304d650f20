//! What the header of a file says, for people.

use nephrite_types::{Affine, IntensityScale, Limits, VoxelType};

use crate::VolumeError;
use crate::file_header::{FileHeader, Format};
use crate::format::read_header;
use crate::grid::{Grid, stored_dims, voxel_type};
use crate::header::Header;
use crate::input::Input;
use crate::intensity_scale::intensity_scale;
use crate::orientation::Orientation;
use crate::reader::Reader;
use crate::source::{Source, Sources};
use crate::volume_files::VolumeFiles;
use crate::world::{FileGeometry, file_geometry, top_rows};

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

/// Reads the header of a file.
///
/// # Errors
/// As [`read_volume`](crate::read_volume) for a broken header. A 4-D file and a sheared one are described, not refused.
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
    info_of(&header, format, input.is_compressed(), limits, name)
}

/// What a header says, which was read from a file of this kind.
pub(crate) fn info_of(
    header: &Header,
    format: Format,
    compressed: bool,
    limits: &Limits,
    name: &str,
) -> Result<VolumeInfo, VolumeError> {
    let dims = stored_dims(header, name)?;
    // Axes past the third do not place voxels; without them the readers' rules hold for 4-D files too.
    let spatial = Header {
        dim: spatial_dim(header),
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
        compressed,
        big_endian: header.big_endian,
        dims,
        spacing_xyz: geometry.spacing_xyz.map(|v| v * mm),
        unit: Unit::from_xyzt(header.xyzt_units),
        voxel_type: voxel_type(header, name)?,
        scale: intensity_scale(header, Reader::SimpleItk, name)?,
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
