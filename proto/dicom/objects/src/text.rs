//! Texts that fit their elements, and a character set that has all of them.

use dicom_core::{DataElement, DicomValue, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec as _};
use dicom_object::InMemDicomObject;

use crate::{ObjectError, ObjectWarning};

/// Characters of a long string, LO.
const MAX_LONG: usize = 64;
/// Begins a switch of character sets, in those that have any.
const ESCAPE: u8 = 0x1b;
/// The switch to ASCII.
const TO_ASCII: &[u8] = b"\x1b(B";
/// Characters of a short string, SH.
const MAX_SHORT: usize = 16;

fn fault(attribute: &'static str, text: &str, reason: &'static str) -> ObjectError {
    ObjectError::Text {
        attribute,
        text: text.chars().take(100).collect(),
        reason,
    }
}

/// Refuses what no text element can hold.
pub(crate) fn check_text(attribute: &'static str, text: &str) -> Result<(), ObjectError> {
    if text.contains('\\') || text.chars().any(char::is_control) {
        return Err(fault(
            attribute,
            text,
            "must hold no backslash and no control character",
        ));
    }
    if text.trim().is_empty() {
        return Err(fault(attribute, text, "must not be blank"));
    }
    Ok(())
}

/// Refuses what is no value of a long string.
pub(crate) fn check_long(attribute: &'static str, text: &str) -> Result<(), ObjectError> {
    check_text(attribute, text)?;
    match text.chars().count() <= MAX_LONG {
        true => Ok(()),
        false => Err(fault(attribute, text, "must have 64 characters at most")),
    }
}

/// Refuses what is no value of a long string, or needs a character set.
pub(crate) fn check_long_ascii(attribute: &'static str, text: &str) -> Result<(), ObjectError> {
    check_long(attribute, text)?;
    match text.is_ascii() {
        true => Ok(()),
        false => Err(fault(attribute, text, "must be ASCII")),
    }
}

/// A name as a long string (or a short one), cut with a warning.
pub(crate) fn cut(
    name: &str,
    attribute: &'static str,
    is_short: bool,
    warnings: &mut Vec<ObjectWarning>,
) -> String {
    let max_chars = if is_short { MAX_SHORT } else { MAX_LONG };
    if name.chars().count() <= max_chars {
        return name.to_owned();
    }
    warnings.push(ObjectWarning::NameCut {
        label: name.to_owned(),
        attribute,
        max_chars,
    });
    let kept: String = name.chars().take(max_chars).collect();
    kept.trim_end().to_owned()
}

/// The character set of an object that holds what was copied and these texts: that of the source; UTF-8 where the source is
/// plain ASCII and the texts are not. `None`: no such element.
///
/// # Errors
/// [`ObjectError::Text`] if the set of the source lacks a character of a text.
pub(crate) fn character_set(
    study: &InMemDicomObject,
    texts: &[(&'static str, &str)],
) -> Result<Option<String>, ObjectError> {
    let element = study.get(tags::SPECIFIC_CHARACTER_SET);
    let of_source = element
        .and_then(|element| element.to_raw_str().ok())
        .unwrap_or_default();
    let of_source = of_source.trim_matches([' ', '\0']);
    let kept = (!of_source.is_empty()).then(|| of_source.to_owned());
    let Some((attribute, text)) = texts.iter().find(|(_, text)| !text.is_ascii()) else {
        return Ok(kept);
    };
    if of_source.contains('\\') {
        return Err(fault(
            attribute,
            text,
            "the source switches between character sets; use ASCII letters only",
        ));
    }
    if matches!(of_source, "" | "ISO_IR 6") {
        let copied = study.iter().filter_map(|element| element.to_raw_str().ok());
        let is_ascii = copied.into_iter().all(|copied| copied.is_ascii());
        return match is_ascii {
            true => Ok(Some("ISO_IR 192".to_owned())),
            false => Err(fault(
                attribute,
                text,
                "the source has letters without naming a character set; use ASCII letters only",
            )),
        };
    }
    let Some(codec) = SpecificCharacterSet::from_code(of_source) else {
        return Err(fault(
            attribute,
            text,
            "the source has an unknown character set; use ASCII letters only",
        ));
    };
    for (attribute, text) in texts {
        let round_trip = codec
            .encode(text)
            .ok()
            .and_then(|bytes| codec.decode(&bytes).ok());
        if round_trip.as_deref() != Some(text) {
            return Err(fault(
                attribute,
                text,
                "the character set of the source lacks a letter of it",
            ));
        }
    }
    Ok(kept)
}

/// What was copied, with its texts as the bytes that the character set of the source gives them: a writer of objects would
/// take the first of several sets, and those of the source are not to change.
///
/// # Errors
/// [`ObjectError::Text`] if a text does not come back.
pub(crate) fn stored_text(mut copied: InMemDicomObject) -> Result<InMemDicomObject, ObjectError> {
    let element = copied.get(tags::SPECIFIC_CHARACTER_SET);
    let Some(named) = element.and_then(|element| element.to_raw_str().ok()) else {
        return Ok(copied);
    };
    // The rule of the reader: the first set that is known.
    let codec = named
        .split('\\')
        .find_map(|name| SpecificCharacterSet::from_code(name.trim()))
        .unwrap_or_default();
    let is_text = |vr| matches!(vr, VR::SH | VR::LO | VR::ST | VR::LT | VR::PN | VR::UC | VR::UT);
    let texts = copied.iter().filter(|element| is_text(element.vr()));
    let mut stored = Vec::new();
    for element in texts {
        let DicomValue::Primitive(value @ (PrimitiveValue::Str(_) | PrimitiveValue::Strs(_))) =
            element.value()
        else {
            continue;
        };
        let text = value.to_raw_str();
        let encoded = codec.encode(&text);
        let mut bytes = encoded.map_err(|_| {
            fault(
                "an attribute of the patient or study",
                &text,
                "cannot be copied exactly",
            )
        })?;
        if bytes
            .iter()
            .rposition(|byte| *byte == ESCAPE)
            .is_some_and(|at| !bytes[at..].starts_with(TO_ASCII))
        {
            bytes.extend(TO_ASCII); // values end in ASCII (PS3.5 6.1.2.5.3)
        }
        if !bytes.len().is_multiple_of(2) {
            bytes.push(b' ');
        }
        stored.push(DataElement::new(
            element.header().tag,
            element.vr(),
            PrimitiveValue::from(bytes),
        ));
    }
    for element in stored {
        copied.put(element);
    }
    Ok(copied)
}
