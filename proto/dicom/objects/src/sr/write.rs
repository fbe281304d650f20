//! Writes volumes and mean values of labels as a measurement report, TID 1500.

use std::collections::BTreeMap;
use std::io::Write;

use dicom_dictionary_std::{tags, uids};

use super::content::{code, container, number, segment, text, uid};
use crate::ObjectError;
use crate::code::Code;
use crate::file::write_file;
use crate::item::Item;
use crate::layers::Layers;
use crate::modules::{Identity, Kind, common, instances, reference, tracking_uid};
use crate::request::{ObjectRequest, Segment, Segments, Written};
use crate::text::cut;
use crate::uid::derived;

/// What a report says beyond what its request says.
#[derive(Debug, Clone)]
pub struct ReportRequest<'a> {
    /// The segmentation of the same request, which the report refers to.
    pub segmentation: &'a Written,
    /// Mean value of the image in a label, by its name; only for CT, in Hounsfield units. Labels without one get none.
    pub mean_attenuation_hu: &'a BTreeMap<String, f64>,
}

const KIND: Kind = Kind {
    sop_class_uid: uids::COMPREHENSIVE3_DSR_STORAGE,
    modality: "SR",
    role: "sr",
};

fn dcm(value: &str, meaning: &str) -> Code {
    Code::known("DCM", value, meaning)
}

/// Writes one Comprehensive 3D SR (TID 1500) to `out`, with a measurement group (TID 1411) for each label that has a voxel. The
/// same request gives the same bytes.
///
/// Labels without a voxel are named in the comment of the report, and in what is returned.
///
/// # Errors
/// [`ObjectError`]; nothing that was written may be kept then.
pub fn write_report(
    request: &ObjectRequest<'_>,
    report: &ReportRequest<'_>,
    out: &mut impl Write,
) -> Result<Written, ObjectError> {
    if !report.mean_attenuation_hu.is_empty() && request.source.modality != "CT" {
        let modality = request.source.modality.clone();
        return Err(ObjectError::NoAttenuation { modality });
    }
    let segments = Segments::of(request)?;
    let layers = Layers::of(request)?;
    for segment in &segments.present {
        if report.segmentation.numbers.get(&segment.name) != Some(&segment.number) {
            return Err(ObjectError::object(
                "the segmentation of the report",
                format!(
                    "has no segment {} {:?}: it is that of another request",
                    segment.number, segment.name
                ),
            ));
        }
    }
    let mut warnings = segments.warnings.clone();
    let identity = Identity::of(KIND, request, &mut warnings);
    let voxel_mm3 = layers.stack.geometry.voxel_mm3();
    let groups = segments.present.iter().map(|segment| {
        let name = cut(&segment.name, "TrackingIdentifier", false, &mut warnings);
        group(request, report, segment, &name, voxel_mm3)
    });
    let groups: Vec<Item> = groups.collect::<Result<_, _>>()?;
    let absent: Vec<String> = segments
        .absent
        .iter()
        .map(|(name, status)| format!("{name} ({})", status.name().replace('_', " ")))
        .collect();

    let listed = format!("Labels without a voxel: {}", absent.join(", "));
    let item = common(KIND, request, &identity, &segments.present, &listed)?;
    let mut content = header(request);
    content.push(container(
        "CONTAINS",
        &dcm("126010", "Imaging Measurements"),
        groups,
    ));
    if !absent.is_empty() {
        let finding = text("CONTAINS", &dcm("121106", "Comment"), &listed);
        content.push(container(
            "CONTAINS",
            &Code::known("UMLS", "C0034375", "Qualitative Evaluations"),
            vec![finding],
        ));
    }
    let template = Item::new()
        .text(tags::MAPPING_RESOURCE, "DCMR")
        .text(tags::TEMPLATE_IDENTIFIER, "1500");
    let item = item
        .text(tags::CONTENT_DATE, identity.date.as_str())
        .text(tags::CONTENT_TIME, identity.time.as_str())
        .sequence(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, [])
        .text(tags::COMPLETION_FLAG, "COMPLETE")
        .text(tags::VERIFICATION_FLAG, "UNVERIFIED")
        .text(tags::PRELIMINARY_FLAG, "FINAL")
        .sequence(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, [])
        .sequence(
            tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE,
            [evidence(request, report)],
        )
        .text(tags::VALUE_TYPE, "CONTAINER")
        .code(
            tags::CONCEPT_NAME_CODE_SEQUENCE,
            &dcm("126000", "Imaging Measurement Report"),
        )
        .text(tags::CONTINUITY_OF_CONTENT, "SEPARATE")
        .sequence(tags::CONTENT_TEMPLATE_SEQUENCE, [template])
        .sequence(tags::CONTENT_SEQUENCE, content);
    let instance = &identity.sop_instance_uid;
    write_file(
        out,
        &item.into_object(),
        KIND.sop_class_uid,
        instance,
        uids::EXPLICIT_VR_LITTLE_ENDIAN,
    )?;
    Ok(Written {
        sop_class_uid: KIND.sop_class_uid.to_owned(),
        sop_instance_uid: identity.sop_instance_uid,
        series_uid: identity.series_uid,
        numbers: segments.numbers(),
        absent: segments.absent,
        warnings,
    })
}

