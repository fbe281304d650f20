//! NRRD and MetaImage files with ordinary and odd headers, beside SimpleITK: `golden/make_formats.py` asked it.

use std::path::Path;

use nephrite_types::{CancelToken, Coded, ErrorCode, Limits, Voxels, with_voxels};
use serde_json::Value;

use crate::data_file_name::data_file_name;
use crate::read::{Content, Scan, read_content};
use crate::source::{DataSource, Sources};
use crate::world::top_rows;
use crate::{Reader, VolumeError};

/// Refused here though SimpleITK goes on (often with voxels that nobody wrote, or a size that is not meant), and why.
const STRICTER: &[(&str, &str)] = &[
    (
        "nrrd: gzip, byte skip -1",
        "expected 0 or more for compressed voxels",
    ),
    ("nrrd: gzip that is raw", "broken gzip stream"),
    ("nrrd: ascii", "expected raw or gzip"),
    ("nrrd: hex", "expected raw or gzip"),
    ("nrrd: byte skip -2", "expected -1, or bytes up to 64 MiB"),
    ("nrrd: spacings nan", "expected a number per axis"),
    ("nrrd: axis mins and maxs", "expected spacings"),
    ("nrrd: sheared", "needs right angles"),
    (
        "nrrd: nan vector",
        "expected a vector of the space per axis, none for those that are no place",
    ),
    (
        "nrrd: none direction",
        "expected a vector of the space per axis, none for those that are no place",
    ),
    ("nrrd: space units um", "expected \"mm\" per axis"),
    ("nrrd: units", "expected \"mm\" per axis"),
    ("nrrd: kinds list", "has 4 values per voxel"),
    ("nrrd: vector of 2", "has 2 values per voxel"),
    ("nrrd: vector of 1", "has 1 values per voxel"),
    ("nrrd: list of 1", "has 1 values per voxel"),
    ("nrrd: list of 2", "has 2 values per voxel"),
    ("nrrd: color", "has 3 values per voxel"),
    ("nrrd: vector last", "has 1 values per voxel"),
    ("nrrd: four domains, many", "needs 2 or 3"),
    ("nrrd: sizes 4 3 2.5", "expected a whole number per axis"),
    ("nrrd: dimension 3.0", "expected 1 to 7"),
    ("mha: type MET_STRING", "is not supported"),
    ("mha: type MET_SHORT_ARRAY", "is not supported"),
    ("mha: type MET_ASCII_CHAR", "is not supported"),
    ("mha: gzip", "broken zlib stream"),
    ("mha: zlib, no size", "expected a value"),
    ("mha: zlib, size too small", "ends inside the voxels"),
    ("mha: zlib with a wrong checksum", "broken zlib stream"),
    ("mha: zlib of too little", "ends inside the voxels"),
    ("mha: byte order yes", "expected True or False"),
    ("mha: compressed yes", "expected True or False"),
    ("mha: both byte orders", "expected as BinaryDataByteOrderMSB"),
    (
        "mha: HeaderSize 3",
        "expected 0 or -1 for voxels in the same file",
    ),
    (
        "mha: HeaderSize 3, nothing between",
        "expected 0 or -1 for voxels in the same file",
    ),
    (
        "mha: HeaderSize -2",
        "expected 0 or -1 for voxels in the same file",
    ),
    (
        "mha: HeaderSize -2, nothing between",
        "expected 0 or -1 for voxels in the same file",
    ),
    (
        "mha: two matrices",
        "expected every key once, under one of its names",
    ),
    (
        "mha: two offsets",
        "expected every key once, under one of its names",
    ),
    (
        "mha: two offsets, Origin",
        "expected every key once, under one of its names",
    ),
    ("mha: sheared", "expected directions of length 1"),
    ("mha: scaled", "expected directions of length 1"),
    ("mha: nan offset", "expected a number per axis"),
    ("mha: short offset", "expected a number per axis"),
    ("mha: spacing 2 3 4 5", "expected a number per axis"),
    ("mha: units", "expected mm"),
    ("mha: size 4 3 0", "expected at least 1"),
    ("mha: size 4 3 2 1", "expected a whole number per axis"),
    ("mha: size 4 3 2.7", "expected a whole number per axis"),
    ("mha: NDims 3.0", "expected 1 to 7"),
    ("mha: four axes", "needs 2 or 3"),
    ("mha: channels 2", "expected 1"),
    ("mha: object Tube", "expected Image"),
    (
        "mha: key twice",
        "expected every key once, under one of its names",
    ),
    ("mha: list", "a list of files"),
    (
        "nhdr: gzip that says raw",
        "expected gzip for a data file of that name",
    ),
    ("nhdr: long", "should have 48 bytes by the header, and has 52"),
    ("nhdr: name with a percent sign", "a pattern of file names"),
    ("nhdr: list of slices", "a list of files"),
    ("nhdr: above", "leads upward"),
    ("nhdr: itself", "another file"),
    ("mhd: zlib, no size, HeaderSize", "expected a value"),
    (
        "mhd: HeaderSize 0",
        "should have 48 bytes by the header, and has 51",
    ),
    (
        "mhd: HeaderSize -2",
        "expected -1, 0, or the bytes before the voxels",
    ),
    ("mhd: long", "should have 48 bytes by the header, and has 52"),
    ("mhd: list", "a list of files"),
    ("mhd: above", "leads upward"),
    ("mhd: itself", "another file"),
];

