//! The modules that all objects share: patient, study, series, equipment, frame of reference, SOP common.

use dicom_dictionary_std::tags;

use crate::item::Item;
use crate::request::{ObjectRequest, Placement, Segment};
use crate::source::REQUIRED_STUDY_ATTRIBUTES;
use crate::text::{character_set, check_long, stored_text};
use crate::uid::derived;
use crate::{ObjectError, ObjectWarning, SourceSeries};

/// Which kind of object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) sop_class_uid: &'static str,
    /// Modality of the new series.
    pub(crate) modality: &'static str,
    /// Part of UIDs.
    pub(crate) role: &'static str,
}

/// The identity of an object that is written.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) sop_instance_uid: String,
    pub(crate) series_uid: String,
    pub(crate) date: String,
    pub(crate) time: String,
}

impl Identity {
    pub(crate) fn of(kind: Kind, request: &ObjectRequest<'_>, warnings: &mut Vec<ObjectWarning>) -> Identity {
        let placement = match request.placement {
            Placement::OnSource => "on-source",
            Placement::OwnGrid => "own-grid",
        };
        let uid = |what| derived(&request.case, &[kind.role, placement, request.role, what]);
        let (date, time) = date_of(request.source);
        let (date, time) = match date.is_empty() {
            true => {
                warnings.push(ObjectWarning::NoDate);
                ("19000101", "000000")
            }
            false => (date, time),
        };
        Identity {
            sop_instance_uid: uid("instance"),
            series_uid: uid("series"),
            date: date.to_owned(),
            time: time.to_owned(),
        }
    }
}

/// Date and time, where they have the form of such; never the clock.
fn date_of(source: &SourceSeries) -> (&str, &str) {
    let date = source.date.trim();
    let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    let time = source.time.trim();
    let is_time =
        (2..=16).contains(&time.len()) && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (
        if is_date { date } else { "" },
        if is_time { time } else { "000000" },
    )
}

/// UID by which a label is followed through objects of its case.
pub(crate) fn tracking_uid(request: &ObjectRequest<'_>, segment: &Segment) -> String {
    derived(&request.case, &["tracking", request.role, &segment.name])
}

/// All that is not special to a kind; `remark` is a text that the kind adds.
pub(crate) fn common(
    kind: Kind,
    request: &ObjectRequest<'_>,
    identity: &Identity,
    segments: &[Segment],
    remark: &str,
) -> Result<Item, ObjectError> {
    let (source, equipment, algorithm) = (request.source, request.equipment, request.algorithm);
    let long = [
        ("SeriesDescription", request.description),
        ("Manufacturer", &equipment.manufacturer),
        ("ManufacturerModelName", &equipment.model),
        ("DeviceSerialNumber", &equipment.serial),
        ("SoftwareVersions", &equipment.software),
        ("SegmentAlgorithmName", &algorithm.name),
        ("AlgorithmVersion", &algorithm.version),
    ];
    for (attribute, text) in long {
        check_long(attribute, text)?;
    }
    let labels = segments.iter().flat_map(|segment| {
        let codes = &segment.codes;
        let meanings = [
            Some(&codes.category),
            Some(&codes.property_type),
            codes.modifier.as_ref(),
        ];
        let meanings = meanings
            .into_iter()
            .flatten()
            .map(|code| ("CodeMeaning", code.meaning.as_str()));
        meanings.chain([("SegmentLabel", segment.name.as_str())])
    });
    let texts = long.into_iter().chain(labels).chain([("TextValue", remark)]);
    let texts: Vec<(&'static str, &str)> = texts.collect();
    let character_set = character_set(&source.study, &texts)?;
    let copied = stored_text(source.study.clone())?;
    let item = Item::from_object(copied)
        .with_empty(REQUIRED_STUDY_ATTRIBUTES)
        .when(character_set, |item, set| {
            item.text(tags::SPECIFIC_CHARACTER_SET, set)
        })
        .text(tags::SOP_CLASS_UID, kind.sop_class_uid)
        .text(tags::SOP_INSTANCE_UID, identity.sop_instance_uid.as_str())
        .text(tags::INSTANCE_NUMBER, "1")
        .text(tags::MODALITY, kind.modality)
        .text(tags::SERIES_INSTANCE_UID, identity.series_uid.as_str())
        .text(tags::SERIES_NUMBER, request.series_number.to_string())
        .text(tags::SERIES_DESCRIPTION, request.description)
        .text(tags::SERIES_DATE, identity.date.as_str())
        .text(tags::SERIES_TIME, identity.time.as_str())
        .text(tags::MANUFACTURER, equipment.manufacturer.as_str())
        .text(tags::MANUFACTURER_MODEL_NAME, equipment.model.as_str())
        .text(tags::DEVICE_SERIAL_NUMBER, equipment.serial.as_str())
        .text(tags::SOFTWARE_VERSIONS, equipment.software.as_str());
    Ok(item)
}

/// The module Frame of Reference.
pub(crate) fn frame_of_reference(item: Item, source: &SourceSeries) -> Item {
    item.text(
        tags::FRAME_OF_REFERENCE_UID,
        source.frame_of_reference_uid.as_str(),
    )
    .text(
        tags::POSITION_REFERENCE_INDICATOR,
        source.position_reference.as_str(),
    )
}

/// Instances of the source, each once, in the order of their first slice.
pub(crate) fn instances(source: &SourceSeries) -> Vec<(&str, &str)> {
    let mut seen = std::collections::BTreeSet::new();
    let slices = source.slices.iter();
    let all = slices.map(|slice| (slice.sop_class_uid.as_str(), slice.sop_instance_uid.as_str()));
    all.filter(|(_, instance)| seen.insert(*instance)).collect()
}

/// An item that refers to an instance.
pub(crate) fn reference((class, instance): (&str, &str)) -> Item {
    Item::new()
        .text(tags::REFERENCED_SOP_CLASS_UID, class)
        .text(tags::REFERENCED_SOP_INSTANCE_UID, instance)
}
