use std::fs::File;
use std::io::Read;
use std::sync::mpsc;

use ndarray::{Array3, Zip};
use nephrite_types::memory::{self, OutOfMemory, Zeroable};
use nephrite_types::{
    Affine, CancelToken, Geometry, IntensityScale, Limits, Shape3, Spacing, Stored, Volume, VoxelType, Voxels,
};

use crate::VolumeError;
use crate::grid::{Grid, stored_dims, voxel_type};
use crate::hash::{FileHash, Hashing};
use crate::header::{Header, MAX_HEADER_BYTES, SNIFF_BYTES, Version};
use crate::input::{Input, MAX_DEFLATE_RATIO};
use crate::label_map::without_trailing_axes;
use crate::orientation::Orientation;
use crate::reader::Reader;
use crate::scan_header::ScanHeader;
use crate::source_geometry::SourceGeometry;
use crate::unchanged::read_unchanged;
use crate::voxel_bytes::FileVoxel;
use crate::world::{FileGeometry, file_geometry, top_rows};

/// Bytes that go from the decompressing thread to the converting one at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks under way; bounds memory and lets neither thread wait for long.
const N_CHUNKS: usize = 4;
/// nnU-Net's spacing along the missing axis of a 2-D image, times the larger in-plane spacing.
const SPACING_FACTOR_2D: f64 = 999.0;

/// A volume as a reader of nnU-Net gives it, and what is needed to write a mask beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Voxels `[z, y, x]` in their stored type.
    pub volume: Volume,
    /// How to write a result with the geometry of this file.
    pub source: SourceGeometry,
    /// The header, with what other readers make of it.
    pub header: ScanHeader,
    /// Taken from the file, compressed.
    pub bytes_read: u64,
}

/// What the header of a file says.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeInfo {
    /// NIfTI-1 or NIfTI-2.
    pub version: Version,
    /// True if the file is compressed with gzip.
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
    /// Voxel `(x, y, z)` to RAS+ millimetres as `SimpleITKIO` sees it, or as `NibabelIO` does where that one refuses
    /// (shear, forms that place nothing, or not a 3-D file).
    pub affine: Affine,
    /// The way x, y, z run, in three letters: `RAS`, `LPS`, …
    pub orientation: String,
}

/// Unit of space in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Not said; counts as millimetres.
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

