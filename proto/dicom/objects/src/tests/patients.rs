//! What is copied of patient and study, and which letters an object can hold.

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;

use super::samples::*;
use crate::*;

fn case(name: &str) -> Case {
    let source = series([3, 4, 5]);
    let geometry = grid(&source, [0, 1, 2], [false; 3]);
    let name = name.to_owned();
    let named = named_mask(&blobs([3, 4, 5], 1, 4), geometry, |_| name.clone());
    Case::new(source, vec![named])
}

fn with_set(mut case: Case, set: Option<&str>, patient: &str) -> Case {
    let study = &mut case.source.study;
    study.remove_element(tags::SPECIFIC_CHARACTER_SET);
    study.remove_element(tags::REFERRING_PHYSICIAN_NAME);
    if let Some(set) = set {
        study.put(DataElement::new(
            tags::SPECIFIC_CHARACTER_SET,
            VR::CS,
            PrimitiveValue::from(set),
        ));
    }
    study.put(DataElement::new(
        tags::PATIENT_NAME,
        VR::PN,
        PrimitiveValue::from(patient),
    ));
    case
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn names_are_copied_byte_for_byte() {
    for kind in KINDS {
        let (bytes, _) = case("kidney").seg(kind).unwrap();
        assert!(
            contains(&bytes, b"PN\x0c\x00M\xfcller^J\xf6rg "),
            "Latin-1, padded"
        );
        assert!(contains(&bytes, b"ISO_IR 100"));
        let object = open(&bytes).header.object;
        for (tag, value) in [
            (tags::PATIENT_NAME, "Müller^Jörg"),
            (tags::REFERRING_PHYSICIAN_NAME, "Größe^A"),
            (tags::STUDY_INSTANCE_UID, "1.2.3.4.5"),
            (tags::ACCESSION_NUMBER, "A1"),
            (tags::STUDY_TIME, "101112"),
            (tags::CONTENT_TIME, "101112.5"),
        ] {
            assert_eq!(text_of(&object, tag), value);
        }
    }
    let (bytes, _) = with_set(case("kidney"), Some("ISO_IR 192"), "Müller^Jörg")
        .seg(SegKind::Binary)
        .unwrap();
    assert!(contains(&bytes, "Müller^Jörg".as_bytes()));
    // Several sets: bytes with escapes stay as they are.
    let yamada = "Yamada^Tarou=山田^太郎";
    let (bytes, _) = with_set(case("kidney"), Some("\\ISO 2022 IR 87"), yamada)
        .seg(SegKind::Binary)
        .unwrap();
    assert!(contains(
        &bytes,
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
    ));
    assert_eq!(text_of(&open(&bytes).header.object, tags::PATIENT_NAME), yamada);
}

#[test]
fn labels_with_umlauts_fit_or_are_refused() {
    let written = |case: Case| case.seg(SegKind::Binary).map(|(bytes, _)| bytes);
    let latin = written(case("Nierenkörper")).unwrap();
    assert!(contains(&latin, b"Nierenk\xf6rper"));
    let plain = written(with_set(case("Nierenkörper"), None, "Miller^J")).unwrap();
    assert!(contains(&plain, "Nierenkörper".as_bytes()) && contains(&plain, b"ISO_IR 192"));
    let none = written(with_set(case("kidney"), None, "Miller^J")).unwrap();
    assert!(!contains(&none, b"ISO_IR"));
    for (set, label) in [
        (Some("ISO_IR 100"), "腎"),
        (Some("\\ISO 2022 IR 87"), "Nierenkörper"),
        (Some("ISO_IR 144"), "ö"),
    ] {
        let refused = written(with_set(case(label), set, "Miller^J")).unwrap_err();
        let is_named =
            matches!(&refused, ObjectError::Text { attribute: "SegmentLabel", text, .. } if text == label);
        assert!(is_named, "{refused}");
    }
}

#[test]
fn long_names_are_cut_with_a_warning() {
    let long = "x".repeat(70);
    let (bytes, written) = case(&long).seg(SegKind::Binary).unwrap();
    assert!(
        written
            .warnings
            .iter()
            .any(|warning| matches!(warning, ObjectWarning::NameCut { max_chars: 64, .. }))
    );
    verify_seg(bytes, &case(&long).request(), &written).unwrap();
}

#[test]
fn what_has_no_code_or_no_date_is_said() {
    let mut case = case("spleen");
    case.source.date = String::new();
    let (bytes, written) = case.seg(SegKind::Binary).unwrap();
    let label = "spleen".to_owned();
    assert_eq!(
        written.warnings,
        [ObjectWarning::NoCode { label }, ObjectWarning::NoDate]
    );
    assert_eq!(
        text_of(&open(&bytes).header.object, tags::CONTENT_DATE),
        "19000101"
    );
    assert!(contains(&bytes, b"85756007"));
}
