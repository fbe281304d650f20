//! How many voxels of which type a header promises, and where they begin: everything that must be known before a byte
//! is allocated.

use nephrite_types::{Limits, VoxelType};

use crate::VolumeError;
use crate::header::Header;
use crate::reader::Reader;

/// More than this between header and voxels is refused; extensions are kilobytes, seldom a megabyte.
const MAX_EXTENSION_BYTES: u64 = 64 << 20;

/// Checked sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Grid {
    /// Voxels per axis as in the file; the last is 1 for a 2-D image.
    pub(crate) shape_xyz: [usize; 3],
    /// 2 or 3.
    pub(crate) n_dims: usize,
    pub(crate) voxel_type: VoxelType,
    /// Of the first voxel, from the start of the (decompressed) file.
    pub(crate) offset: u64,
    pub(crate) n_voxels: usize,
    /// Bytes of all voxels.
    pub(crate) n_bytes: u64,
}

/// The lengths of all axes, x first, trailing axes included. Those of space are at least 1; axes past the third may be 0,
/// as some writers leave what they do not use.
pub(crate) fn stored_dims(header: &Header, name: &str) -> Result<Vec<u64>, VolumeError> {
    let n_dims = match header.dim[0] {
        n @ 1..=7 => n as usize,
        n => {
            return Err(VolumeError::HeaderField {
                name: name.to_owned(),
                field: "dim[0]",
                found: n.to_string(),
                expected: "1 to 7",
            });
        }
    };
    let length = |axis: usize| match u64::try_from(header.dim[axis]) {
        Ok(length) if length > 0 || axis > 3 => Ok(length),
        _ => Err(VolumeError::EmptyAxis {
            name: name.to_owned(),
            axis,
            found: header.dim[axis],
        }),
    };
    (1..=n_dims).map(length).collect()
}

/// Type of the voxels.
pub(crate) fn voxel_type(header: &Header, name: &str) -> Result<VoxelType, VolumeError> {
    let found = match header.datatype {
        2 => return Ok(VoxelType::U8),
        4 => return Ok(VoxelType::I16),
        8 => return Ok(VoxelType::I32),
        16 => return Ok(VoxelType::F32),
        64 => return Ok(VoxelType::F64),
        256 => return Ok(VoxelType::I8),
        512 => return Ok(VoxelType::U16),
        768 => return Ok(VoxelType::U32),
        1024 => return Ok(VoxelType::I64),
        1280 => return Ok(VoxelType::U64),
        1 => "binary (one bit)".to_owned(),
        32 => "complex64".to_owned(),
        128 => "RGB24".to_owned(),
        1536 => "float128".to_owned(),
        1792 => "complex128".to_owned(),
        2048 => "complex256".to_owned(),
        2304 => "RGBA32".to_owned(),
        code => format!("code {code}"),
    };
    Err(VolumeError::VoxelType {
        name: name.to_owned(),
        found,
    })
}

/// NIfTI's code of a type.
pub(crate) fn datatype_code(voxel_type: VoxelType) -> i16 {
    match voxel_type {
        VoxelType::U8 => 2,
        VoxelType::I16 => 4,
        VoxelType::I32 => 8,
        VoxelType::F32 => 16,
        VoxelType::F64 => 64,
        VoxelType::I8 => 256,
        VoxelType::U16 => 512,
        VoxelType::U32 => 768,
        VoxelType::I64 => 1024,
        VoxelType::U64 => 1280,
    }
}

impl Grid {
    /// Checks everything about sizes that the header says.
    ///
    /// ITK drops trailing axes of length 1 or 0 beyond the third and takes 2-D images; nibabel's readers want exactly three
    /// axes.
    pub(crate) fn new(
        header: &Header,
        reader: Reader,
        limits: &Limits,
        name: &str,
    ) -> Result<Grid, VolumeError> {
        let dims = stored_dims(header, name)?;
        let n_dims = spatial_dims(&dims, header, reader, name)?;
        let voxel_type = voxel_type(header, name)?;
        let overflow = || VolumeError::DimensionsOverflow {
            name: name.to_owned(),
            dims: dims.clone(),
        };

        let n_voxels = dims[..n_dims]
            .iter()
            .try_fold(1u64, |n, &len| n.checked_mul(len))
            .ok_or_else(overflow)?;
        let n_bytes = n_voxels
            .checked_mul(voxel_type.n_bytes() as u64)
            .ok_or_else(overflow)?;
        if n_voxels > limits.max_voxels {
            return Err(VolumeError::TooManyVoxels {
                name: name.to_owned(),
                found: n_voxels,
                limit: limits.max_voxels,
            });
        }
        if n_bytes > limits.max_payload_bytes {
            return Err(VolumeError::TooManyBytes {
                name: name.to_owned(),
                found: n_bytes,
                limit: limits.max_payload_bytes,
            });
        }
        if isize::try_from(n_bytes).is_err() {
            return Err(overflow());
        }
        let length = |axis: usize| {
            dims.get(axis)
                .map_or(Ok(1), |&len| usize::try_from(len).map_err(|_| overflow()))
        };
        Ok(Grid {
            shape_xyz: [length(0)?, length(1)?, length(2)?],
            n_dims,
            voxel_type,
            offset: payload_offset(header, reader, name)?,
            n_voxels: usize::try_from(n_voxels).map_err(|_| overflow())?,
            n_bytes,
        })
    }

