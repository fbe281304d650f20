//! Reports: volumes, references, labels that are absent.

use std::collections::BTreeMap;

use dicom_dictionary_std::tags;

use super::samples::*;
use crate::attributes::{code, item, items};
use crate::*;

fn case() -> Case {
    let source = series([4, 6, 7]);
    let geometry = grid(&source, [0, 2, 1], [true, false, true]);
    let mut array = blobs(geometry.shape.zyx(), 4, 2);
    array
        .iter_mut()
        .filter(|label| **label == 3)
        .for_each(|label| *label = 0);
    Case::new(source, vec![mask(&array, geometry)])
}

fn report(case: &Case, means: &BTreeMap<String, f64>) -> Result<(Vec<u8>, Written, Written), ObjectError> {
    let (_, segmentation) = case.seg(SegKind::Binary)?;
    let mut bytes = Vec::new();
    let request = ReportRequest {
        segmentation: &segmentation,
        mean_attenuation_hu: means,
    };
    let written = write_report(&case.request(), &request, &mut bytes)?;
    Ok((bytes, written, segmentation))
}

#[test]
fn each_label_has_a_group_with_its_volume_and_its_segment() {
    let case = case();
    let means = BTreeMap::from([("label_1".to_owned(), 37.25)]);
    let (bytes, written, segmentation) = report(&case, &means).unwrap();
    assert_eq!(
        written.absent,
        [("label_3".to_owned(), nephrite_mask_codec::LabelStatus::NotFound)]
    );
    assert_eq!(report(&case, &means).unwrap().0, bytes);
    let file = open(&bytes);
    let value = |item: &_| code(item, tags::CONCEPT_NAME_CODE_SEQUENCE).unwrap().value;
    let content = items(&file.header.object, tags::CONTENT_SEQUENCE);
    let measurements = content.iter().find(|item| value(item) == "126010").unwrap();
    let groups = items(measurements, tags::CONTENT_SEQUENCE);
    assert_eq!(groups.len(), 3);
    let with_mean = |group: &&_| {
        items(group, tags::CONTENT_SEQUENCE)
            .iter()
            .any(|item| value(item) == "112031")
    };
    assert_eq!(groups.iter().filter(with_mean).count(), 1);
    let comment = content
        .iter()
        .flat_map(|item| items(item, tags::CONTENT_SEQUENCE))
        .find(|item| value(item) == "121106");
    assert_eq!(
        text_of(comment.unwrap(), tags::TEXT_VALUE),
        "Labels without a voxel: label_3 (not found)"
    );
    let finding = items(&groups[0], tags::CONTENT_SEQUENCE)
        .iter()
        .find(|item| value(item) == "121071")
        .unwrap();
    assert_eq!(
        code(finding, tags::CONCEPT_CODE_SEQUENCE).unwrap().to_string(),
        "SCT:64033007:Kidney"
    );
    let side = item(finding, tags::CONTENT_SEQUENCE).unwrap();
    assert_eq!(
        code(side, tags::CONCEPT_CODE_SEQUENCE).unwrap().to_string(),
        "SCT:7771000:Left"
    );
    verify_report(bytes, &case.request(), &written, &segmentation).unwrap();
}

#[test]
fn a_report_of_other_masks_is_noticed() {
    let case = case();
    let (bytes, written, segmentation) = report(&case, &BTreeMap::new()).unwrap();
    let mut other = self::case();
    let geometry = *other.masks[0].runs().geometry();
    let mut array = blobs(geometry.shape.zyx(), 4, 2);
    array
        .iter_mut()
        .filter(|label| **label == 3)
        .for_each(|label| *label = 0);
    let first = array.iter_mut().find(|label| **label == 2).unwrap();
    *first = 0;
    other.masks = vec![mask(&array, geometry)];
    let refused = verify_report(bytes, &other.request(), &written, &segmentation).unwrap_err();
    assert!(
        refused.to_string().contains("\"label_2\" has a volume"),
        "{refused}"
    );
    let means = BTreeMap::from([("label_1".to_owned(), f64::NAN)]);
    assert!(matches!(
        report(&case, &means),
        Err(ObjectError::NotFinite { .. })
    ));
}

#[test]
fn volumes_are_read_back_with_their_segments() {
    let case = case();
    let (bytes, _, segmentation) = report(&case, &BTreeMap::new()).unwrap();
    let volumes = read_report(&open(&bytes)).unwrap();
    let names: Vec<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
    assert_eq!(names, ["label_1", "label_2", "label_4"]);
    let mask = &case.masks[0];
    for volume in &volumes {
        assert_eq!(volume.segmentation_uid, segmentation.sop_instance_uid);
        assert_eq!(volume.segment, u64::from(segmentation.numbers[&volume.name]));
        let id = mask.labels().by_name(&volume.name).unwrap().id;
        let expected = mask.summaries()[&id].voxels as f64 * mask.runs().geometry().voxel_mm3();
        assert!(
            (volume.volume_mm3 - expected).abs() < 1e-9 * expected,
            "{volume:?} {expected}"
        );
    }
}

#[test]
fn what_tells_no_volumes_is_no_report() {
    let case = case();
    let (seg, _) = case.seg(SegKind::Binary).unwrap();
    let refused = read_report(&open(&seg)).unwrap_err().to_string();
    assert!(refused.contains("no Comprehensive 3D SR"), "{refused}");
    let (bytes, ..) = report(&case, &BTreeMap::new()).unwrap();
    // the codes of unit and volume, changed in place
    for (from, to, told) in [
        (&b"mm3 "[..], &b"ml  "[..], "is not mm3"),
        (b"118565006 ", b"118565007 ", "Volume: is missing"),
        (b"121191", b"121192", "Referenced Segment: is missing"),
    ] {
        let at = bytes
            .windows(from.len())
            .position(|window| window == from)
            .unwrap();
        let broken = [&bytes[..at], to, &bytes[at + from.len()..]].concat();
        let refused = read_report(&open(&broken)).unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
    }
}
