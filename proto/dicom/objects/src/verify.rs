//! Reads what was written, and compares it with what it was made of, before it may have its name.

use std::collections::BTreeMap;

use dicom_dictionary_std::tags;
use nephrite_dicom::{DicomLimits, DicomObject, open_bytes};
use nephrite_mask_codec::{Mask, RunMask};
use nephrite_types::Geometry;

use crate::alignment::{Alignment, voxel_from_world};
use crate::attributes::text;
use crate::request::{ObjectRequest, Segment, Segments, Written};
use crate::reslice::reslice;
use crate::{
    Nested, ObjectError, Placement, ReadOptions, Slices, StructureSetOptions, read_report, read_seg,
    read_structure_set,
};

/// How far a centroid may lie from that of the mask, in voxels along any axis, beside what the images of the series
/// themselves lie off an even grid.
const MAX_CENTROID_VOXELS: f64 = 0.01;
/// How much a volume may differ, relatively: positions and spacings have 16 characters.
const MAX_VOLUME_SHARE: f64 = 1e-4;

/// A label as it was read back.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedLabel {
    /// Its name in the mask.
    pub name: String,
    /// Voxels with it.
    pub voxels: u64,
    /// By the grid of the object, milliliters.
    pub volume_ml: f64,
    /// By the grid of the object, mm, RAS+.
    pub centroid_mm: [f64; 3],
}

fn fault(reason: String) -> ObjectError {
    ObjectError::Verify { reason }
}

/// Compares the bytes of [`write_seg`](crate::write_seg) with the masks of their request: every voxel, volumes, centroids in
/// the patient, identifiers.
///
/// # Errors
/// [`ObjectError::Verify`] with the first difference; whatever reading them refuses.
pub fn verify_seg(
    bytes: Vec<u8>,
    request: &ObjectRequest<'_>,
    written: &Written,
) -> Result<Vec<VerifiedLabel>, ObjectError> {
    let file = open(bytes, request, written)?;
    let found = read_seg(&file, None, ReadOptions::default(), request.limits)?;
    drop(file);
    if found.frame_of_reference_uid != request.source.frame_of_reference_uid {
        return Err(fault("it has another frame of reference".to_owned()));
    }
    let segments = Segments::of(request)?;
    if found.segments.len() != segments.present.len() {
        return Err(fault(format!(
            "it has {} segments, expected {}",
            found.segments.len(),
            segments.present.len()
        )));
    }
    segments
        .present
        .iter()
        .map(|segment| compare(request, segment, segment.number, &found.masks))
        .collect()
}

/// The same for [`write_structure_set`](crate::write_structure_set), whose contours are filled again. On a grid of its own
/// ([`Placement::OwnGrid`]) contours have no slices to be filled on, and are not compared.
///
/// # Errors
/// As [`verify_seg`].
pub fn verify_structure_set(
    bytes: Vec<u8>,
    request: &ObjectRequest<'_>,
    written: &Written,
) -> Result<Vec<VerifiedLabel>, ObjectError> {
    let file = open(bytes, request, written)?;
    let segments = Segments::of(request)?;
    if request.placement == Placement::OwnGrid {
        return Ok(Vec::new());
    }
    let options = StructureSetOptions {
        nested: Nested::Refuse,
    };
    let found = read_structure_set(
        &file,
        Slices::Series(request.source),
        None,
        options,
        request.limits,
    )?;
    drop(file);
    let ids: BTreeMap<u64, u16> = found
        .regions
        .iter()
        .map(|info| (info.roi_number, info.id))
        .collect();
    let compare = |segment: &Segment| {
        let id = ids.get(&u64::from(segment.number));
        let id = id.ok_or_else(|| fault(format!("it has no region {}", segment.number)))?;
        compare(request, segment, *id, &found.masks)
    };
    segments.present.iter().map(compare).collect()
}

/// The same for [`write_report`](crate::write_report): one group for each label, with its segment and its volume.
///
/// # Errors
/// As [`verify_seg`].
pub fn verify_report(
    bytes: Vec<u8>,
    request: &ObjectRequest<'_>,
    written: &Written,
    segmentation: &Written,
) -> Result<(), ObjectError> {
    let file = open(bytes, request, written)?;
    let groups = read_report(&file)?;
    let segments = Segments::of(request)?;
    if groups.len() != segments.present.len() {
        return Err(fault(format!(
            "it has {} groups, expected {}",
            groups.len(),
            segments.present.len()
        )));
    }
    for (group, segment) in groups.into_iter().zip(&segments.present) {
        let is_same = group.segmentation_uid == segmentation.sop_instance_uid
            && group.segment == u64::from(segment.number);
        if !is_same {
            return Err(fault(format!(
                "the referenced segment of {:?} is another",
                segment.name
            )));
        }
        let geometry = request.masks[segment.layer].runs().geometry();
        check_volume(
            &segment.name,
            group.volume_mm3,
            segment.summary.voxels as f64 * geometry.voxel_mm3(),
        )?;
    }
    Ok(())
}

