//! Whole files, read and written: what each reader makes of a file, round trips, and files that must be refused.

mod bad_input;
mod foreign_output;
mod formats;
mod forms;
mod from_grid;
mod label_maps;
mod mutations;
mod round_trip;
mod segmentations;

use std::io::Write;

use nephrite_types::{CancelToken, Limits};

use crate::header::Header;
use crate::read::{Content, Scan, read_content};
use crate::source::{Source, Sources};
use crate::{Reader, VolumeError};

/// A file of `header` and `payload`.
fn file(header: &Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header.encode();
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One file of `size` bytes.
fn read_stream<S: Source>(
    file: S,
    size: u64,
    name: &str,
    reader: Reader,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Scan, VolumeError> {
    let sources = Sources::one(file, size);
    read_content(sources, name, reader, Content::Intensities, limits, cancel)
}

fn read_with(bytes: &[u8], reader: Reader) -> Result<Scan, VolumeError> {
    read_stream(
        bytes,
        bytes.len() as u64,
        "t.nii",
        reader,
        &Limits::default(),
        &CancelToken::new(),
    )
}

fn read(bytes: &[u8]) -> Result<Scan, VolumeError> {
    read_with(bytes, Reader::SimpleItk)
}
