//! Series and masks for tests.

use std::collections::BTreeMap;

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use nephrite_dicom::{DicomLimits, DicomObject, open_bytes};
use nephrite_mask_codec::{LabelEntry, LabelStatus, LabelTable, Mask, RunMask};
use nephrite_types::{Affine, Geometry, Labels, Limits, Shape3, Spacing};

use crate::*;

pub(super) type Array = ndarray::Array3<u16>;

/// Unit vectors of an oblique stack, LPS.
const OBLIQUE: [[f64; 3]; 2] = [[0.8, 0.6, 0.0], [-0.36, 0.48, -0.8]];

/// A CT series of this shape `[slices, rows, columns]`; its slices come in no order.
pub(super) fn series(shape: [usize; 3]) -> SourceSeries {
    oriented_series(shape, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
}

pub(super) fn oblique_series(shape: [usize; 3]) -> SourceSeries {
    oriented_series(shape, OBLIQUE)
}

pub(super) fn oriented_series([n, rows, columns]: [usize; 3], [row, column]: [[f64; 3]; 2]) -> SourceSeries {
    let normal = crate::vector::cross(row, column);
    let slice = |k: usize| SourceSlice {
        sop_class_uid: uids::CT_IMAGE_STORAGE.to_owned(),
        sop_instance_uid: format!("1.2.3.4.{}", 100 + k),
        frame: None,
        position: std::array::from_fn(|i| [-120.5, 33.25, 1007.1][i] + normal[i] * 2.5 * k as f64),
        row_direction: row,
        column_direction: column,
        spacing: [0.7, 0.9],
        thickness: Some(2.5),
        rows,
        columns,
    };
    let mut study = InMemDicomObject::new_empty();
    let mut put = |tag, vr, text: &str| study.put(DataElement::new(tag, vr, PrimitiveValue::from(text)));
    put(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100");
    put(tags::PATIENT_NAME, VR::PN, "Müller^Jörg");
    put(tags::PATIENT_ID, VR::LO, "P-1");
    put(tags::PATIENT_SEX, VR::CS, "O");
    put(tags::PATIENT_BIRTH_DATE, VR::DA, "19600102");
    put(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3.4.5");
    put(tags::STUDY_DATE, VR::DA, "20250304");
    put(tags::STUDY_TIME, VR::TM, "101112");
    put(tags::STUDY_ID, VR::SH, "S1");
    put(tags::ACCESSION_NUMBER, VR::SH, "A1");
    put(tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Größe^A");
    let mut slices: Vec<SourceSlice> = (0..n).map(slice).collect();
    slices.reverse();
    slices.rotate_left(n / 3);
    SourceSeries {
        study,
        series_uid: "1.2.3.4.6".to_owned(),
        modality: "CT".to_owned(),
        frame_of_reference_uid: "1.2.3.4.7".to_owned(),
        position_reference: String::new(),
        date: "20250304".to_owned(),
        time: "101112.5".to_owned(),
        is_lossy: false,
        lossy_details: None,
        slices,
    }
}

/// The 48 ways in which an array can lie on a stack: axis of the stack for each axis of the array, and which run backward.
pub(super) fn orientations() -> impl Iterator<Item = ([usize; 3], [bool; 3])> {
    let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    permutations
        .into_iter()
        .flat_map(|axes| (0..8).map(move |bits| (axes, [0, 1, 2].map(|a| bits >> a & 1 == 1))))
}

/// The grid of an array whose axes lie on those of the series in this way; computed from the slices alone.
pub(super) fn grid(series: &SourceSeries, axes: [usize; 3], flipped: [bool; 3]) -> Geometry {
    let mut slices = series.slices.clone();
    let normal = crate::vector::cross(slices[0].row_direction, slices[0].column_direction);
    slices.sort_by(|a, b| {
        let along = |s: &SourceSlice| crate::vector::dot(normal, s.position);
        along(a).total_cmp(&along(b))
    });
    let (first, n) = (&slices[0], slices.len());
    let counts = [n, first.rows, first.columns];
    let steps = [
        std::array::from_fn(|i| normal[i] * 2.5),
        first.column_direction.map(|v| v * first.spacing[0]),
        first.row_direction.map(|v| v * first.spacing[1]),
    ];
    let mut origin = first.position;
    let mut columns = [[0.0; 3]; 3]; // of the array's z, y, x
    for axis in 0..3 {
        let of_stack = axes[axis];
        let sign = if flipped[axis] { -1.0 } else { 1.0 };
        columns[axis] = steps[of_stack].map(|v: f64| v * sign);
        if flipped[axis] {
            for i in 0..3 {
                origin[i] += steps[of_stack][i] * (counts[of_stack] - 1) as f64;
            }
        }
    }
    // LPS to RAS.
    let ras = |v: [f64; 3]| [-v[0], -v[1], v[2]];
    let ([z, y, x], o) = (columns.map(ras), ras(origin));
    let lengths = columns.map(crate::vector::norm);
    Geometry {
        shape: Shape3::new(axes.map(|axis| counts[axis])).unwrap(),
        spacing: Spacing::new(lengths).unwrap(),
        affine: Affine::new(std::array::from_fn(|r| [x[r], y[r], z[r], o[r]])).unwrap(),
    }
}

/// A mask with labels 1 to the largest of an array, called `label_1` …
pub(super) fn mask(array: &Array, geometry: Geometry) -> Mask {
    named_mask(array, geometry, |id| format!("label_{id}"))
}

pub(super) fn named_mask(array: &Array, geometry: Geometry, name: impl Fn(u16) -> String) -> Mask {
    let runs = RunMask::from_labels(&Labels::U16(array.clone()), &geometry, &Limits::default()).unwrap();
    let largest = array.iter().copied().max().unwrap_or(0);
    let entries = (1..=largest).map(|id| LabelEntry {
        id,
        name: name(id),
        status: LabelStatus::Present,
    });
    Mask::new(runs, LabelTable::new(entries.collect()).unwrap()).unwrap()
}

/// Blobs with holes, diagonal contacts, single voxels, labels in one slice.
pub(super) fn blobs(shape: [usize; 3], n_labels: u16, seed: u32) -> Array {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below
    };
    let mut array = Array::zeros(shape);
    for blob in 0..4 * n_labels {
        let label = if blob % 4 == 3 { 0 } else { blob % n_labels + 1 };
        let center = shape.map(&mut next);
        let radius = shape.map(|n| 1 + next(n.div_ceil(3)));
        for ((z, y, x), voxel) in array.indexed_iter_mut() {
            let off = [z, y, x].into_iter().zip(center).zip(radius).map(|((i, c), r)| {
                let d = (i as f64 - c as f64) / r as f64;
                d * d
            });
            if off.sum::<f64>() < 1.0 {
                *voxel = label;
            }
        }
    }
    for _ in 0..shape.iter().product::<usize>() / 30 {
        let at = shape.map(&mut next);
        array[at] = next(usize::from(n_labels) + 1) as u16;
    }
    array
}

pub(super) struct Case {
    pub(super) source: SourceSeries,
    pub(super) masks: Vec<Mask>,
    pub(super) codes: BTreeMap<String, LabelCodes>,
    pub(super) placement: Placement,
    pub(super) limits: ObjectLimits,
    pub(super) algorithm: Algorithm,
    pub(super) equipment: Equipment,
}

impl Case {
    pub(super) fn new(source: SourceSeries, masks: Vec<Mask>) -> Case {
        let kidney = LabelCodes {
            category: "SCT:123037004:Anatomical Structure".parse().unwrap(),
            property_type: "SCT:64033007:Kidney".parse().unwrap(),
            modifier: Some("SCT:7771000:Left".parse().unwrap()),
        };
        Case {
            source,
            masks,
            codes: BTreeMap::from([("label_1".to_owned(), kidney)]),
            placement: Placement::OnSource,
            limits: ObjectLimits::default(),
            algorithm: Algorithm {
                name: "nnU-Net kidney".to_owned(),
                version: "1".to_owned(),
            },
            equipment: Equipment::nephrite(),
        }
    }

    pub(super) fn request(&self) -> ObjectRequest<'_> {
        ObjectRequest {
            source: &self.source,
            masks: &self.masks,
            codes: &self.codes,
            placement: self.placement,
            case: [42; 32],
            role: "organs",
            series_number: 700,
            description: "Organs",
            algorithm: &self.algorithm,
            equipment: &self.equipment,
            limits: &self.limits,
        }
    }

    pub(super) fn seg(&self, kind: SegKind) -> Result<(Vec<u8>, Written), ObjectError> {
        let mut bytes = Vec::new();
        let written = write_seg(&self.request(), kind, &mut bytes)?;
        Ok((bytes, written))
    }

    pub(super) fn structure_set(&self, holes: Holes) -> Result<(Vec<u8>, Written), ObjectError> {
        let mut bytes = Vec::new();
        let written = write_structure_set(&self.request(), holes, &mut bytes)?;
        Ok((bytes, written))
    }
}

pub(super) const KINDS: [SegKind; 3] = [
    SegKind::Binary,
    SegKind::Labelmap(LabelmapCompression::Native),
    SegKind::Labelmap(LabelmapCompression::Rle),
];

pub(super) fn open(bytes: &[u8]) -> DicomObject {
    open_bytes(bytes.to_vec(), "test", &DicomLimits::DEFAULT).unwrap()
}

pub(super) fn text_of(object: &InMemDicomObject, tag: dicom_core::Tag) -> String {
    crate::attributes::text(object, tag).unwrap()
}

/// A grid in the frame of reference of all series here.
pub(super) fn onto(geometry: &Geometry) -> Option<Onto<'_>> {
    Some(Onto {
        geometry,
        frame_of_reference_uid: Some("1.2.3.4.7"),
    })
}
