//! MetaImage: a text header, then voxels as they are or compressed with zlib, in the same file or in another one.
//!
//! Read is what SimpleITK reads of it, as it reads it: MetaIO's rules for keys, ITK's for the place of the voxels. Where SimpleITK goes
//! on in spite of a header that cannot be right (a key twice, a size that the stream does not have, another unit than millimeters),
//! the file is refused.
//!
//! Sources: MetaIO's `metaObject.cxx` and `metaImage.cxx`, ITK 5.4 `itkMetaImageIO.cxx`. `golden/formats.json` holds what SimpleITK says.

use std::collections::BTreeMap;

use nephrite_types::VoxelType;

use crate::VolumeError;
use crate::data_file::{begin_data_file, check_data_size, is_named_compressed};
use crate::file_header::{FileHeader, Format};
use crate::foreign_header::{StatedGrid, foreign_header, stated_bytes};
use crate::header_lines::{FieldText, HeaderLines, shown};
use crate::input::{Compression, Input};
use crate::source::Source;

/// Axes that a header of NIfTI has room for; MetaIO takes 10.
const MAX_AXES: i64 = 7;

/// How far the axes may be from length 1; files are written with six digits.
const UNIT_LENGTH: f64 = 1e-4;

/// Whether a file may begin so: with the name of a key.
pub(crate) fn looks_like_meta_image(first: [u8; 4]) -> bool {
    const BEGINNINGS: [&[u8; 4]; 9] = [
        b"Obje", b"NDim", b"Comm", b"Name", b"ID =", b"Bina", b"DimS", b"Elem", b"Comp",
    ];
    BEGINNINGS.contains(&&first)
}

/// Reads the header, and begins to decompress what follows if it says so.
///
/// # Errors
/// [`VolumeError`]
pub(crate) fn read_meta_image_header<R: Source>(
    input: &mut Input<'_, R>,
    first: [u8; 4],
    size: u64,
    name: &str,
) -> Result<FileHeader, VolumeError> {
    let mut lines = HeaderLines::new(input, &first);
    let keys = Keys::read(&mut lines, name)?;
    let n_header_bytes = lines.n_bytes();
    keys.check_object_type()?;
    let data_file = keys.data_file()?;
    let (mut n_bytes, size) = match data_file {
        Some(file) => (0, begin_data_file(input, file, ".mha")?),
        None => (n_header_bytes, size),
    };
    let voxel_type = voxel_type(keys.wanted("ElementType")?)?;
    if let Some(field) = keys.get("ElementNumberOfChannels")
        && field.integer("1")? != 1
    {
        return Err(field.refused("1"));
    }
    if !keys.flag("BinaryData")?.unwrap_or(true) {
        return Err(keys
            .wanted("BinaryData")?
            .refused("True: voxels as text are not read"));
    }
    let orders = [
        keys.flag("BinaryDataByteOrderMSB")?,
        keys.flag("ElementByteOrderMSB")?,
    ];
    let big_endian = match orders {
        [Some(one), Some(other)] if one != other => {
            return Err(keys
                .wanted("ElementByteOrderMSB")?
                .refused("as BinaryDataByteOrderMSB"));
        }
        [one, other] => one.or(other).unwrap_or(false),
    };
    let grid = keys.grid()?;
    let before = keys.bytes_before(data_file.is_some())?;
    let is_compressed = keys.flag("CompressedData")?.unwrap_or(false);
    if is_compressed {
        let Before::Bytes(before) = before else {
            return Err(keys
                .wanted("HeaderSize")?
                .refused("0 or more for compressed voxels"));
        };
        n_bytes += input.skip(before)?;
        let there = size.saturating_sub(n_bytes);
        let compressed = match data_file {
            Some(_) if before == 0 && keys.states_no_compressed_size() => there,
            _ => keys.compressed_size()?,
        };
        if compressed > there {
            return Err(VolumeError::TruncatedPayload {
                name: name.to_owned(),
                expected: compressed,
                found: there,
            });
        }
        input.decompress(Compression::Zlib { n_bytes: compressed });
    } else if data_file.is_some_and(is_named_compressed) {
        return Err(keys
            .wanted("ElementDataFile")?
            .refused("CompressedData = True for such a name"));
    }
    let stated = stated_bytes(&grid.dims, voxel_type);
    let offset = match (before, stated) {
        _ if is_compressed => n_bytes,
        (Before::Bytes(before), _) => n_bytes.saturating_add(before),
        (Before::All, Some(stated)) if stated <= size.saturating_sub(n_bytes) => size - stated,
        (Before::All, _) => n_bytes, // more than the file has, which is refused when sizes are
    };
    if data_file.is_some() && !is_compressed {
        check_data_size(size, offset, stated, name)?;
    }
    let header = foreign_header(&grid, voxel_type, big_endian, offset, name, "ElementSpacing")?;
    Ok(FileHeader {
        format: Format::MetaImage,
        header,
        n_bytes,
        size,
        names: BTreeMap::new(),
    })
}

