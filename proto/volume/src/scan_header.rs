//! The header of a scan, kept so that every reader's view of the same voxels can be told from it.

use nephrite_types::{Geometry, Limits, Shape3, Spacing, VoxelType, Warning, WarningCode};

use crate::VolumeError;
use crate::array_geometry::array_geometry;
use crate::error::Form;
use crate::file_header::{FileHeader, Format};
use crate::format::read_header;
use crate::grid::{Grid, voxel_type};
use crate::header::{Header, Version};
use crate::info::{VolumeInfo, info_of};
use crate::input::Input;
use crate::orientation::Orientation;
use crate::payload::check_size;
use crate::reader::{Reader, World};
use crate::source_geometry::SourceGeometry;
use crate::volume_files::VolumeFiles;
use crate::world::{FileGeometry, file_geometry, mm_per_unit, pixdim_xyz, top_rows};

/// Lengths of one file that differ by more than this, relatively, contradict each other.
const SAME_LENGTH: f64 = 1e-3;

/// The header of a scan, and what every reader makes of it.
///
/// **Frame** is what all readers of one file share: its voxels in the order of the file, at the place that one [`World`]
/// gives them, in millimeters. A reader's array is the frame with axes permuted and flipped ([`ScanHeader::orientation`]), so
/// that masks of one file go from reader to reader by voxel, whatever the two libraries think of its place.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanHeader {
    header: Header,
    is_compressed: bool,
    /// Of the file with the voxels, bytes.
    size: u64,
    limits: Limits,
    name: String,
}

impl ScanHeader {
    /// Reads the header of a file; `name` stands in messages.
    ///
    /// # Errors
    /// See [`VolumeError`]: what is no volume. What a reader refuses is for the other functions to say.
    pub fn read(
        files: impl Into<VolumeFiles>,
        name: &str,
        limits: &Limits,
    ) -> Result<ScanHeader, VolumeError> {
        files.into().read_unchanged(name, |sources| {
            let size = sources.size;
            let mut input = Input::new(sources, name)?;
            let FileHeader { header, size, .. } = read_header(&mut input, size, name)?;
            Ok(ScanHeader::new(header, input.is_compressed(), size, limits, name))
        })
    }

    pub(crate) fn new(
        header: Header,
        is_compressed: bool,
        size: u64,
        limits: &Limits,
        name: &str,
    ) -> ScanHeader {
        ScanHeader {
            header,
            is_compressed,
            size,
            limits: limits.clone(),
            name: name.to_owned(),
        }
    }

    /// What [`inspect`](crate::inspect) would say of it, as the header of a scan of this kind.
    ///
    /// # Errors
    /// As [`inspect`](crate::inspect).
    pub fn info(&self, format: Format) -> Result<VolumeInfo, VolumeError> {
        info_of(&self.header, format, self.is_compressed, &self.limits, &self.name)
    }

    pub(crate) fn file_header(&self) -> &Header {
        &self.header
    }

    /// Of a scan that is not there yet: 16-bit integers on a straight grid. What a program says of scans like it holds for
    /// all readers alike.
    pub fn assumed(shape: Shape3, spacing: Spacing, limits: &Limits, name: &str) -> ScanHeader {
        let ([nx, ny, nz], [sx, sy, sz]) = (shape.xyz(), spacing.xyz());
        let header = Header {
            version: Version::One,
            big_endian: false,
            dim: [3, nx as i64, ny as i64, nz as i64, 1, 1, 1, 1],
            intent_code: 0,
            datatype: 4,
            pixdim: [1.0, sx, sy, sz, 1.0, 1.0, 1.0, 1.0],
            vox_offset: 352.0,
            scl_slope: 1.0,
            scl_inter: 0.0,
            xyzt_units: 2,
            qform_code: 1,
            sform_code: 1,
            quatern_bcd: [0.0; 3],
            qoffset: [0.0; 3],
            srow: [[sx, 0.0, 0.0, 0.0], [0.0, sy, 0.0, 0.0], [0.0, 0.0, sz, 0.0]],
            data_offset: None,
        };
        let size = (shape.n_voxels() as u64).saturating_mul(2).saturating_add(352);
        ScanHeader::new(header, false, size, limits, name)
    }

    /// Stored type of the voxels.
    ///
    /// # Errors
    /// [`VolumeError::VoxelType`]
    pub fn voxel_type(&self) -> Result<VoxelType, VolumeError> {
        voxel_type(&self.header, &self.name)
    }

    /// Geometry of the array that [`read_volume`](crate::read_volume) would give, `[z, y, x]` of the reader.
    ///
    /// # Errors
    /// As [`read_volume`](crate::read_volume) for what the header says.
    pub fn geometry(&self, reader: Reader) -> Result<Geometry, VolumeError> {
        Ok(self.array(reader)?.0)
    }

