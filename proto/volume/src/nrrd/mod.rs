//! NRRD: a text header, then voxels as they are or compressed with gzip, in the same file or in another one.
//!
//! Read is what SimpleITK reads of it, as it reads it: teem's rules for fields and their order, ITK's for the place of the voxels.
//! Where SimpleITK goes on in spite of a header that cannot be right (a direction that is missing, numbers that are none, another
//! unit than millimeters), the file is refused.
//!
//! Sources: teem's `nrrd` format, version 5; ITK 5.4 `itkNrrdImageIO.cxx`. `golden/formats.json` holds what SimpleITK says.

mod fields;
mod place;
mod segments;

use nephrite_types::VoxelType;

use self::fields::Fields;
use self::place::{Axes, stated_grid};
use self::segments::Segments;
use crate::VolumeError;
use crate::data_file::{begin_data_file, check_data_size, is_named_compressed};
use crate::file_header::{FileHeader, Format};
use crate::foreign_header::{foreign_header, stated_bytes};
use crate::header_lines::{FieldText, HeaderLines, MAX_TEXT_HEADER_BYTES, shown};
use crate::input::{Compression, Input};
use crate::source::Source;

/// How every NRRD file begins.
pub(crate) const NRRD_MAGIC: [u8; 4] = *b"NRRD";

/// Rest of the first line, for every version that there is.
const VERSIONS: [&str; 6] = ["0001", "0002", "0003", "0004", "0005", "00.01"];

/// Bytes that may be passed over before the voxels.
const MAX_SKIP: i64 = 64 << 20;

/// Reads the header, and begins to decompress what follows if it says so.
///
/// # Errors
/// [`VolumeError`]
pub(crate) fn read_nrrd_header<R: Source>(
    input: &mut Input<'_, R>,
    first: [u8; 4],
    size: u64,
    name: &str,
) -> Result<FileHeader, VolumeError> {
    let (fields, n_header_bytes) = read_fields(input, first, name)?;
    let data_file = fields.get("data file").map(|file| file.text);
    let (mut n_bytes, size) = match data_file {
        Some(file) => (0, begin_data_file(input, file, ".nrrd")?),
        None => (n_header_bytes, size),
    };
    let segments = Segments::of(&fields)?;
    let axes = Axes::of(&fields).map_err(|error| match error {
        VolumeError::SeveralValues { n, .. } => segments.layers(n, name).unwrap_or(error),
        error => error,
    })?;
    let voxel_type = voxel_type(fields.wanted("type")?)?;
    let big_endian = big_endian(&fields, voxel_type)?;
    let compression = encoding(fields.wanted("encoding")?)?;
    if compression.is_none() && data_file.is_some_and(is_named_compressed) {
        return Err(fields
            .wanted("encoding")?
            .refused("gzip for a data file of that name"));
    }
    let grid = stated_grid(&fields, &axes)?;
    let skipped = Skipped::of(&fields)?;
    n_bytes += skip_lines(input, skipped.lines, name)?;
    if let Some(compression) = compression {
        input.decompress(compression);
    }
    let offset = match (skipped.bytes, compression) {
        (Some(bytes), _) => n_bytes + bytes,
        (None, None) => match stated_bytes(&grid.dims, voxel_type) {
            Some(stated) if stated <= size.saturating_sub(n_bytes) => size - stated,
            _ => n_bytes, // more than there is, which is refused when sizes are
        },
        (None, Some(_)) => {
            let field = fields.wanted("byte skip")?;
            return Err(field.refused("0 or more for compressed voxels"));
        }
    };
    if data_file.is_some() && compression.is_none() {
        check_data_size(size, offset, stated_bytes(&grid.dims, voxel_type), name)?;
    }
    let header = foreign_header(&grid, voxel_type, big_endian, offset, name, "space directions")?;
    Ok(FileHeader {
        format: Format::Nrrd,
        header,
        n_bytes,
        size,
        names: segments.names(),
    })
}

fn read_fields<'n, R: Source>(
    input: &mut Input<'_, R>,
    first: [u8; 4],
    name: &'n str,
) -> Result<(Fields<'n>, u64), VolumeError> {
    let mut lines = HeaderLines::new(input, &first);
    let magic = lines.wanted()?;
    if !VERSIONS.contains(&&magic[NRRD_MAGIC.len()..]) {
        return Err(lines.refused(&magic, "NRRD0001 to NRRD0005"));
    }
    let fields = Fields::read(&mut lines, name)?;
    Ok((fields, lines.n_bytes()))
}