/// What the header names for its voxels, if they are in another file.
///
/// # Errors
/// As [`read_meta_image_header`], for a header that cannot be taken apart.
pub(crate) fn meta_image_data_file<R: Source>(
    input: &mut Input<'_, R>,
    first: [u8; 4],
    name: &str,
) -> Result<Option<String>, VolumeError> {
    let keys = Keys::read(&mut HeaderLines::new(input, &first), name)?;
    Ok(keys.data_file()?.map(str::to_owned))
}

/// What lies before the voxels, behind a header in the same file.
#[derive(Clone, Copy)]
enum Before {
    Bytes(u64),
    /// Whatever is there: the voxels are the last bytes.
    All,
}

/// Type of the voxels; MetaIO's long has 32 bits.
fn voxel_type(field: FieldText<'_>) -> Result<VoxelType, VolumeError> {
    Ok(match field.text {
        "MET_CHAR" => VoxelType::I8,
        "MET_UCHAR" => VoxelType::U8,
        "MET_SHORT" => VoxelType::I16,
        "MET_USHORT" => VoxelType::U16,
        "MET_INT" | "MET_LONG" => VoxelType::I32,
        "MET_UINT" | "MET_ULONG" => VoxelType::U32,
        "MET_LONG_LONG" => VoxelType::I64,
        "MET_ULONG_LONG" => VoxelType::U64,
        "MET_FLOAT" => VoxelType::F32,
        "MET_DOUBLE" => VoxelType::F64,
        _ => {
            return Err(VolumeError::VoxelType {
                name: field.name.to_owned(),
                found: shown(field.text),
            });
        }
    })
}

/// The keys that matter, each with its other names; what comes first counts for MetaIO if there are several, here there may be one.
const KEYS: [(&str, &[&str]); 19] = [
    ("ObjectType", &[]),
    ("NDims", &[]),
    ("DimSize", &[]),
    ("BinaryData", &[]),
    ("BinaryDataByteOrderMSB", &[]),
    ("ElementByteOrderMSB", &[]),
    ("CompressedData", &[]),
    ("CompressedDataSize", &[]),
    ("TransformMatrix", &["Orientation", "Rotation"]),
    ("Offset", &["Position", "Origin"]),
    ("ElementSpacing", &[]),
    ("ElementSize", &[]),
    ("ElementNumberOfChannels", &[]),
    ("ElementType", &[]),
    ("ElementDataFile", &[]),
    ("HeaderSize", &[]),
    ("DistanceUnits", &[]),
    ("CenterOfRotation", &[]),
    ("AnatomicalOrientation", &[]),
];

/// What the header says, key by key.
struct Keys<'n> {
    name: &'n str,
    values: BTreeMap<&'static str, String>,
}