    /// How the axes of the file become those of the reader's array.
    ///
    /// # Errors
    /// As [`ScanHeader::geometry`].
    pub fn orientation(&self, reader: Reader) -> Result<Orientation, VolumeError> {
        Ok(self.array(reader)?.1)
    }

    fn array(&self, reader: Reader) -> Result<(Geometry, Orientation), VolumeError> {
        let (grid, file) = self.file(reader)?;
        array_geometry(&self.header, &grid, file, reader, &self.name)
    }

    fn file(&self, reader: Reader) -> Result<(Grid, FileGeometry), VolumeError> {
        let grid = Grid::new(&self.header, reader, &self.limits, &self.name)?;
        let file = file_geometry(&self.header, &grid, reader, &self.name)?;
        check_size(&grid, self.is_compressed, self.size, &self.name)?;
        Ok((grid, file))
    }

    /// The frame of the file in a world: axes as in the file, lengths in millimeters (units converted in both worlds) that
    /// are those of the affine. The axis that a 2-D image lacks has one voxel of 1 mm.
    ///
    /// # Errors
    /// As [`ScanHeader::geometry`] with the world's plain reader.
    pub fn frame(&self, world: World) -> Result<Geometry, VolumeError> {
        let (grid, file) = self.file(world.plain_reader())?;
        let broken = |source| VolumeError::Geometry {
            name: self.name.clone(),
            form: file.form,
            source,
        };
        let affine = match world {
            World::Itk => file.affine,
            World::Nibabel => {
                let unit = mm_per_unit(self.header.xyzt_units);
                nephrite_types::Affine::new(top_rows(file.affine).map(|row| row.map(|v| v * unit)))
                    .map_err(broken)?
            }
        };
        let [sx, sy, sz] = match world {
            World::Itk => file.spacing_xyz,
            World::Nibabel => affine.column_norms_xyz(),
        };
        Ok(Geometry {
            shape: Shape3::new(grid.shape_zyx()).map_err(broken)?,
            spacing: Spacing::new([sz, sy, sx]).map_err(broken)?,
            affine,
        })
    }

    /// How a mask in the order of the file is written as `reader` would write it.
    ///
    /// # Errors
    /// As [`ScanHeader::geometry`] with the plain reader of the same world.
    pub fn source(&self, reader: Reader) -> Result<SourceGeometry, VolumeError> {
        let (grid, file) = self.file(reader.world().plain_reader())?;
        let unit = self.header.xyzt_units;
        Ok(SourceGeometry::of_file(
            &grid,
            file,
            Orientation::RAS,
            reader,
            unit,
        ))
    }

    /// How a mask in the order of the array of `reader` is written as `reader` would write it.
    ///
    /// # Errors
    /// As [`ScanHeader::geometry`].
    pub fn source_of_array(&self, reader: Reader) -> Result<SourceGeometry, VolumeError> {
        let (_, orientation) = self.array(reader)?;
        let (grid, file) = self.file(reader)?;
        let unit = self.header.xyzt_units;
        Ok(SourceGeometry::of_file(&grid, file, orientation, reader, unit))
    }

    /// What is odd about the place of the voxels in a world, though it can be told.
    ///
    /// # Errors
    /// As [`ScanHeader::frame`].
    pub fn warnings(&self, world: World) -> Result<Vec<Warning>, VolumeError> {
        let (grid, file) = self.file(world.plain_reader())?;
        let mut warnings = Vec::new();
        let mut warn = |code, message| {
            warnings.push(Warning {
                code,
                file: self.name.clone(),
                message,
            });
        };
        if file.gives_way {
            let message = "the sform is singular: the voxels are placed by the qform".to_owned();
            warn(WarningCode::SingularForm, message);
        }
        if file.form == Form::Sform {
            let pixdim = pixdim_xyz(&self.header, grid.n_dims);
            let steps: [f64; 3] = std::array::from_fn(|c| {
                let column = self
                    .header
                    .srow
                    .iter()
                    .take(grid.n_dims)
                    .map(|row| row[c] * row[c]);
                column.sum::<f64>().sqrt()
            });
            let differ = |c: &usize| (steps[*c] - pixdim[*c]).abs() > SAME_LENGTH * pixdim[*c];
            if (0..grid.n_dims).any(|c| differ(&c)) {
                let lengths = match world {
                    World::Itk => "all lengths are those of pixdim",
                    World::Nibabel => "the network sees those of pixdim, places and volumes follow the sform",
                };
                let message = format!(
                    "pixdim says voxels of {} (x, y, z), the sform {}: {lengths}",
                    text(&pixdim[..grid.n_dims]),
                    text(&steps[..grid.n_dims]),
                );
                warn(WarningCode::HeaderLengths, message);
            }
        }
        Ok(warnings)
    }
}

fn text(lengths: &[f64]) -> String {
    let lengths: Vec<String> = lengths
        .iter()
        .map(|v| {
            let text = format!("{v:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        })
        .collect();
    lengths.join(" × ")
}
