//! Attributes of objects from outside, each asked for by the type it must have.

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::InMemDicomObject;

use crate::ObjectError;
use crate::code::Code;

/// Longest text that is looked at.
const MAX_TEXT_BYTES: usize = 1 << 16;

/// The keyword of an attribute, for messages.
pub(crate) fn name_of(tag: Tag) -> String {
    let entry = StandardDataDictionary.by_tag(tag);
    entry.map_or_else(|| tag.to_string(), |entry| entry.alias().to_owned())
}

pub(crate) fn fault(tag: Tag, reason: impl Into<String>) -> ObjectError {
    ObjectError::object(name_of(tag), reason)
}

/// A text without padding; `None` if it is missing or empty.
pub(crate) fn text_opt(object: &InMemDicomObject, tag: Tag) -> Result<Option<String>, ObjectError> {
    let Some(element) = object.get(tag) else {
        return Ok(None);
    };
    let text = element.to_str().map_err(|_| fault(tag, "is no text"))?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(fault(tag, "is too long"));
    }
    let text = text.trim_matches([' ', '\0']);
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// A text that must be there.
pub(crate) fn text(object: &InMemDicomObject, tag: Tag) -> Result<String, ObjectError> {
    text_opt(object, tag)?.ok_or_else(|| fault(tag, "is missing"))
}

/// A whole number that must be there and not be negative.
pub(crate) fn number(object: &InMemDicomObject, tag: Tag) -> Result<u64, ObjectError> {
    let element = object.get(tag).ok_or_else(|| fault(tag, "is missing"))?;
    element
        .to_int::<u64>()
        .map_err(|_| fault(tag, "is no whole number"))
}

/// As many finite numbers as expected; `None` if they are missing.
pub(crate) fn numbers_opt<const N: usize>(
    object: &InMemDicomObject,
    tag: Tag,
) -> Result<Option<[f64; N]>, ObjectError> {
    let Some(element) = object.get(tag).filter(|element| !is_empty(element.value())) else {
        return Ok(None);
    };
    let values = element
        .to_multi_float64()
        .map_err(|_| fault(tag, "is no number"))?;
    let n = values.len();
    let values: [f64; N] = values
        .try_into()
        .map_err(|_| fault(tag, format!("has {n} values, expected {N}")))?;
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(Some(values)),
        false => Err(fault(tag, "is not finite")),
    }
}

fn is_empty(value: &dicom_core::DicomValue<InMemDicomObject>) -> bool {
    value.primitive().is_some_and(|value| value.multiplicity() == 0)
}

/// Items of a sequence; none if it is missing.
pub(crate) fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object
        .get(tag)
        .and_then(|element| element.items())
        .unwrap_or_default()
}

/// The first item of a sequence.
pub(crate) fn item(object: &InMemDicomObject, tag: Tag) -> Option<&InMemDicomObject> {
    items(object, tag).first()
}

/// A code; `None` if it is missing or none that could be written.
pub(crate) fn code(object: &InMemDicomObject, tag: Tag) -> Option<Code> {
    let item = item(object, tag)?;
    let text = |tag| text_opt(item, tag).ok().flatten();
    let value = text(tags::CODE_VALUE).or_else(|| text(tags::LONG_CODE_VALUE))?;
    let (scheme, meaning) = (text(tags::CODING_SCHEME_DESIGNATOR)?, text(tags::CODE_MEANING)?);
    format!("{scheme}:{value}:{meaning}").parse().ok()
}
