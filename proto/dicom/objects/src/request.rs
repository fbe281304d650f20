//! What an object is made of: a source, masks, and what is known of them.

use std::collections::BTreeMap;

use nephrite_mask_codec::{LabelStatus, LabelSummary, Mask};

use crate::code::LabelCodes;
use crate::limits::MAX_SEGMENT_NUMBERS;
use crate::text::check_text;
use crate::{ObjectError, ObjectLimits, ObjectWarning, SourceSeries};

/// Who made an object: the module General Equipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equipment {
    /// Manufacturer, 64 characters at most, as all of these.
    pub manufacturer: String,
    /// ManufacturerModelName.
    pub model: String,
    /// DeviceSerialNumber.
    pub serial: String,
    /// SoftwareVersions.
    pub software: String,
}

impl Equipment {
    /// nephrite itself, of this version.
    pub fn nephrite() -> Equipment {
        Equipment {
            manufacturer: "nephrite".to_owned(),
            model: "nephrite".to_owned(),
            serial: "0".to_owned(),
            software: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What found the labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithm {
    /// Name, 64 characters at most.
    pub name: String,
    /// Version, 64 characters at most.
    pub version: String,
}

/// Where the voxels of the masks lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// On the voxels of the source series; refused otherwise.
    OnSource,
    /// On a grid of their own in the frame of reference of the source, without images of the source per frame.
    OwnGrid,
}

/// What an object is made of.
#[derive(Debug, Clone)]
pub struct ObjectRequest<'a> {
    /// The series that the masks were made of.
    pub source: &'a SourceSeries,
    /// Label maps; labels of different masks may overlap, labels of one cannot.
    pub masks: &'a [Mask],
    /// Codes by the name of a label.
    pub codes: &'a BTreeMap<String, LabelCodes>,
    /// Where the voxels lie.
    pub placement: Placement,
    /// Hash of what the masks were made with and of: UIDs follow from it.
    pub case: [u8; 32],
    /// Tells objects of one case from each other, such as the name of a step; part of the UIDs.
    pub role: &'a str,
    /// SeriesNumber of the new series.
    pub series_number: u32,
    /// SeriesDescription of the new series, 64 characters at most.
    pub description: &'a str,
    /// What found the labels.
    pub algorithm: &'a Algorithm,
    /// Who writes the object.
    pub equipment: &'a Equipment,
    /// What it may cost.
    pub limits: &'a ObjectLimits,
}

/// What was written, apart from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// SOPClassUID.
    pub sop_class_uid: String,
    /// SOPInstanceUID.
    pub sop_instance_uid: String,
    /// SeriesInstanceUID.
    pub series_uid: String,
    /// Number of each label that is in the object, by its name, from 1: segment number, or ROI number.
    pub numbers: BTreeMap<String, u16>,
    /// Labels without a voxel, which are not in the object, and why they have none.
    pub absent: Vec<(String, LabelStatus)>,
    /// What its user should know.
    pub warnings: Vec<ObjectWarning>,
}

/// A label that is written.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// From 1.
    pub(crate) number: u16,
    pub(crate) name: String,
    pub(crate) codes: LabelCodes,
    /// Which mask.
    pub(crate) layer: usize,
    /// Its value there.
    pub(crate) id: u16,
    pub(crate) summary: LabelSummary,
}

/// The labels that have voxels, numbered by mask and id, and those that have none.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) present: Vec<Segment>,
    pub(crate) absent: Vec<(String, LabelStatus)>,
    pub(crate) warnings: Vec<ObjectWarning>,
}

impl Segments {
    pub(crate) fn of(request: &ObjectRequest<'_>) -> Result<Segments, ObjectError> {
        let mut segments = Segments {
            present: Vec::new(),
            absent: Vec::new(),
            warnings: Vec::new(),
        };
        let n_masks = request.masks.len() as u64;
        ObjectError::check(
            "masks of labels that may overlap",
            n_masks,
            request.limits.max_layers as u64,
        )?;
        let mut names = std::collections::BTreeSet::new();
        let entries = request.masks.iter().enumerate();
        let entries =
            entries.flat_map(|(layer, mask)| mask.labels().entries().iter().map(move |entry| (layer, entry)));
        for (layer, entry) in entries {
            let name = &entry.name;
            if !names.insert(name) {
                return Err(ObjectError::NameTwice { name: name.clone() });
            }
            let Some(summary) = request.masks[layer].summaries().get(&entry.id) else {
                segments.absent.push((name.clone(), entry.status));
                continue;
            };
            check_text("SegmentLabel", name)?;
            let codes = request.codes.get(name);
            if codes.is_none() {
                let label = name.clone();
                segments.warnings.push(ObjectWarning::NoCode { label });
            }
            let limit = request.limits.max_segments.min(MAX_SEGMENT_NUMBERS);
            let number = segments.present.len() + 1;
            if number > limit {
                let found = number;
                return Err(ObjectError::TooManySegments { limit, found });
            }
            segments.present.push(Segment {
                number: number as u16, // at most 65535
                name: name.clone(),
                codes: codes.cloned().unwrap_or_else(LabelCodes::tissue),
                layer,
                id: entry.id,
                summary: *summary,
            });
        }
        if segments.present.is_empty() {
            let labels = names.into_iter().cloned().collect();
            return Err(ObjectError::NothingToWrite { labels });
        }
        Ok(segments)
    }

    pub(crate) fn numbers(&self) -> BTreeMap<String, u16> {
        self.present
            .iter()
            .map(|segment| (segment.name.clone(), segment.number))
            .collect()
    }
}
