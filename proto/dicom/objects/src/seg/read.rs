//! Reads segmentations from outside as masks.

use std::collections::{BTreeMap, BTreeSet};

use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use nephrite_dicom::DicomObject;
use nephrite_mask_codec::Mask;
use nephrite_types::Geometry;

use super::pixels_in::{PixelFrames, PixelShape};
use crate::attributes::{code, fault, item, items, number, text, text_opt};
use crate::code::LabelCodes;
use crate::frames_in::FrameGrid;
use crate::layers_in::{PlacedRun, layered, unique_names};
use crate::reslice::reslice;
use crate::{ObjectError, ObjectLimits};

/// What to do with what is no plain mask.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ReadOptions {
    /// Share of the largest value, 0 to 1, from which on a voxel of a FRACTIONAL segmentation counts; `None`: refused.
    pub fractional_threshold: Option<f64>,
}

/// A grid that a segmentation is to be read on.
#[derive(Debug, Clone, Copy)]
pub struct Onto<'a> {
    /// Its voxels.
    pub geometry: &'a Geometry,
    /// FrameOfReferenceUID of what they are of: positions of another frame mean other places. `None` if nothing says it, as in files
    /// that are not DICOM; it is not compared then.
    pub frame_of_reference_uid: Option<&'a str>,
}

/// A segment as its object describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Segment number, and the id in its mask.
    pub number: u16,
    /// Its name there: the segment label, made unique.
    pub name: String,
    /// What it is; `None` if category or type have no readable code.
    pub codes: Option<LabelCodes>,
    /// TrackingUID.
    pub tracking_uid: Option<String>,
}

/// A segmentation that was read.
#[derive(Debug, Clone)]
pub struct SegmentationIn {
    /// FrameOfReferenceUID.
    pub frame_of_reference_uid: String,
    /// SeriesInstanceUID of the series that it refers to, if it names them.
    pub source_series: Vec<String>,
    /// Its segments, by number; those without a voxel, too.
    pub segments: Vec<SegmentInfo>,
    /// Masks on one grid; more than one if segments overlap.
    pub masks: Vec<Mask>,
}