/// Language, observer, procedure. Source: PS3.16 TID 1500, 1204, 1001, 1004.
fn header(request: &ObjectRequest<'_>) -> Vec<Item> {
    let equipment = request.equipment;
    let context = "HAS OBS CONTEXT";
    let country = code(
        "HAS CONCEPT MOD",
        &dcm("121046", "Country of Language"),
        &Code::known("ISO3166_1", "US", "United States"),
    );
    let language = code(
        "HAS CONCEPT MOD",
        &dcm("121049", "Language of Content Item and Descendants"),
        &Code::known("RFC5646", "en", "English"),
    )
    .sequence(tags::CONTENT_SEQUENCE, [country]);
    let device = derived(
        &[0; 32],
        &[
            "device",
            &equipment.manufacturer,
            &equipment.model,
            &equipment.serial,
        ],
    );
    let procedure = Code::known("SCT", "363679005", "Imaging procedure");
    vec![
        language,
        code(context, &dcm("121005", "Observer Type"), &dcm("121007", "Device")),
        uid(context, &dcm("121012", "Device Observer UID"), &device),
        text(
            context,
            &dcm("121013", "Device Observer Name"),
            &request.algorithm.name,
        ),
        text(
            context,
            &dcm("121014", "Device Observer Manufacturer"),
            &equipment.manufacturer,
        ),
        text(
            context,
            &dcm("121015", "Device Observer Model Name"),
            &equipment.model,
        ),
        text(
            context,
            &dcm("121016", "Device Observer Serial Number"),
            &equipment.serial,
        ),
        code(
            "HAS CONCEPT MOD",
            &dcm("121058", "Procedure reported"),
            &procedure,
        ),
    ]
}

/// What is known of a label. Source: PS3.16 TID 1411, 300, 1419.
fn group(
    request: &ObjectRequest<'_>,
    report: &ReportRequest<'_>,
    label: &Segment,
    name: &str,
    voxel_mm3: f64,
) -> Result<Item, ObjectError> {
    let contains = "CONTAINS";
    let algorithm = || {
        [
            text(
                "HAS CONCEPT MOD",
                &dcm("111001", "Algorithm Name"),
                &request.algorithm.name,
            ),
            text(
                "HAS CONCEPT MOD",
                &dcm("111003", "Algorithm Version"),
                &request.algorithm.version,
            ),
        ]
    };
    let volume = number(
        contains,
        &Code::known("SCT", "118565006", "Volume"),
        label.summary.voxels as f64 * voxel_mm3,
        &Code::known("UCUM", "mm3", "cubic millimeter"),
    )
    .sequence(tags::CONTENT_SEQUENCE, algorithm());
    let mut content = vec![
        text("HAS OBS CONTEXT", &dcm("112039", "Tracking Identifier"), name),
        uid(
            "HAS OBS CONTEXT",
            &dcm("112040", "Tracking Unique Identifier"),
            &tracking_uid(request, label),
        ),
        code(
            contains,
            &Code::known("SCT", "276214006", "Finding category"),
            &label.codes.category,
        ),
        finding(label),
        segment(
            contains,
            &dcm("121191", "Referenced Segment"),
            &report.segmentation.sop_class_uid,
            &report.segmentation.sop_instance_uid,
            label.number,
        ),
        uid(
            contains,
            &dcm("121232", "Source series for segmentation"),
            &request.source.series_uid,
        ),
        volume,
    ];
    if let Some(&mean) = report.mean_attenuation_hu.get(&label.name) {
        if !mean.is_finite() {
            let (name, value) = (label.name.clone(), mean);
            return Err(ObjectError::NotFinite { name, value });
        }
        let derivation = code(
            "HAS CONCEPT MOD",
            &Code::known("DCM", "121401", "Derivation"),
            &Code::known("SCT", "373098007", "Mean"),
        );
        let mean = number(
            contains,
            &dcm("112031", "Attenuation Coefficient"),
            mean,
            &Code::known("UCUM", "[hnsf'U]", "Hounsfield unit"),
        );
        content.push(mean.sequence(
            tags::CONTENT_SEQUENCE,
            [derivation].into_iter().chain(algorithm()),
        ));
    }
    Ok(container(contains, &dcm("125007", "Measurement Group"), content))
}

/// The type of the label, with what modifies it.
fn finding(label: &Segment) -> Item {
    let item = code("CONTAINS", &dcm("121071", "Finding"), &label.codes.property_type);
    item.when(label.codes.modifier.as_ref(), |item, modifier| {
        let laterality = Code::known("SCT", "272741003", "Laterality");
        item.sequence(
            tags::CONTENT_SEQUENCE,
            [code("HAS CONCEPT MOD", &laterality, modifier)],
        )
    })
}

/// All that the report refers to. Source: PS3.3 C.17.2.
fn evidence(request: &ObjectRequest<'_>, report: &ReportRequest<'_>) -> Item {
    let series = |series: &str, references: Vec<Item>| {
        Item::new()
            .sequence(tags::REFERENCED_SOP_SEQUENCE, references)
            .text(tags::SERIES_INSTANCE_UID, series)
    };
    let segmentation = report.segmentation;
    let of_segmentation = reference((&segmentation.sop_class_uid, &segmentation.sop_instance_uid));
    let of_source = instances(request.source).into_iter().map(reference).collect();
    let study = request.source.study.get(tags::STUDY_INSTANCE_UID);
    let study = study
        .and_then(|element| element.to_str().ok())
        .unwrap_or_default();
    Item::new()
        .sequence(
            tags::REFERENCED_SERIES_SEQUENCE,
            [
                series(&segmentation.series_uid, vec![of_segmentation]),
                series(&request.source.series_uid, of_source),
            ],
        )
        .text(tags::STUDY_INSTANCE_UID, study.trim_end_matches(['\0', ' ']))
}