impl<'n> Keys<'n> {
    /// Reads the lines up to the last one, which says where the voxels are.
    fn read<R: Source>(lines: &mut HeaderLines<'_, '_, R>, name: &'n str) -> Result<Keys<'n>, VolumeError> {
        let mut values = BTreeMap::new();
        while !values.contains_key("ElementDataFile") {
            let line = lines.wanted_or_rest()?;
            if line.trim().is_empty() {
                continue;
            }
            let Some((key, value)) = line.split_once(['=', ':']) else {
                return Err(lines.refused(&line, "Key = value"));
            };
            let (key, value) = (key.trim(), value.trim());
            let known = KEYS
                .iter()
                .find(|(known, others)| key == *known || others.contains(&key));
            if let Some((known, _)) = known
                && values.insert(*known, value.to_owned()).is_some()
            {
                return Err(lines.refused(&line, "every key once, under one of its names"));
            }
        }
        Ok(Keys { name, values })
    }

    fn get(&self, field: &'static str) -> Option<FieldText<'_>> {
        self.values.get(field).map(|text| FieldText {
            name: self.name,
            field,
            text,
        })
    }

    fn wanted(&self, field: &'static str) -> Result<FieldText<'_>, VolumeError> {
        self.get(field).ok_or_else(|| VolumeError::HeaderField {
            name: self.name.to_owned(),
            field,
            found: "not there".to_owned(),
            expected: "a value",
        })
    }

    /// True or false, as MetaIO spells them.
    fn flag(&self, field: &'static str) -> Result<Option<bool>, VolumeError> {
        let Some(field) = self.get(field) else {
            return Ok(None);
        };
        match field.text.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => Ok(Some(true)),
            "false" | "f" | "0" => Ok(Some(false)),
            _ => Err(field.refused("True or False")),
        }
    }

    /// It is an image.
    fn check_object_type(&self) -> Result<(), VolumeError> {
        match self.get("ObjectType") {
            Some(field) if !field.text.eq_ignore_ascii_case("Image") => Err(field.refused("Image")),
            _ => Ok(()),
        }
    }

    /// Where the voxels are, if not in this file.
    fn data_file(&self) -> Result<Option<&str>, VolumeError> {
        let file = self.values.get("ElementDataFile").map(String::as_str);
        match file {
            None => self.wanted("ElementDataFile").map(|_| None),
            file => Ok(file.filter(|file| !file.eq_ignore_ascii_case("LOCAL"))),
        }
    }

    /// MetaIO takes 0 for nothing, too.
    fn states_no_compressed_size(&self) -> bool {
        self.get("CompressedDataSize")
            .is_none_or(|field| field.text == "0")
    }

    fn compressed_size(&self) -> Result<u64, VolumeError> {
        let field = self.wanted("CompressedDataSize")?;
        let expected = "the bytes of the compressed voxels";
        u64::try_from(field.integer(expected)?).map_err(|_| field.refused(expected))
    }

    /// What lies before the voxels in their file. SimpleITK passes over bytes of another file only.
    fn bytes_before(&self, is_detached: bool) -> Result<Before, VolumeError> {
        let Some(field) = self.get("HeaderSize") else {
            return Ok(Before::Bytes(0));
        };
        let expected = match is_detached {
            true => "-1, 0, or the bytes before the voxels",
            false => "0 or -1 for voxels in the same file",
        };
        match field.integer(expected)? {
            -1 => Ok(Before::All),
            0 => Ok(Before::Bytes(0)),
            n if is_detached => u64::try_from(n)
                .map(Before::Bytes)
                .map_err(|_| field.refused(expected)),
            _ => Err(field.refused(expected)),
        }
    }

    fn grid(&self) -> Result<StatedGrid, VolumeError> {
        let n_dims = self.wanted("NDims")?;
        let expected = "1 to 7";
        let n = match n_dims.integer(expected)? {
            n @ 1..=MAX_AXES => n as usize,
            _ => return Err(n_dims.refused(expected)),
        };
        if let Some(field) = self.get("DistanceUnits")
            && !matches!(field.text, "mm" | "MM" | "?" | "")
        {
            return Err(field.refused("mm")); // SimpleITK does not look
        }
        let per_axis = "a number per axis";
        let mut grid = StatedGrid {
            dims: self.wanted("DimSize")?.integers(n, "a whole number per axis")?,
            spacing: [1.0; 3],
            directions: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            origin: [0.0; 3],
        };
        if let Some(field) = self.get("ElementSpacing").or_else(|| self.get("ElementSize")) {
            copy(&mut grid.spacing, &field.numbers(n, per_axis)?);
        }
        if let Some(field) = self.get("Offset") {
            copy(&mut grid.origin, &field.numbers(n, per_axis)?);
        }
        if let Some(field) = self.get("TransformMatrix") {
            let matrix = field.numbers(n * n, "a square matrix of numbers, one direction per axis")?;
            for (axis, row) in matrix.chunks_exact(n).take(3).enumerate() {
                let length = row.iter().take(3).map(|v| v * v).sum::<f64>().sqrt();
                if (length - 1.0).abs() > UNIT_LENGTH {
                    return Err(field.refused("directions of length 1"));
                }
                grid.directions[axis] = [0.0; 3];
                copy(&mut grid.directions[axis], row);
            }
        }
        Ok(grid)
    }
}

/// As many as both have.
fn copy(to: &mut [f64; 3], from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}