    /// Voxels per axis, `[z, y, x]`.
    pub(crate) fn shape_zyx(&self) -> [usize; 3] {
        let [x, y, z] = self.shape_xyz;
        [z, y, x]
    }
}

fn spatial_dims(dims: &[u64], header: &Header, reader: Reader, name: &str) -> Result<usize, VolumeError> {
    let refuse = |expected| {
        Err(VolumeError::Dimensions {
            name: name.to_owned(),
            dims: dims.to_vec(),
            reader: reader.name(),
            expected,
        })
    };
    let mut n_dims = dims.len();
    if reader.is_itk() {
        // VECTOR, SYMMATRIX, GENMATRIX: ITK makes pixels with components of these.
        if matches!(header.intent_code, 1004 | 1005 | 1007) {
            return Err(VolumeError::HeaderField {
                name: name.to_owned(),
                field: "intent_code",
                found: header.intent_code.to_string(),
                expected: "a scalar image",
            });
        }
        while n_dims > 3 && dims[n_dims - 1] <= 1 {
            n_dims -= 1;
        }
    }
    match (reader, n_dims) {
        (_, 3) | (Reader::SimpleItk, 2) => Ok(n_dims),
        (Reader::SimpleItk, _) => refuse("2 or 3"),
        _ => refuse("3"),
    }
}

