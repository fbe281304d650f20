//! Writes series from volumes, for tests: single-frame files or one enhanced file, with slices along any axis. And finds
//! real files.

use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use dicom_core::value::DataSetSequence;
use dicom_core::{Length, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::mem::InMemElement;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_transfer_syntax_registry::entries;
use nephrite_types::{Volume, Voxels};

/// The folder with files of pydicom that `NEPHRITE_DICOM_SAMPLES` names, or that `make dicom-samples` fetched. One that is named must be there; `None`, with a word
/// to the log of the tests, where they are not there.
#[allow(clippy::print_stderr)] // for who runs the tests
pub fn samples_folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("NEPHRITE_DICOM_SAMPLES") {
        return Some(named.into());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/dicom-samples");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: no samples in {}; `make dicom-samples` fetches them",
        folder.display()
    );
    None
}

/// Which axis of a volume slices, rows and columns follow, and which of them run backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// For slices, rows, columns: axis of the array `[z, y, x]`.
    pub axis: [usize; 3],
    /// For slices, rows, columns.
    pub reversed: [bool; 3],
}

impl Way {
    /// Slices along z, rows along y, columns along x.
    pub const PLAIN: Way = Way {
        axis: [0, 1, 2],
        reversed: [false; 3],
    };

    /// All 48.
    pub fn all() -> Vec<Way> {
        let axes = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let reversed = |bits: usize| std::array::from_fn(|i| bits >> i & 1 == 1);
        let ways = axes.iter().flat_map(|&axis| (0..8).map(move |bits| (axis, bits)));
        ways.map(|(axis, bits)| Way {
            axis,
            reversed: reversed(bits),
        })
        .collect()
    }
}

/// One file before it is written; tests change it.
#[derive(Debug, Clone)]
pub struct TestFile {
    /// Its name in the folder.
    pub name: String,
    /// All elements.
    pub object: InMemDicomObject,
    /// UID of the transfer syntax that the file header names; elements are written as it says, but not compressed.
    pub syntax: String,
}

/// What a series is called and says of itself.
#[derive(Debug, Clone)]
pub struct Labels<'a> {
    /// SeriesInstanceUID; those of instances begin with it.
    pub series_uid: &'a str,
    /// Modality, `CT` or `MR`.
    pub modality: &'a str,
    /// SeriesDescription.
    pub description: &'a str,
}

impl Default for Labels<'_> {
    fn default() -> Self {
        Labels {
            series_uid: "1.2.826.0.1.3680043.10.1",
            modality: "CT",
            description: "test",
        }
    }
}

/// An element of one text.
pub fn text(tag: Tag, vr: VR, value: &str) -> InMemElement {
    InMemElement::new(tag, vr, PrimitiveValue::from(value))
}

/// Numbers as decimal strings of at most 16 characters.
pub fn decimals(tag: Tag, values: &[f64]) -> InMemElement {
    let texts: Vec<String> = values.iter().map(|&value| decimal(value)).collect();
    InMemElement::new(tag, VR::DS, PrimitiveValue::Strs(texts.into_iter().collect()))
}

/// The most exact text of a number that fits.
fn decimal(value: f64) -> String {
    let texts = (0..=17).rev().map(|digits| format!("{value:.digits$}"));
    let plain = format!("{value}");
    std::iter::once(plain)
        .chain(texts)
        .find(|text| text.len() <= 16)
        .unwrap_or_else(|| format!("{value:e}"))
}

fn number(tag: Tag, value: u16) -> InMemElement {
    InMemElement::new(tag, VR::US, PrimitiveValue::from(value))
}

fn sequence(tag: Tag, items: Vec<InMemDicomObject>) -> InMemElement {
    InMemElement::new(tag, VR::SQ, DataSetSequence::new(items, Length::UNDEFINED))
}

fn item(elements: Vec<InMemElement>) -> InMemDicomObject {
    InMemDicomObject::from_element_iter(elements)
}

/// Where slices lie, and their pixels.
struct Slices {
    /// mm, LPS, of each slice.
    positions: Vec<[f64; 3]>,
    orientation: [f64; 6],
    /// mm between rows, columns.
    spacing: [f64; 2],
    thickness: f64,
    rows: u16,
    columns: u16,
    signed: bool,
    /// Little endian.
    pixels: Vec<Vec<u8>>,
}