struct Case {
    name: String,
    file: Vec<u8>,
    /// What lies beside it, and its name.
    beside: Option<(String, Vec<u8>)>,
    said: Value,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/formats.json");
    let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = json.as_array().unwrap().iter().map(|case| {
        let text = |key: &str| case[key].as_str().unwrap().to_owned();
        Case {
            name: format!("{}: {}", text("ending"), text("name")),
            file: bytes(&text("file")),
            beside: case["data"].as_str().map(|data| (text("data_file"), bytes(data))),
            said: case["said"].clone(),
        }
    });
    cases.collect()
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

impl Case {
    /// Reads the file, or the pair.
    fn read(&self, reader: Reader) -> Result<Scan, VolumeError> {
        let size = self.file.len() as u64;
        let named = data_file_name(self.file.as_slice(), size, "t")?;
        let data = match (&named, &self.beside) {
            (None, _) => None,
            (Some(named), Some((there, data))) if Path::new(named).ends_with(there) => Some(DataSource {
                name: named,
                source: data.as_slice(),
                size: data.len() as u64,
            }),
            (Some(named), _) => {
                return Err(VolumeError::Detached {
                    name: "t".to_owned(),
                    data_file: named.clone(),
                    attached: "",
                });
            }
        };
        let sources = Sources {
            header: self.file.as_slice(),
            size,
            data,
        };
        let (limits, cancel) = (Limits::default(), CancelToken::new());
        read_content(sources, "t", reader, Content::Intensities, &limits, &cancel)
    }
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some(text) => text.parse().unwrap(),
        None => value.as_f64().unwrap(),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn close(found: &[f64], said: &[f64]) -> bool {
    let pairs = found.iter().zip(said);
    found.len() == said.len()
        && pairs
            .clone()
            .all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs().max(1.0))
}

/// The type as SimpleITK calls it.
fn type_name(voxels: &Voxels) -> &'static str {
    match voxels {
        Voxels::U8(_) => "8-bit unsigned integer",
        Voxels::I8(_) => "8-bit signed integer",
        Voxels::U16(_) => "16-bit unsigned integer",
        Voxels::I16(_) => "16-bit signed integer",
        Voxels::U32(_) => "32-bit unsigned integer",
        Voxels::I32(_) => "32-bit signed integer",
        Voxels::U64(_) => "64-bit unsigned integer",
        Voxels::I64(_) => "64-bit signed integer",
        Voxels::F32(_) => "32-bit float",
        Voxels::F64(_) => "64-bit float",
    }
}

/// Values as text, which tells 64-bit integers apart, and NaN from NaN not.
fn values(voxels: &Voxels) -> Vec<String> {
    with_voxels!(voxels, array => array.iter().map(|v| v.to_string()).collect())
}