/// Opens bytes of our own with room for all of them, and compares identifiers.
fn open(bytes: Vec<u8>, request: &ObjectRequest<'_>, written: &Written) -> Result<DicomObject, ObjectError> {
    let n = bytes.len();
    let limits = DicomLimits {
        max_file_bytes: n as u64,
        max_header_bytes: n as u64,
        max_elements: n,
        max_text_values: n,
        ..DicomLimits::DEFAULT
    };
    let file = open_bytes(bytes, "the object", &limits).map_err(|error| fault(error.to_string()))?;
    let object = &file.header.object;
    let study = text(&request.source.study, tags::STUDY_INSTANCE_UID)?;
    for (tag, expected) in [
        (tags::SOP_CLASS_UID, &written.sop_class_uid),
        (tags::SOP_INSTANCE_UID, &written.sop_instance_uid),
        (tags::SERIES_INSTANCE_UID, &written.series_uid),
        (tags::STUDY_INSTANCE_UID, &study),
    ] {
        if text(object, tag)? != *expected {
            return Err(fault(format!(
                "{} is not {expected}",
                crate::attributes::name_of(tag)
            )));
        }
    }
    Ok(file)
}

/// A label of the request with the one that has this id in one of the masks that were read.
fn compare(
    request: &ObjectRequest<'_>,
    segment: &Segment,
    id: u16,
    masks: &[Mask],
) -> Result<VerifiedLabel, ObjectError> {
    let name = &segment.name;
    let expected = request.masks[segment.layer].runs();
    let found = masks.iter().find(|mask| mask.summaries().contains_key(&id));
    let found = found
        .ok_or_else(|| fault(format!("{name:?} has no voxel")))?
        .runs();
    let (voxels, index) = center(found, id);
    let centroid_mm = world(found.geometry(), index);
    let (expected_voxels, expected_index) = center(expected, segment.id);
    if voxels != expected_voxels {
        return Err(fault(format!(
            "{name:?} has {voxels} voxels, expected {expected_voxels}"
        )));
    }
    let volume_mm3 = voxels as f64 * found.geometry().voxel_mm3();
    check_volume(name, volume_mm3, voxels as f64 * expected.geometry().voxel_mm3())?;
    let expected_there = voxel_from_world(
        found.geometry().affine,
        world(expected.geometry(), expected_index),
    );
    let off = (0..3)
        .map(|axis| (expected_there[axis] - index[axis]).abs())
        .fold(0.0, f64::max);
    let irregular = Alignment::between(expected.geometry(), found.geometry())?.off_voxels;
    if off > MAX_CENTROID_VOXELS + irregular {
        return Err(fault(format!(
            "the centroid of {name:?} lies {off:.4} voxels off"
        )));
    }
    let alone = |mask: &RunMask, id: u16| mask.relabel(|_, run| u16::from(run.label == id));
    let moved = reslice(&alone(found, id), expected.geometry(), &request.limits.mask)?;
    let wanted = alone(expected, segment.id);
    if moved.row_starts() != wanted.row_starts() || moved.runs() != wanted.runs() {
        return Err(fault(format!("{name:?} has other voxels")));
    }
    Ok(VerifiedLabel {
        name: name.clone(),
        voxels,
        volume_ml: volume_mm3 / 1000.0,
        centroid_mm,
    })
}

fn check_volume(name: &str, found: f64, expected: f64) -> Result<(), ObjectError> {
    match (found - expected).abs() <= MAX_VOLUME_SHARE * expected {
        true => Ok(()),
        false => Err(fault(format!(
            "{name:?} has a volume of {found} mm3, expected {expected}"
        ))),
    }
}

/// Number of voxels of a label, and the mean of their indices `(x, y, z)`.
fn center(mask: &RunMask, id: u16) -> (u64, [f64; 3]) {
    let ny = mask.shape()[1];
    let (mut n, mut sums) = (0u64, [0.0; 3]);
    for (row, runs) in mask.rows().enumerate() {
        for run in runs.iter().filter(|run| run.label == id) {
            let length = f64::from(run.len());
            n += u64::from(run.len());
            sums[0] += length * (f64::from(run.start) + f64::from(run.end - 1)) / 2.0;
            sums[1] += length * (row % ny) as f64;
            sums[2] += length * (row / ny) as f64;
        }
    }
    (n, sums.map(|sum| sum / n.max(1) as f64))
}

fn world(geometry: &Geometry, index: [f64; 3]) -> [f64; 3] {
    geometry.affine.world_from_voxel(index)
}