/// Without a `vox_offset` the voxels of a single file follow its header and the four bytes after it. nibabel then takes the
/// header itself for voxels, so that its readers have none here.
fn payload_offset(header: &Header, reader: Reader, name: &str) -> Result<u64, VolumeError> {
    if let Some(offset) = header.data_offset {
        return Ok(offset);
    }
    let refuse = |expected| VolumeError::HeaderField {
        name: name.to_owned(),
        field: "vox_offset",
        found: header.vox_offset.to_string(),
        expected,
    };
    let min = header.version.min_vox_offset();
    let offset = match header.vox_offset {
        0.0 if reader.is_itk() => min as f64,
        offset => offset,
    };
    // Also false for NaN. After the check the conversion is exact: an integer of less than 2^53.
    if !(offset >= min as f64 && offset <= (min + MAX_EXTENSION_BYTES) as f64) {
        return Err(refuse("a place after the header, at most 64 MiB on"));
    }
    if offset.fract() != 0.0 {
        return Err(refuse("an integer"));
    }
    Ok(offset as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Version, tests::plain};

    fn check(reader: Reader, dims: &[i64], expected: Result<[usize; 3], &str>) {
        let mut header = plain(Version::Two, false);
        header.dim[0] = dims.len() as i64;
        header.dim[1..=dims.len()].copy_from_slice(dims);
        match (Grid::new(&header, reader, &Limits::default(), "t.nii"), expected) {
            (Ok(grid), Ok(shape)) => assert_eq!(grid.shape_xyz, shape, "{dims:?}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{dims:?}: {error}"),
            (found, expected) => panic!("{dims:?}: found {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn shapes_follow_the_reader() {
        check(Reader::SimpleItk, &[4, 3, 2], Ok([4, 3, 2]));
        check(Reader::SimpleItk, &[4, 3, 2, 1], Ok([4, 3, 2]));
        check(Reader::SimpleItk, &[4, 3, 2, 1, 1, 1, 1], Ok([4, 3, 2]));
        check(Reader::SimpleItk, &[4, 3, 1, 1], Ok([4, 3, 1]));
        check(Reader::SimpleItk, &[4, 3], Ok([4, 3, 1]));
        check(Reader::SimpleItk, &[4, 3, 2, 0], Ok([4, 3, 2]));
        check(Reader::SimpleItk, &[4, 3, 2, 1, 0], Ok([4, 3, 2]));
        check(Reader::SimpleItkReorient, &[4, 3, 2, 0, 0, 0, 0], Ok([4, 3, 2]));
        check(Reader::SimpleItk, &[4, 3, 2, 0, 3], Err("has 5 dimensions"));
        check(Reader::SimpleItk, &[4], Err("needs 2 or 3"));
        check(
            Reader::SimpleItk,
            &[4, 3, 2, 2],
            Err("has 4 dimensions ([4, 3, 2, 2])"),
        );
        check(Reader::SimpleItk, &[4, 3, 2, 1, 3], Err("has 5 dimensions"));
        check(Reader::SimpleItkReorient, &[4, 3], Err("needs 3"));
        check(Reader::Nibabel, &[4, 3, 2], Ok([4, 3, 2]));
        check(Reader::Nibabel, &[4, 3, 2, 1], Err("has 4 dimensions"));
        check(Reader::Nibabel, &[4, 3, 2, 0], Err("has 4 dimensions"));
        check(Reader::NibabelReorient, &[4, 3], Err("has 2 dimensions"));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        check(Reader::SimpleItk, &[4, 0, 2], Err("dim[2] is 0"));
        check(Reader::SimpleItk, &[4, 3, 0], Err("dim[3] is 0"));
        check(Reader::SimpleItk, &[4, 3, 0, 2], Err("dim[3] is 0"));
        check(Reader::SimpleItk, &[-4, 3, 2], Err("dim[1] is -4"));
        check(Reader::SimpleItk, &[4, 3, 2, -1], Err("dim[4] is -1"));
        check(Reader::SimpleItk, &[i64::MAX, 3, 2], Err("overflow"));
        check(Reader::SimpleItk, &[1 << 22, 1 << 22, 1 << 20], Err("overflow"));
        check(
            Reader::SimpleItk,
            &[1 << 20, 1 << 20, 1 << 20],
            Err("voxels, the limit is"),
        );
        check(Reader::SimpleItk, &[0; 0], Err("dim[0] is 0"));
    }

    #[test]
    fn limits_are_strict() {
        let header = plain(Version::One, false); // 24 voxels of 2 bytes
        let with = |max_voxels, max_payload_bytes| {
            let limits = Limits {
                max_voxels,
                max_payload_bytes,
                ..Limits::default()
            };
            Grid::new(&header, Reader::Nibabel, &limits, "t.nii")
        };
        assert!(with(24, 48).is_ok());
        assert!(matches!(
            with(23, 48),
            Err(VolumeError::TooManyVoxels {
                found: 24,
                limit: 23,
                ..
            })
        ));
        assert!(matches!(
            with(24, 47),
            Err(VolumeError::TooManyBytes {
                found: 48,
                limit: 47,
                ..
            })
        ));
    }

    #[test]
    fn offsets_and_types_are_checked() {
        let grid = |change: &dyn Fn(&mut Header)| {
            let mut header = plain(Version::One, false);
            change(&mut header);
            Grid::new(&header, Reader::SimpleItk, &Limits::default(), "t.nii")
        };
        for offset in [
            f64::NAN,
            f64::INFINITY,
            -352.0,
            1.0,
            348.0,
            351.0,
            352.5,
            1e9,
            1e300,
        ] {
            let error = grid(&|h| h.vox_offset = offset).unwrap_err();
            assert!(
                matches!(
                    error,
                    VolumeError::HeaderField {
                        field: "vox_offset",
                        ..
                    }
                ),
                "{offset}: {error}"
            );
        }
        assert_eq!(grid(&|h| h.vox_offset = 1000.0).unwrap().offset, 1000);
        for (version, reader, expected) in [
            (Version::One, Reader::SimpleItk, Some(352)),
            (Version::Two, Reader::SimpleItkReorient, Some(544)),
            (Version::One, Reader::Nibabel, None),
            (Version::Two, Reader::NibabelReorient, None),
        ] {
            let mut header = plain(version, false);
            header.vox_offset = 0.0;
            let grid = Grid::new(&header, reader, &Limits::default(), "t.nii");
            assert_eq!(grid.ok().map(|grid| grid.offset), expected, "{reader}");
        }
        for (code, part) in [
            (1, "binary"),
            (32, "complex64"),
            (128, "RGB24"),
            (1536, "float128"),
            (77, "code 77"),
        ] {
            let error = grid(&|h| h.datatype = code).unwrap_err();
            assert!(
                matches!(&error, VolumeError::VoxelType { found, .. } if found.contains(part)),
                "{error}"
            );
        }
        for vector in [1004, 1005, 1007] {
            assert!(grid(&|h| h.intent_code = vector).is_err());
        }
    }
}