/// # Panics
/// Panics unless voxels are 16-bit integers and axes fit 16 bits.
fn slices(volume: &Volume, way: Way) -> Slices {
    let shape = volume.geometry.shape.zyx();
    let n = way.axis.map(|axis| shape[axis]);
    let zyx = |source: [usize; 3]| {
        let mut zyx = [0; 3];
        for i in 0..3 {
            zyx[way.axis[i]] = if way.reversed[i] {
                n[i] - 1 - source[i]
            } else {
                source[i]
            };
        }
        zyx
    };
    let place = |source: [usize; 3]| {
        let [z, y, x] = zyx(source).map(|index| index as f64);
        let [right, front, up] = volume.geometry.affine.world_from_voxel([x, y, z]);
        [-right, -front, up]
    };
    // The way of an axis: from the affine, since it may have one voxel only.
    let toward = |i: usize| {
        let rows = volume.geometry.affine.rows();
        let column = 2 - way.axis[i];
        let sign = if way.reversed[i] { -1.0 } else { 1.0 };
        [
            -sign * rows[0][column],
            -sign * rows[1][column],
            sign * rows[2][column],
        ]
    };
    let length = |v: [f64; 3]| v.iter().map(|c| c * c).sum::<f64>().sqrt();
    let (down, across) = (toward(1), toward(2));
    let unit = |v: [f64; 3]| v.map(|c| c / length(v));
    let ([a, b, c], [d, e, f]) = (unit(across), unit(down));
    let slice = |k: usize| {
        let pixels = (0..n[1]).flat_map(|r| (0..n[2]).map(move |c| [k, r, c]));
        pixels
            .flat_map(|source| word(&volume.voxels, zyx(source)))
            .collect()
    };
    Slices {
        positions: (0..n[0]).map(|k| place([k, 0, 0])).collect(),
        orientation: [a, b, c, d, e, f],
        spacing: [length(down), length(across)],
        thickness: length(toward(0)),
        rows: u16::try_from(n[1]).expect("rows fit"),
        columns: u16::try_from(n[2]).expect("columns fit"),
        signed: matches!(volume.voxels, Voxels::I16(_)),
        pixels: (0..n[0]).map(slice).collect(),
    }
}

fn word(voxels: &Voxels, [z, y, x]: [usize; 3]) -> [u8; 2] {
    match voxels {
        Voxels::I16(array) => array[[z, y, x]].to_le_bytes(),
        Voxels::U16(array) => array[[z, y, x]].to_le_bytes(),
        _ => panic!("16-bit integers"),
    }
}

/// What all images of a series have.
fn common(labels: &Labels<'_>, slices: &Slices, class: &str, instance: &str) -> InMemDicomObject {
    item(vec![
        text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100"),
        text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL"),
        text(tags::SOP_CLASS_UID, VR::UI, class),
        text(tags::SOP_INSTANCE_UID, VR::UI, instance),
        text(tags::STUDY_DATE, VR::DA, "20200102"),
        text(tags::STUDY_TIME, VR::TM, "101112"),
        text(tags::MODALITY, VR::CS, labels.modality),
        text(tags::SERIES_DESCRIPTION, VR::LO, labels.description),
        text(tags::PATIENT_NAME, VR::PN, "Müller^Jörg"),
        text(tags::PATIENT_ID, VR::LO, "4711"),
        text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.826.0.1.3680043.10.9"),
        text(tags::SERIES_INSTANCE_UID, VR::UI, labels.series_uid),
        text(tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.826.0.1.3680043.10.8"),
        number(tags::SAMPLES_PER_PIXEL, 1),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        number(tags::ROWS, slices.rows),
        number(tags::COLUMNS, slices.columns),
        number(tags::BITS_ALLOCATED, 16),
        number(tags::BITS_STORED, 16),
        number(tags::HIGH_BIT, 15),
        number(tags::PIXEL_REPRESENTATION, u16::from(slices.signed)),
    ])
}

fn pixels(bytes: Vec<u8>) -> InMemElement {
    InMemElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::from(bytes))
}

/// A file for each slice, `000.dcm` and on.
///
/// # Panics
/// Panics unless voxels are 16-bit integers and axes fit 16 bits.
pub fn single_frame(volume: &Volume, way: Way, labels: &Labels<'_>) -> Vec<TestFile> {
    let slices = slices(volume, way);
    let class = if labels.modality == "CT" {
        uids::CT_IMAGE_STORAGE
    } else {
        uids::MR_IMAGE_STORAGE
    };
    let file = |(k, bytes): (usize, &Vec<u8>)| {
        let instance = format!("{}.{}", labels.series_uid, k + 1);
        let mut object = common(labels, &slices, class, &instance);
        for element in [
            text(tags::INSTANCE_NUMBER, VR::IS, &(k + 1).to_string()),
            decimals(tags::IMAGE_POSITION_PATIENT, &slices.positions[k]),
            decimals(tags::IMAGE_ORIENTATION_PATIENT, &slices.orientation),
            decimals(tags::PIXEL_SPACING, &slices.spacing),
            decimals(tags::SLICE_THICKNESS, &[slices.thickness]),
            decimals(tags::RESCALE_SLOPE, &[volume.scale.slope]),
            decimals(tags::RESCALE_INTERCEPT, &[volume.scale.inter]),
            pixels(bytes.clone()),
        ] {
            object.put(element);
        }
        TestFile {
            name: format!("{k:03}.dcm"),
            object,
            syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        }
    };
    slices.pixels.iter().enumerate().map(file).collect()
}

