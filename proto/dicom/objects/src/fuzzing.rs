//! What the fuzz targets call; the tests replay their seeds through the same functions.

use nephrite_dicom::{DicomLimits, DicomObject, open_bytes};
use nephrite_mask_codec::{LabelTable, Mask, RunMask};
use nephrite_types::{Affine, Geometry, Labels, Limits, Shape3, Spacing};

use crate::stack::Stack;
use crate::{
    Algorithm, Equipment, Holes, LabelmapCompression, Nested, ObjectLimits, ObjectRequest, Placement,
    ReadOptions, SegKind, Slices, SourceSeries, SourceSlice, StructureSetOptions, read_seg,
    read_structure_set, verify_seg, verify_structure_set, write_seg, write_structure_set,
};

/// Small, so that a run costs little.
fn limits() -> ObjectLimits {
    ObjectLimits {
        mask: Limits {
            max_voxels: 1 << 20,
            max_mask_rows: 1 << 14,
            max_mask_runs: 1 << 16,
            ..Limits::default()
        },
        max_slices: 256,
        max_frames: 256,
        max_pixel_bytes: 1 << 20,
        max_segments: 256,
        max_contours: 1 << 10,
        max_points: 1 << 14,
        max_layers: 8,
    }
}

/// Three slices of four rows and five columns.
fn source() -> SourceSeries {
    use dicom_core::{DataElement, PrimitiveValue, VR};
    let tag = dicom_dictionary_std::tags::STUDY_INSTANCE_UID;
    let uid = DataElement::new(tag, VR::UI, PrimitiveValue::from("1.2.3"));
    let slice = |k: usize| SourceSlice {
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".to_owned(),
        sop_instance_uid: format!("1.2.3.{k}"),
        frame: None,
        position: [1.5, -2.0, 3.0 + 2.5 * k as f64],
        row_direction: [1.0, 0.0, 0.0],
        column_direction: [0.0, 1.0, 0.0],
        spacing: [0.75, 0.5],
        thickness: None,
        rows: 4,
        columns: 5,
    };
    SourceSeries {
        study: dicom_object::InMemDicomObject::from_element_iter([uid]),
        series_uid: "1.2.4".to_owned(),
        modality: "CT".to_owned(),
        frame_of_reference_uid: "1.2.5".to_owned(),
        position_reference: String::new(),
        date: String::new(),
        time: String::new(),
        is_lossy: false,
        lossy_details: None,
        slices: (0..3).map(slice).collect(),
    }
}

fn read(file: &DicomObject) {
    let limits = limits();
    let options = ReadOptions {
        fractional_threshold: Some(0.5),
    };
    if let Ok(found) = read_seg(file, None, options, &limits) {
        let n: usize = found.masks.iter().map(|mask| mask.labels().entries().len()).sum();
        assert_eq!(n, found.segments.len());
    }
    let source = source();
    let grid = Stack::of_series(&source, &limits).map(|stack| stack.geometry);
    let grid = grid.expect("its slices are a stack");
    for nested in [Nested::Refuse, Nested::Union, Nested::Xor] {
        let options = StructureSetOptions { nested };
        for (slices, onto) in [
            (Slices::Series(&source), None),
            (Slices::Grid(&grid), Some(&grid)),
        ] {
            if let Ok(found) = read_structure_set(file, slices, onto, options, &limits) {
                assert!(found.masks.iter().all(|mask| mask.runs().shape() == [3, 4, 5]));
            }
        }
    }
}

/// Any bytes as a file: refused, or masks that agree with what they say.
pub fn read_raw(bytes: &[u8]) {
    let limits = DicomLimits {
        max_file_bytes: 1 << 20,
        max_header_bytes: 1 << 20,
        max_inflated_bytes: 1 << 20,
        ..DicomLimits::DEFAULT
    };
    if let Ok(file) = open_bytes(bytes.to_vec(), "fuzz", &limits) {
        read(&file);
    }
}

/// Writes a mask of these bytes in one of the kinds, changes some bytes of the object, and reads it. Without a change the
/// mask comes back.
pub fn read_changed(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let mut next = move || bytes.next().unwrap_or(0);
    let (kind, n_changes) = (next() % 5, next() % 4);
    let changes: Vec<(usize, u8)> = (0..n_changes)
        .map(|_| (usize::from(next()) << 8 | usize::from(next()), next()))
        .collect();
    let labels = (0..60).map(|_| u16::from(next() % 4)).collect();
    let array = ndarray::Array3::from_shape_vec([3, 4, 5], labels).expect("sixty voxels");
    let source = source();
    let (Ok(shape), Ok(spacing)) = (Shape3::new([3, 4, 5]), Spacing::new([2.5, 0.75, 0.5])) else {
        return;
    };
    let rows = [
        [-0.5, 0.0, 0.0, -1.5],
        [0.0, -0.75, 0.0, 2.0],
        [0.0, 0.0, 2.5, 3.0],
    ];
    let Ok(affine) = Affine::new(rows) else { return };
    let geometry = Geometry {
        shape,
        spacing,
        affine,
    };
    let runs = RunMask::from_labels(&Labels::U16(array), &geometry, &Limits::default()).expect("small");
    let ids: Vec<u16> = runs.summaries().into_keys().collect();
    if ids.is_empty() {
        return;
    }
    let masks = [Mask::new(runs, LabelTable::numbered(ids)).expect("all ids are numbered")];
    let (codes, limits) = (std::collections::BTreeMap::new(), limits());
    let algorithm = Algorithm {
        name: "a".to_owned(),
        version: "1".to_owned(),
    };
    let request = ObjectRequest {
        source: &source,
        masks: &masks,
        codes: &codes,
        placement: Placement::OnSource,
        case: [0; 32],
        role: "fuzz",
        series_number: 1,
        description: "fuzz",
        algorithm: &algorithm,
        equipment: &Equipment::nephrite(),
        limits: &limits,
    };
    let mut out = Vec::new();
    let written = match kind {
        0 => write_seg(&request, SegKind::Binary, &mut out),
        1 => write_seg(&request, SegKind::Labelmap(LabelmapCompression::Native), &mut out),
        2 => write_seg(&request, SegKind::Labelmap(LabelmapCompression::Rle), &mut out),
        3 => write_structure_set(&request, Holes::Keyhole, &mut out),
        _ => write_structure_set(&request, Holes::Xor, &mut out),
    };
    let written = written.expect("a small mask on its source");
    if changes.is_empty() {
        let verify = if kind < 3 {
            verify_seg
        } else {
            verify_structure_set
        };
        verify(out, &request, &written).expect("what was written holds the mask");
        return;
    }
    let n = out.len();
    for (at, byte) in changes {
        out[at % n] ^= byte;
    }
    read_raw(&out);
}