fn said_values(said: &Value, voxels: &Voxels) -> Vec<String> {
    let text = |value: &Value| match voxels {
        Voxels::F32(_) => (number(value) as f32).to_string(),
        Voxels::F64(_) => number(value).to_string(),
        _ => value.to_string(),
    };
    said.as_array().unwrap().iter().map(text).collect()
}

/// What differs, if anything.
fn difference(scan: &Scan, said: &Value) -> Option<String> {
    let mut size = numbers(&said["size"]);
    while size.len() > 3 && size.last() == Some(&1.0) {
        size.pop();
    }
    let two = size.len() == 2;
    if two {
        size.push(1.0);
    }
    let [z, y, x] = scan.volume.voxels.shape().map(|n| n as f64);
    if size != [x, y, z] {
        return Some(format!("shape {:?}", scan.volume.voxels.shape()));
    }
    if said["type"] != type_name(&scan.volume.voxels) {
        return Some(format!("type {}", type_name(&scan.volume.voxels)));
    }
    let n = if two { 2 } else { 3 };
    let spacing = scan.volume.geometry.spacing.xyz();
    if !close(&spacing[..n], &numbers(&said["spacing"])[..n]) {
        return Some(format!("spacing {spacing:?}"));
    }
    let rows = top_rows(scan.volume.geometry.affine).concat();
    let mut right = numbers(&said["affine"]);
    if two {
        right[10] = 1.0; // the axis that is not there
    }
    if !close(&rows, &right) {
        return Some(format!("affine {rows:?}"));
    }
    let found = values(&scan.volume.voxels);
    (found != said_values(&said["values"], &scan.volume.voxels)).then(|| format!("values {found:?}"))
}

#[test]
fn a_file_is_what_simpleitk_says_or_is_refused() {
    let cases = cases();
    assert!(cases.len() > 300, "{}", cases.len());
    let (mut wrong, mut n_same, mut n_refused) = (Vec::new(), 0, 0);
    let mut unused: Vec<&str> = STRICTER.iter().map(|(name, _)| *name).collect();
    for case @ Case { name, said, .. } in &cases {
        match (case.read(Reader::SimpleItk), said.is_object()) {
            (Ok(scan), true) => match difference(&scan, said) {
                Some(difference) => wrong.push(format!("{name}: {difference}, SimpleITK: {said}")),
                None => n_same += 1,
            },
            (Err(error), false) => {
                n_refused += 1;
                if error.code() != ErrorCode::InvalidInput {
                    wrong.push(format!("{name}: {error}"));
                }
            }
            (Ok(_), false) => wrong.push(format!("{name}: read, SimpleITK: {said}")),
            (Err(error), true) => match STRICTER.iter().find(|(stricter, _)| name == stricter) {
                Some((stricter, part)) if error.to_string().contains(part) => {
                    unused.retain(|name| name != stricter)
                }
                _ => wrong.push(format!("{name}: {error}")),
            },
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert_eq!(unused, Vec::<&str>::new(), "are not refused, or not there");
    println!(
        "{n_same} read as SimpleITK reads them, {n_refused} refused as by it, {} here alone",
        STRICTER.len()
    );
}

/// nibabel does not read these formats; its readers take them as they take a NIfTI file of the same grid.
#[test]
fn every_reader_takes_the_formats() {
    for case in cases() {
        let [itk, plain] = [Reader::SimpleItk, Reader::Nibabel].map(|reader| case.read(reader));
        let Case { name, said, .. } = case;
        if let (Ok(itk), Ok(plain)) = (&itk, &plain) {
            let same = close(
                &top_rows(itk.volume.geometry.affine).concat(),
                &top_rows(plain.volume.geometry.affine).concat(),
            );
            assert!(
                same && itk.volume.geometry.spacing == plain.volume.geometry.spacing,
                "{name}: {said}"
            );
        }
        let refused = matches!(&plain, Err(VolumeError::Dimensions { .. }));
        assert!(
            refused || plain.is_ok() == itk.is_ok() || name.contains("sheared"),
            "{name}"
        );
    }
}
