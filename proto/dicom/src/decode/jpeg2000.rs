//! JPEG 2000, classic and high-throughput, by `openjp2`; sizes and sign are checked before it sees a byte.

use jpeg2k::{DecodeParameters, Image};

use super::fault::{decode_fault, same, unpanicked};
use crate::file_error::FileFault;
use crate::pixel_format::PixelFormat;

/// Start of code stream, and the size marker that must follow it.
const START: [u8; 4] = [0xff, 0x4f, 0xff, 0x51];
/// Signature box of a JP2 file, which some writers wrap code streams in.
const JP2: [u8; 8] = [0, 0, 0, 12, b'j', b'P', b' ', b' '];
/// A tile is a few hundred pixels wide; each one costs memory.
const MAX_TILES: u32 = 4096;

/// What the size marker says.
struct Size {
    columns: u32,
    rows: u32,
    tiles: u32,
    precision: u32,
    signed: bool,
}

pub(super) fn decode(stream: &[u8], format: &PixelFormat, frame: u32) -> Result<Vec<i32>, FileFault> {
    let size = size(stream).ok_or_else(|| decode_fault(frame, "it does not begin with one gray image"))?;
    same("rows", size.rows, format.rows)?;
    same("columns", size.columns, format.columns)?;
    let name = |signed| if signed { "signed" } else { "unsigned" };
    if size.signed != format.signed {
        return Err(FileFault::SignMismatch {
            stream: name(size.signed),
            header: name(format.signed),
        });
    }
    if size.precision > format.bits_allocated {
        let (stream, header) = (size.precision, format.bits_allocated);
        return Err(FileFault::StreamMismatch {
            what: "bits",
            stream,
            header,
        });
    }
    if size.tiles > MAX_TILES {
        return Err(decode_fault(frame, format!("it has {} tiles", size.tiles)));
    }
    let decoded = unpanicked(frame, || {
        Image::from_bytes_with(stream, DecodeParameters::new().strict(true))
    })?;
    let image = decoded.map_err(|error| decode_fault(frame, error.to_string()))?;
    let [component] = image.components() else {
        return Err(decode_fault(frame, "it is not gray"));
    };
    same("rows", component.height(), format.rows)?;
    same("columns", component.width(), format.columns)?;
    Ok(component
        .data()
        .iter()
        .map(|&value| format.value(value as u32))
        .collect())
}

/// The size marker of a code stream, or of the one in a JP2 file: one component, no offsets, no subsampling.
fn size(stream: &[u8]) -> Option<Size> {
    let start = if stream.starts_with(&JP2) {
        stream.windows(START.len()).position(|window| window == START)?
    } else {
        0
    };
    let marker = stream.get(start..start + 47)?;
    if !marker.starts_with(&START) {
        return None;
    }
    let number = |at: usize| u32::from_be_bytes([marker[at], marker[at + 1], marker[at + 2], marker[at + 3]]);
    let [columns, rows, x0, y0, tile_columns, tile_rows, tile_x0, tile_y0] =
        [8, 12, 16, 20, 24, 28, 32, 36].map(number);
    let n_components = u16::from_be_bytes([marker[40], marker[41]]);
    let (depth, dx, dy) = (marker[42], marker[43], marker[44]);
    let is_plain = [x0, y0, tile_x0, tile_y0] == [0; 4] && n_components == 1 && (dx, dy) == (1, 1);
    if !is_plain || tile_columns == 0 || tile_rows == 0 {
        return None;
    }
    Some(Size {
        columns,
        rows,
        tiles: columns
            .div_ceil(tile_columns)
            .saturating_mul(rows.div_ceil(tile_rows)),
        precision: u32::from(depth & 0x7f) + 1,
        signed: depth & 0x80 != 0,
    })
}