/// One enhanced file, `enhanced.dcm`, whose frames are in reverse order of the slices.
///
/// # Panics
/// As [`single_frame`].
pub fn enhanced(volume: &Volume, way: Way, labels: &Labels<'_>) -> TestFile {
    let slices = slices(volume, way);
    let class = if labels.modality == "CT" {
        uids::ENHANCED_CT_IMAGE_STORAGE
    } else {
        uids::ENHANCED_MR_IMAGE_STORAGE
    };
    let mut object = common(labels, &slices, class, &format!("{}.1", labels.series_uid));
    let scale = item(vec![
        decimals(tags::RESCALE_SLOPE, &[volume.scale.slope]),
        decimals(tags::RESCALE_INTERCEPT, &[volume.scale.inter]),
    ]);
    let shared = item(vec![
        sequence(
            tags::PLANE_ORIENTATION_SEQUENCE,
            vec![item(vec![decimals(
                tags::IMAGE_ORIENTATION_PATIENT,
                &slices.orientation,
            )])],
        ),
        sequence(
            tags::PIXEL_MEASURES_SEQUENCE,
            vec![item(vec![
                decimals(tags::PIXEL_SPACING, &slices.spacing),
                decimals(tags::SLICE_THICKNESS, &[slices.thickness]),
            ])],
        ),
        sequence(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![scale]),
    ]);
    let n = slices.positions.len();
    let frame = |k: usize| {
        let content = item(vec![text(tags::STACK_ID, VR::SH, "1")]);
        let position = item(vec![decimals(
            tags::IMAGE_POSITION_PATIENT,
            &slices.positions[n - 1 - k],
        )]);
        item(vec![
            sequence(tags::FRAME_CONTENT_SEQUENCE, vec![content]),
            sequence(tags::PLANE_POSITION_SEQUENCE, vec![position]),
        ])
    };
    for element in [
        text(tags::NUMBER_OF_FRAMES, VR::IS, &n.to_string()),
        sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]),
        sequence(
            tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
            (0..n).map(frame).collect(),
        ),
        pixels(slices.pixels.iter().rev().flatten().copied().collect()),
    ] {
        object.put(element);
    }
    TestFile {
        name: "enhanced.dcm".to_owned(),
        object,
        syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
    }
}

impl TestFile {
    /// SOPInstanceUID; empty if there is none.
    pub fn sop_instance_uid(&self) -> String {
        crate::attributes::text(&self.object, tags::SOP_INSTANCE_UID).unwrap_or_default()
    }

    /// The bytes of the file.
    ///
    /// # Panics
    /// Panics if the object cannot be written.
    pub fn bytes(&self) -> Vec<u8> {
        let uid = |tag| {
            let text = crate::attributes::text(&self.object, tag);
            text.filter(|uid| !uid.is_empty())
                .unwrap_or_else(|| "1.2.3".to_owned())
        };
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(&self.syntax)
            .media_storage_sop_class_uid(uid(tags::SOP_CLASS_UID))
            .media_storage_sop_instance_uid(uid(tags::SOP_INSTANCE_UID))
            .build()
            .expect("the header is whole");
        let mut bytes = vec![0; 128];
        bytes.extend(b"DICM");
        meta.write(&mut bytes).expect("memory takes all bytes");
        let written = match self.syntax.as_str() {
            uids::IMPLICIT_VR_LITTLE_ENDIAN | "1.2.840.113619.5.2" => {
                entries::IMPLICIT_VR_LITTLE_ENDIAN.erased()
            }
            "1.2.840.10008.1.2.2" => entries::EXPLICIT_VR_BIG_ENDIAN.erased(),
            _ => entries::EXPLICIT_VR_LITTLE_ENDIAN.erased(),
        };
        self.object
            .write_dataset_with_ts(&mut bytes, &written)
            .expect("memory takes all bytes");
        bytes
    }
}

/// An enhanced file that holds the frames of two, those of the second with something changed in their content, such as their stack.
///
/// # Panics
/// If a file is not what [`enhanced`] makes.
pub fn joined(first: TestFile, second: &TestFile, change: impl Fn(&mut InMemDicomObject)) -> TestFile {
    let frames = |file: &TestFile| {
        let element = file.object.element(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        element
            .expect("it is enhanced")
            .items()
            .expect("a sequence")
            .to_vec()
    };
    let pixels = |file: &TestFile| {
        let element = file.object.element(tags::PIXEL_DATA).expect("it has pixels");
        element.to_bytes().expect("bytes").into_owned()
    };
    let mut all = frames(&first);
    for mut frame in frames(second) {
        frame.update_value(tags::FRAME_CONTENT_SEQUENCE, |value| {
            change(&mut value.items_mut().expect("a sequence")[0]);
        });
        all.push(frame);
    }
    let both = PrimitiveValue::from([pixels(&first), pixels(second)].concat());
    let mut file = first;
    for element in [
        text(tags::NUMBER_OF_FRAMES, VR::IS, &all.len().to_string()),
        sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, all),
        InMemElement::new(tags::PIXEL_DATA, VR::OW, both),
    ] {
        file.object.put(element);
    }
    file
}

/// Another stack, for [`joined`].
pub fn second_stack(content: &mut InMemDicomObject) {
    content.put(text(tags::STACK_ID, VR::SH, "2"));
}

/// Writes files into a folder.
///
/// # Panics
/// Panics if the system does not take them.
pub fn write(dir: &Dir, files: &[TestFile]) {
    for file in files {
        dir.write(&file.name, file.bytes())
            .expect("a test's folder takes files");
    }
}
