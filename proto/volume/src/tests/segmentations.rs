//! Segmentations of 3D Slicer as label maps.

use nephrite_types::{CancelToken, Coded, ErrorCode, Labels, Limits};

use crate::VolumeError;
use crate::label_map::{NamedLabelMap, read_sources};
use crate::source::Sources;

/// As 3D Slicer writes it: a crop of the scan, its values named.
const SEGMENTS: &str = "Segment0_Color:=0.5 0.68 0.5\nSegment0_Extent:=2 3 0 0 0 0\nSegment0_ID:=Segment_1\n\
    Segment0_LabelValue:=7\nSegment0_Layer:=0\nSegment0_Name:=left kidney\n\
    Segment0_Tags:=TerminologyEntry:Segmentation category and type~SCT^85756007^Tissue~|\n\
    Segment10_ID:=Segment_2\nSegment10_LabelValue:=300\nSegment10_Layer:=0\n\
    Segmentation_ContainedRepresentationNames:=Binary labelmap|\nSegmentation_ReferenceImageExtentOffset:=2 0 0\n";

fn header(sizes: &str, rest: &str) -> String {
    format!(
        "NRRD0004\n# Complete NRRD file format specification at:\ntype: unsigned short\n{sizes}endian: little\nencoding: raw\n\
         space origin: (10,20,30)\n{rest}\n"
    )
}

const ONE_LAYER: &str = "dimension: 3\nspace: left-posterior-superior\nsizes: 2 1 2\n\
    space directions: (2,0,0) (0,3,0) (0,0,4)\nkinds: domain domain domain\n";
const TWO_LAYERS: &str = "dimension: 4\nspace: left-posterior-superior\nsizes: 2 2 1 2\n\
    space directions: none (2,0,0) (0,3,0) (0,0,4)\nkinds: list domain domain domain\n";

fn read(header: &str, values: &[u16]) -> Result<NamedLabelMap, VolumeError> {
    let voxels: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let bytes = [header.as_bytes(), &voxels].concat();
    let size = bytes.len() as u64;
    read_sources(
        Sources::one(bytes.as_slice(), size),
        "k.seg.nrrd",
        &Limits::default(),
        &CancelToken::new(),
    )
}

#[test]
fn one_layer_is_a_label_map_with_names() {
    let read = read(&header(ONE_LAYER, SEGMENTS), &[0, 7, 300, 7]).unwrap();
    let Labels::U16(labels) = &read.map.labels else {
        panic!()
    };
    assert_eq!(labels.as_slice().unwrap(), [0, 7, 300, 7]);
    assert_eq!(read.map.geometry.shape.xyz(), [2, 1, 2]);
    // of the crop: where its first voxel lies is in the origin already
    let rows = read.map.geometry.affine.rows();
    assert_eq!([rows[0][3], rows[1][3], rows[2][3]], [-10.0, -20.0, 30.0]);
    let names: Vec<(u16, &str)> = read.names.iter().map(|(id, name)| (*id, name.as_str())).collect();
    assert_eq!(names, [(7, "left kidney"), (300, "Segment_2")]);
}

#[test]
fn several_layers_are_refused_with_their_segments() {
    let layers = SEGMENTS.replace("Segment10_Layer:=0", "Segment10_Layer:=1");
    let error = read(&header(TWO_LAYERS, &layers), &[0; 8]).unwrap_err();
    assert!(
        matches!(error, VolumeError::SegmentLayers { n: 2, .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("2 layers") && text.contains("left kidney, "),
        "{text}"
    );
    assert_eq!(error.code(), ErrorCode::InvalidInput);
    // without segments it is something else
    let error = read(&header(TWO_LAYERS, ""), &[0; 8]).unwrap_err();
    assert!(
        matches!(error, VolumeError::SeveralValues { n: 2, .. }),
        "{error}"
    );
}

#[test]
fn values_that_name_nothing_are_refused() {
    for (from, to) in [
        ("LabelValue:=7", "LabelValue:=0"),
        ("LabelValue:=7", "LabelValue:=300"),
        ("LabelValue:=7", "LabelValue:=seven"),
        ("LabelValue:=300", "LabelValue:=65536"),
        ("Layer:=0", "Layer:=-1"),
    ] {
        let error = read(&header(ONE_LAYER, &SEGMENTS.replace(from, to)), &[0; 4]).unwrap_err();
        assert!(matches!(error, VolumeError::HeaderField { .. }), "{to}: {error}");
    }
}