/// What the header names for its voxels, if they are in another file.
///
/// # Errors
/// As [`read_nrrd_header`], for a header that cannot be taken apart.
pub(crate) fn nrrd_data_file<R: Source>(
    input: &mut Input<'_, R>,
    first: [u8; 4],
    name: &str,
) -> Result<Option<String>, VolumeError> {
    let (fields, _) = read_fields(input, first, name)?;
    Ok(fields.get("data file").map(|file| file.text.to_owned()))
}

/// Type of the voxels, by any of the names that teem knows it by.
fn voxel_type(field: FieldText<'_>) -> Result<VoxelType, VolumeError> {
    Ok(match field.text.trim().to_ascii_lowercase().as_str() {
        "signed char" | "int8" | "int8_t" => VoxelType::I8,
        "uchar" | "unsigned char" | "uint8" | "uint8_t" => VoxelType::U8,
        "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => VoxelType::I16,
        "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => VoxelType::U16,
        "int" | "signed int" | "int32" | "int32_t" => VoxelType::I32,
        "uint" | "unsigned int" | "uint32" | "uint32_t" => VoxelType::U32,
        "longlong"
        | "long long"
        | "long long int"
        | "signed long long"
        | "signed long long int"
        | "int64"
        | "int64_t" => VoxelType::I64,
        "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => {
            VoxelType::U64
        }
        "float" => VoxelType::F32,
        "double" => VoxelType::F64,
        _ => {
            return Err(VolumeError::VoxelType {
                name: field.name.to_owned(),
                found: shown(field.text),
            });
        }
    })
}

fn big_endian(fields: &Fields<'_>, voxel_type: VoxelType) -> Result<bool, VolumeError> {
    if fields.get("endian").is_none() && voxel_type.n_bytes() == 1 {
        return Ok(false);
    }
    let field = fields.wanted("endian")?;
    match field.text.trim().to_ascii_lowercase().as_str() {
        "little" => Ok(false),
        "big" => Ok(true),
        _ => Err(field.refused("little or big")),
    }
}

fn encoding(field: FieldText<'_>) -> Result<Option<Compression>, VolumeError> {
    match field.text.trim().to_ascii_lowercase().as_str() {
        "raw" => Ok(None),
        "gzip" | "gz" => Ok(Some(Compression::Gzip)),
        _ => Err(field.refused("raw or gzip")),
    }
}

/// What lies between header and voxels.
struct Skipped {
    lines: u64,
    /// Of the decompressed voxels; `None` if the voxels are the last bytes of the file.
    bytes: Option<u64>,
}

impl Skipped {
    fn of(fields: &Fields<'_>) -> Result<Skipped, VolumeError> {
        let number = |field: &'static str, least: i64, expected| {
            let Some(field) = fields.get(field) else {
                return Ok(0);
            };
            let number = field.integer(expected)?;
            if (least..=MAX_SKIP).contains(&number) {
                Ok(number)
            } else {
                Err(field.refused(expected))
            }
        };
        let lines = number("line skip", 0, "0 or more lines")?;
        let bytes = number("byte skip", -1, "-1, or bytes up to 64 MiB")?;
        Ok(Skipped {
            lines: lines as u64, // at least 0
            bytes: u64::try_from(bytes).ok(),
        })
    }
}

/// Passes over lines; says how many bytes they took.
fn skip_lines<R: Source>(input: &mut Input<'_, R>, n_lines: u64, name: &str) -> Result<u64, VolumeError> {
    let mut n_bytes = 0;
    let mut line = Vec::new();
    for _ in 0..n_lines {
        line.clear();
        let whole = input.read_line(&mut line, MAX_TEXT_HEADER_BYTES - n_bytes)?;
        n_bytes += line.len() as u64;
        if !whole {
            return Err(VolumeError::HeaderField {
                name: name.to_owned(),
                field: "line skip",
                found: n_lines.to_string(),
                expected: "as many lines as there are, in less than 1 MiB",
            });
        }
    }
    Ok(n_bytes)
}