/// Reads a segmentation of kind BINARY or LABELMAP (or, if asked for, FRACTIONAL).
///
/// Without `onto` the grid is that of the frames; with it, every voxel must lie on a voxel of that grid.
///
/// # Errors
/// [`ObjectError`]
pub fn read_seg(
    file: &DicomObject,
    onto: Option<Onto<'_>>,
    options: ReadOptions,
    limits: &ObjectLimits,
) -> Result<SegmentationIn, ObjectError> {
    let object = &file.header.object;
    let kind = Kind::of(object, options)?;
    let frame_of_reference_uid = text(object, tags::FRAME_OF_REFERENCE_UID)?;
    let of_grid = onto.and_then(|onto| onto.frame_of_reference_uid);
    if let Some(of_grid) = of_grid.filter(|of_grid| *of_grid != frame_of_reference_uid) {
        let reason = format!("is {frame_of_reference_uid}, that of the grid {of_grid}");
        return Err(fault(tags::FRAME_OF_REFERENCE_UID, reason));
    }
    let shape = shape_of(object, kind, limits)?;
    let segments = segments_of(object, limits)?;
    let groups = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    if groups.len() != shape.frames {
        let reason = format!(
            "has {} items, expected one for each of {} frames",
            groups.len(),
            shape.frames
        );
        return Err(fault(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, reason));
    }
    let shared = item(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
    let grid = FrameGrid::of(groups, shared, [shape.rows, shape.columns], limits)?;
    let [nz, ny, _] = grid.geometry.shape.zyx();
    ObjectError::check(
        "rows of the segmentation",
        (nz * ny) as u64,
        limits.mask.max_mask_rows,
    )?;
    let pixels = PixelFrames::of(file, shape)?;
    let names: BTreeMap<u16, String> = segments
        .iter()
        .map(|info| (info.number, info.name.clone()))
        .collect();

    let mut runs: Vec<PlacedRun> = Vec::new();
    let mut seen = BTreeSet::new();
    for (frame, group) in groups.iter().enumerate() {
        let segment = kind.segment_of(group, &names)?;
        if !seen.insert((segment, grid.slices[frame])) {
            let reason = format!("puts frame {} where another of its segment lies", frame + 1);
            return Err(fault(tags::IMAGE_POSITION_PATIENT, reason));
        }
        let first_row = grid.slices[frame] * shape.rows;
        let value_of = |value: u16| kind.label_of(value, segment);
        pixels.rows(shape, frame, value_of, |row, (start, end, value)| {
            let label = segment.unwrap_or(value);
            if segment.is_none() && !names.contains_key(&label) {
                return Err(fault(
                    tags::PIXEL_DATA,
                    format!("has the value {label}, which is no segment"),
                ));
            }
            ObjectError::check(
                "runs of the segmentation",
                runs.len() as u64 + 1,
                limits.mask.max_mask_runs,
            )?;
            let row = (first_row + row) as u32; // the grid's rows are below a limit
            runs.push(PlacedRun {
                row,
                start,
                end,
                label,
            });
            Ok(())
        })?;
    }
    let mut masks = layered(runs, &grid.geometry, &names, limits)?;
    if let Some(onto) = onto {
        for mask in &mut masks {
            let moved = reslice(mask.runs(), onto.geometry, &limits.mask)?;
            *mask = Mask::new(moved, mask.labels().clone())?;
        }
    }
    let series = items(object, tags::REFERENCED_SERIES_SEQUENCE).iter();
    Ok(SegmentationIn {
        frame_of_reference_uid,
        source_series: series
            .filter_map(|item| text_opt(item, tags::SERIES_INSTANCE_UID).ok().flatten())
            .collect(),
        segments,
        masks,
    })
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Binary,
    Labelmap,
    /// From this value on.
    Fractional(u16),
}

impl Kind {
    fn of(object: &InMemDicomObject, options: ReadOptions) -> Result<Kind, ObjectError> {
        let class = text(object, tags::SOP_CLASS_UID)?;
        let kind = text(object, tags::SEGMENTATION_TYPE)?;
        match (class.as_str(), kind.as_str()) {
            (uids::SEGMENTATION_STORAGE, "BINARY") => Ok(Kind::Binary),
            (uids::LABEL_MAP_SEGMENTATION_STORAGE, "LABELMAP") => Ok(Kind::Labelmap),
            (uids::SEGMENTATION_STORAGE, "FRACTIONAL") => {
                let share = options
                    .fractional_threshold
                    .filter(|share| (0.0..=1.0).contains(share));
                let Some(share) = share else {
                    let kind = text_opt(object, tags::SEGMENTATION_FRACTIONAL_TYPE)?.unwrap_or_default();
                    return Err(ObjectError::Fractional { kind });
                };
                let largest = number(object, tags::MAXIMUM_FRACTIONAL_VALUE)?.min(255);
                let least = (share * largest as f64).ceil() as u16; // at most 255
                Ok(Kind::Fractional(least.max(1)))
            }
            (uids::SEGMENTATION_STORAGE | uids::LABEL_MAP_SEGMENTATION_STORAGE, other) => Err(fault(
                tags::SEGMENTATION_TYPE,
                format!("is {other:?}, expected BINARY or LABELMAP of their own classes"),
            )),
            (other, _) => Err(fault(
                tags::SOP_CLASS_UID,
                format!("is {other}, which is no segmentation"),
            )),
        }
    }

    /// Number of the segment that a frame is of; `None` where each voxel names its own.
    fn segment_of(
        self,
        group: &InMemDicomObject,
        names: &BTreeMap<u16, String>,
    ) -> Result<Option<u16>, ObjectError> {
        if self == Kind::Labelmap {
            return Ok(None);
        }
        let segment = item(group, tags::SEGMENT_IDENTIFICATION_SEQUENCE);
        let segment =
            segment.ok_or_else(|| fault(tags::SEGMENT_IDENTIFICATION_SEQUENCE, "is missing in a frame"))?;
        let found = number(segment, tags::REFERENCED_SEGMENT_NUMBER)?;
        let known = u16::try_from(found)
            .ok()
            .filter(|found| names.contains_key(found));
        known.map(Some).ok_or_else(|| {
            fault(
                tags::REFERENCED_SEGMENT_NUMBER,
                format!("is {found}, which is no segment"),
            )
        })
    }

    /// What a stored value counts as.
    fn label_of(self, value: u16, segment: Option<u16>) -> u16 {
        match (self, segment) {
            (Kind::Fractional(least), Some(number)) => {
                if value >= least {
                    number
                } else {
                    0
                }
            }
            _ => value,
        }
    }
}

fn shape_of(object: &InMemDicomObject, kind: Kind, limits: &ObjectLimits) -> Result<PixelShape, ObjectError> {
    let side = |tag| match number(object, tag)? {
        n @ 1..=65_535 => Ok(n as usize),
        n => Err(fault(tag, format!("is {n}, expected 1 to 65535"))),
    };
    let (rows, columns) = (side(tags::ROWS)?, side(tags::COLUMNS)?);
    let frames = number(object, tags::NUMBER_OF_FRAMES)?;
    ObjectError::check("frames of the segmentation", frames, limits.max_frames)?;
    let bits = number(object, tags::BITS_ALLOCATED)?;
    let is_allowed = match kind {
        Kind::Binary => bits == 1,
        Kind::Labelmap => bits == 8 || bits == 16,
        Kind::Fractional(_) => bits == 8,
    };
    if frames == 0 || !is_allowed {
        return Err(fault(
            tags::BITS_ALLOCATED,
            format!("is {bits} with {frames} frames, which its kind has not"),
        ));
    }
    if number(object, tags::SAMPLES_PER_PIXEL)? != 1 {
        return Err(fault(tags::SAMPLES_PER_PIXEL, "is not 1"));
    }
    let n_bytes = (u128::from(frames) * (rows * columns) as u128 * u128::from(bits)).div_ceil(8);
    ObjectError::check(
        "bytes of pixel data",
        u64::try_from(n_bytes).unwrap_or(u64::MAX),
        limits.max_pixel_bytes,
    )?;
    Ok(PixelShape {
        frames: frames as usize,
        rows,
        columns,
        bits: bits as usize,
    })
}

fn segments_of(object: &InMemDicomObject, limits: &ObjectLimits) -> Result<Vec<SegmentInfo>, ObjectError> {
    let found = items(object, tags::SEGMENT_SEQUENCE);
    ObjectError::check("segments", found.len() as u64, limits.max_segments as u64 + 1)?; // and a background
    let mut segments = BTreeMap::new();
    for item in found {
        let number = number(item, tags::SEGMENT_NUMBER)?;
        let number =
            u16::try_from(number).map_err(|_| fault(tags::SEGMENT_NUMBER, format!("is {number}")))?;
        let category = code(item, tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE);
        let property_type = code(item, tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE);
        let modifier = crate::attributes::item(item, tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE)
            .and_then(|of_type| code(of_type, tags::SEGMENTED_PROPERTY_TYPE_MODIFIER_CODE_SEQUENCE));
        let codes = category
            .zip(property_type)
            .map(|(category, property_type)| LabelCodes {
                category,
                property_type,
                modifier,
            });
        let info = SegmentInfo {
            number,
            name: text_opt(item, tags::SEGMENT_LABEL)?.unwrap_or_default(),
            codes,
            tracking_uid: text_opt(item, tags::TRACKING_UID)?,
        };
        if segments.insert(number, info).is_some() {
            return Err(fault(tags::SEGMENT_NUMBER, format!("{number} is there twice")));
        }
    }
    segments.remove(&0); // background of a label map
    let mut names = unique_names(segments.values().map(|info| (info.number, info.name.clone())));
    let named = segments.into_values().map(|info| SegmentInfo {
        name: names.remove(&info.number).unwrap_or_default(),
        ..info
    });
    Ok(named.collect())
}
