//! What the fuzz targets call; the tests replay their seeds through the same functions.

use std::io::Write;
use std::path::{Component, Path};

use nephrite_types::{CancelToken, Limits, Voxels, with_voxels};

use crate::data_file_name::data_file_name;
use crate::format::OutputFormat;
use crate::header::{Header, Version};
use crate::label_map;
use crate::read::{Content, Scan, read_content};
use crate::reader::Reader;
use crate::source::{DataSource, Sources};
use crate::voxel_bytes::FileVoxel;
use crate::write::{Rest, Target, encode_volume};

/// Small, so that a run costs little.
fn limits() -> Limits {
    Limits {
        max_voxels: 1 << 20,
        max_payload_bytes: 4 << 20,
        ..Limits::default()
    }
}

fn read(bytes: &[u8], reader: Reader) -> Option<Scan> {
    let scan = read_files(Sources::one(bytes, bytes.len() as u64), reader)?;
    assert!(scan.bytes_read <= bytes.len() as u64);
    Some(scan)
}

fn read_files(sources: Sources<'_, &[u8]>, reader: Reader) -> Option<Scan> {
    let (limits, cancel) = (limits(), CancelToken::new());
    let scan = read_content(sources, "fuzz", reader, Content::Intensities, &limits, &cancel).ok()?;
    let geometry = &scan.volume.geometry;
    assert_eq!(geometry.shape.zyx(), scan.volume.voxels.shape());
    assert_eq!(geometry.shape.zyx(), scan.source.array_shape());
    Some(scan)
}

/// Reads any bytes with every reader and as a label map: no panic, bounded memory and time, consistent shapes.
pub fn read_raw(bytes: &[u8]) {
    for reader in Reader::ALL {
        read(bytes, reader);
    }
    read_labels(bytes);
}

/// Reads any header of up to 64 KiB with any file of voxels: two bytes say how long the header is (least significant first), then come
/// both. What the header names is checked, and the file beside it is taken for that.
pub fn read_detached(bytes: &[u8]) {
    let Some((length, both)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes(*length)).min(both.len());
    let (header, data) = both.split_at(length);
    let Ok(Some(named)) = data_file_name(header, length as u64, "fuzz") else {
        return;
    };
    let path = Path::new(&named);
    assert!(path.is_relative() && !path.components().any(|part| part == Component::ParentDir));
    let sources = || Sources {
        header,
        size: length as u64,
        data: Some(DataSource {
            name: &named,
            source: data,
            size: data.len() as u64,
        }),
    };
    for reader in Reader::ALL {
        if let Some(scan) = read_files(sources(), reader) {
            assert!(scan.bytes_read <= both.len() as u64);
        }
    }
    let _ = label_map::read_sources(sources(), "fuzz", &limits(), &CancelToken::new());
}

fn read_labels(bytes: &[u8]) {
    let (limits, cancel) = (limits(), CancelToken::new());
    if let Ok(read) =
        label_map::read_sources(Sources::one(bytes, bytes.len() as u64), "fuzz", &limits, &cancel)
    {
        let map = read.map;
        assert_eq!(map.geometry.shape.zyx(), map.labels.shape());
        assert_eq!(map.geometry.measured(), map.geometry);
    }
}

/// Makes a plausible file of `data` (header fields first, the rest are voxels), reads it, and if it is accepted writes
/// and reads it again: voxels, scale and shape stay.
pub fn read_plausible(data: &[u8]) {
    let mut data = data.iter().copied();
    let mut next = move || data.next().unwrap_or(0);
    let flags = next();
    let version = if flags & 1 == 0 {
        Version::One
    } else {
        Version::Two
    };
    let reader = Reader::ALL[usize::from(flags >> 1 & 3)];
    let compressed = flags & 8 != 0;
    let big_endian = flags & 16 != 0;
    const TYPES: [i16; 12] = [2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280, 32, 128];
    let datatype = TYPES[usize::from(next()) % TYPES.len()];
    let mut dim = [1i64; 8];
    dim[0] = i64::from(next() % 6);
    for length in &mut dim[1..5] {
        *length = i64::from(next() as i8 % 12);
    }
    let mut small = || f64::from(next() as i8) / 16.0;
    let header = Header {
        version,
        big_endian,
        dim,
        intent_code: 0,
        datatype,
        pixdim: std::array::from_fn(|_| small()),
        vox_offset: (version.min_vox_offset() as f64 + small()).round(),
        scl_slope: small(),
        scl_inter: small(),
        xyzt_units: small() as i32,
        qform_code: small() as i32,
        sform_code: small() as i32,
        quatern_bcd: std::array::from_fn(|_| small() / 8.0),
        qoffset: std::array::from_fn(|_| small()),
        srow: std::array::from_fn(|_| std::array::from_fn(|_| small())),
        data_offset: None,
    };
    let mut bytes = header.encode();
    let n_payload = dim[1..5]
        .iter()
        .map(|&n| n.clamp(0, 12) as usize)
        .product::<usize>()
        * 8
        + 16;
    bytes.extend((0..n_payload).map(|i| (small() * 16.0) as i8 as u8 ^ i as u8));
    let bytes = if compressed { gzip(&bytes) } else { bytes };
    read_labels(&bytes);
    let Some(scan) = read(&bytes, reader) else { return };

    let mut written = Vec::new();
    encode_volume(
        &mut written,
        &scan.volume,
        &scan.source,
        Target::one(OutputFormat::Nifti { compressed }),
    )
    .expect("memory takes all bytes");
    let again = read(&written, reader).expect("what was written can be read");
    assert!(same_bits(&again.volume.voxels, &scan.volume.voxels));
    assert_eq!(again.volume.scale, scan.volume.scale);
    for format in [OutputFormat::Nrrd, OutputFormat::MetaImage] {
        written_as(format, &scan, reader);
    }
}

/// Written in a format without scale factors, and read again.
fn written_as(format: OutputFormat, scan: &Scan, reader: Reader) {
    let mut written = Vec::new();
    let rest = encode_volume(&mut written, &scan.volume, &scan.source, Target::one(format))
        .expect("memory takes all bytes");
    if let Rest::Late(late) = rest {
        written[late.offset as usize..][..late.bytes.len()].copy_from_slice(&late.bytes);
    }
    let Some(again) = read(&written, reader) else {
        // numbers of a place that is next to none are no place in another order of sums
        return;
    };
    assert_eq!(again.volume.voxels.shape(), scan.volume.voxels.shape());
    if scan.volume.scale.is_identity() {
        assert!(same_bits(&again.volume.voxels, &scan.volume.voxels));
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("memory takes all bytes")
}

/// Equal, NaN included.
fn same_bits(a: &Voxels, b: &Voxels) -> bool {
    let bytes = |voxels: &Voxels| {
        let mut bytes = Vec::new();
        with_voxels!(voxels, array => FileVoxel::append_to_bytes(array.iter().copied(), &mut bytes));
        bytes
    };
    a.voxel_type() == b.voxel_type() && a.shape() == b.shape() && bytes(a) == bytes(b)
}
