//! Scans and headers of volumes that come from elsewhere than a NIfTI file, as if they had been written to one and read.

use nephrite_types::{Geometry, IntensityScale, Limits, VoxelType, Voxels};

use crate::VolumeError;
use crate::format::read_header;
use crate::grid::Grid;
use crate::header::Header;
use crate::input::Input;
use crate::read::{Scan, orient, scaled};
use crate::reader::Reader;
use crate::scan_header::ScanHeader;
use crate::source::Sources;
use crate::source_geometry::SourceGeometry;
use crate::world::file_geometry;

/// The header of the file that [`write_volume`](crate::write_volume) would write of voxels on this grid, with the rounding
/// that it brings: NIfTI-1 has numbers of 32 bits.
fn header(
    geometry: &Geometry,
    voxel_type: VoxelType,
    scale: IntensityScale,
    name: &str,
) -> Result<Header, VolumeError> {
    let bytes = SourceGeometry::from_geometry(geometry)
        .header(voxel_type, scale)
        .encode();
    let size = bytes.len() as u64;
    Ok(read_header(&mut Input::new(Sources::one(&bytes[..], size), name)?, size, name)?.header)
}

impl ScanHeader {
    /// Of a volume that lies on `geometry` in the order of its file, `[z, y, x]`: what every reader of nnU-Net would see of
    /// the NIfTI file with it. `name` stands in messages.
    ///
    /// # Errors
    /// See [`VolumeError`]: a grid that no file can have.
    pub fn of_grid(
        geometry: &Geometry,
        voxel_type: VoxelType,
        scale: IntensityScale,
        limits: &Limits,
        name: &str,
    ) -> Result<ScanHeader, VolumeError> {
        let header = header(geometry, voxel_type, scale, name)?;
        let voxels = geometry.shape.n_voxels() as u64;
        let size = voxels
            .saturating_mul(voxel_type.n_bytes() as u64)
            .saturating_add(1 << 10);
        Ok(ScanHeader::new(header, false, size, limits, name))
    }
}

impl Scan {
    /// A scan of voxels `[z, y, x]` in the order of their file: what `reader` of nnU-Net would make of the NIfTI file with
    /// them. `bytes_read` is for the caller to fill in.
    ///
    /// # Errors
    /// As [`read_volume`](crate::read_volume).
    pub fn of_grid(
        voxels: Voxels,
        geometry: &Geometry,
        scale: IntensityScale,
        reader: Reader,
        limits: &Limits,
        name: &str,
    ) -> Result<Scan, VolumeError> {
        let header = ScanHeader::of_grid(geometry, voxels.voxel_type(), scale, limits, name)?;
        let (volume, source) = {
            let file = header.file_header();
            let grid = Grid::new(file, reader, limits, name)?;
            let place = file_geometry(file, &grid, reader, name)?;
            let (voxels, scale) = scaled(voxels, file, reader, name)?;
            orient(voxels, scale, file, &grid, place, reader, name)?
        };
        Ok(Scan {
            volume,
            source,
            header,
            bytes_read: 0,
        })
    }
}