/// Reads a NIfTI file (`.nii` or `.nii.gz`, version 1 or 2, either byte order) as `reader` of nnU-Net does.
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
    file: File,
    name: &str,
    reader: Reader,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Scan, VolumeError> {
    read_unchanged(&file, name, |file, size| {
        read_stream(file, size, name, reader, limits, cancel)
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

/// [`read_volume`], and what the file held, all of it: a decoder may stop before the end. The file is read once.
///
/// # Errors
/// As [`read_volume`].
pub fn read_volume_hashed(
    file: File,
    name: &str,
    reader: Reader,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<(Scan, FileHash), VolumeError> {
    read_unchanged(&file, name, |file, size| {
        let mut file = Hashing::new(file);
        let scan = read_stream(&mut file, size, name, reader, limits, cancel)?;
        Ok((scan, file.finish(size, name, cancel)?))
    })
}

/// Reads the header of a NIfTI file.
///
/// # Errors
/// As [`read_volume`] for a broken header. A 4-D file and a sheared one are described, not refused.
pub fn inspect(file: File, name: &str, limits: &Limits) -> Result<VolumeInfo, VolumeError> {
    read_unchanged(&file, name, |file, _| describe(file, name, limits))
}

fn describe(file: &File, name: &str, limits: &Limits) -> Result<VolumeInfo, VolumeError> {
    let mut input = Input::new(file, name)?;
    let (header, _) = read_header(&mut input, name)?;
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
        version: header.version,
        compressed: input.is_gzip(),
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

/// [`read_volume`] for anything that can be read; `size` is that of the file.
pub(crate) fn read_stream<R: Read>(
    file: R,
    size: u64,
    name: &str,
    reader: Reader,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Scan, VolumeError> {
    read_content(file, size, name, reader, Content::Intensities, limits, cancel)
}

/// [`read_stream`] for either content.
pub(crate) fn read_content<R: Read>(
    file: R,
    size: u64,
    name: &str,
    reader: Reader,
    content: Content,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Scan, VolumeError> {
    cancel.check()?;
    let mut input = Input::new(file, name)?;
    let (header, header_bytes) = read_header(&mut input, name)?;
    let header = match content {
        Content::Intensities => header,
        Content::Labels => without_trailing_axes(header),
    };
    let grid = Grid::new(&header, reader, limits, name)?;
    let geometry = file_geometry(&header, &grid, reader, name)?;
    let scale = intensity_scale(&header, reader, name)?;
    let is_gzip = input.is_gzip();
    check_size(&grid, is_gzip, size, name)?;

    skip_to_voxels(&mut input, &grid, header_bytes, name)?;
    let payload = Payload {
        grid: &grid,
        big_endian: header.big_endian,
        only_finite: reader.is_itk() && content == Content::Intensities,
        name,
        cancel,
    };
    let voxels = payload.read(&mut input)?;
    input.finish()?;
    let voxels = if reader.is_itk() && !scale.is_identity() {
        wide_integers_to_f32(voxels)
    } else {
        voxels
    };
    let (volume, source) = orient(voxels, scale, &header, &grid, geometry, reader, name)?;
    Ok(Scan {
        volume,
        source,
        bytes_read: input.bytes_read(),
        header: ScanHeader::new(header, is_gzip, size, limits, name),
    })
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

/// The header, and how many bytes it took.
pub(crate) fn read_header<R: Read>(
    input: &mut Input<'_, R>,
    name: &str,
) -> Result<(Header, u64), VolumeError> {
    let truncated = |expected: usize, found: usize| VolumeError::TruncatedHeader {
        name: name.to_owned(),
        expected: expected as u64,
        found: found as u64,
    };
    let mut bytes = [0; MAX_HEADER_BYTES];
    let n = input.read_up_to(&mut bytes[..SNIFF_BYTES])?;
    if n < SNIFF_BYTES {
        return Err(truncated(Version::One.n_header_bytes(), n));
    }
    let sniffed = Version::sniff([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let (version, big_endian) = sniffed.ok_or_else(|| VolumeError::NotNifti {
        name: name.to_owned(),
        reason: "it does not begin with the size of a NIfTI header (348 or 540)",
    })?;
    let n_header = version.n_header_bytes();
    let n = SNIFF_BYTES + input.read_up_to(&mut bytes[SNIFF_BYTES..n_header])?;
    if n < n_header {
        return Err(truncated(n_header, n));
    }
    Ok((
        Header::parse(&bytes[..n_header], version, big_endian, name)?,
        n_header as u64,
    ))
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

/// What the header promises against what the file can hold, before memory is asked for.
pub(crate) fn check_size(grid: &Grid, is_gzip: bool, size: u64, name: &str) -> Result<(), VolumeError> {
    if is_gzip {
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

/// `scl_slope` and `scl_inter` as the reader's library takes them. ITK: a slope of 0 or none is 1, and the offset counts
/// still; what is not finite is 0. nibabel: without a usable slope neither counts.
pub(crate) fn intensity_scale(
    header: &Header,
    reader: Reader,
    name: &str,
) -> Result<IntensityScale, VolumeError> {
    let (slope, inter) = (header.scl_slope, header.scl_inter);
    if reader.is_itk() {
        let finite = |v: f64| if v.is_finite() { v } else { 0.0 };
        let slope = finite(slope);
        let slope = if slope.abs() < f64::EPSILON { 1.0 } else { slope };
        return Ok(IntensityScale {
            slope,
            inter: finite(inter),
        });
    }
    if slope == 0.0 || !slope.is_finite() {
        return Ok(IntensityScale::IDENTITY);
    }
    if !inter.is_finite() {
        return Err(VolumeError::HeaderField {
            name: name.to_owned(),
            field: "scl_inter",
            found: inter.to_string(),
            expected: "a finite number beside a valid scl_slope",
        });
    }
    Ok(IntensityScale { slope, inter })
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

/// Turns the axes where the reader does, and puts volume and source geometry together.
fn orient(
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

/// Where the voxels of the array lie, and how the file's axes become those of the array.
pub(crate) fn array_geometry(
    header: &Header,
    grid: &Grid,
    file: FileGeometry,
    reader: Reader,
    name: &str,
) -> Result<(Geometry, Orientation), VolumeError> {
    let orientation = match reader {
        Reader::SimpleItk | Reader::Nibabel => Orientation::RAS,
        Reader::SimpleItkReorient => Orientation::from_itk_direction(file.affine),
        Reader::NibabelReorient => Orientation::from_nibabel_affine(file.affine),
    };
    let broken = |source| VolumeError::Geometry {
        name: name.to_owned(),
        form: file.form,
        source,
    };
    let turned = orientation != Orientation::RAS;
    let rows = if turned {
        orientation.affine_to_ras(file.affine, grid.shape_xyz)
    } else {
        top_rows(file.affine)
    };
    // nibabel's spacing is the network's, whatever its unit; the world is in mm.
    let mm = file.mm_per_unit();
    let mut spacing = orientation.to_ras(file.spacing_xyz);
    if turned && reader == Reader::NibabelReorient {
        // nibabel writes the turned affine into the header again, and with it pixdim.
        let norms = Affine::new(rows).map_err(broken)?.column_norms_xyz();
        spacing = norms.map(|norm| match header.version {
            Version::One => f64::from(norm as f32),
            Version::Two => norm,
        });
    }
    if grid.n_dims == 2 {
        spacing[2] = SPACING_FACTOR_2D * spacing[0].max(spacing[1]);
    }
    let [sx, sy, sz] = spacing;
    let [x, y, z] = orientation.to_ras(grid.shape_xyz);
    let geometry = Geometry {
        shape: Shape3::new([z, y, x]).map_err(broken)?,
        spacing: Spacing::new([sz, sy, sx]).map_err(broken)?,
        affine: Affine::new(rows.map(|row| row.map(|v| v * mm))).map_err(broken)?,
    };
    Ok((geometry, orientation))
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
