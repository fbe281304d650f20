//! Attributes of an object as text and numbers; what is absent or empty is `None`.

use dicom_core::Tag;
use dicom_object::InMemDicomObject;

use crate::file_error::FileFault;

/// The first value as text.
pub(crate) fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    texts(object, tag).into_iter().next()
}

/// All values as text, padding removed; empty ones at the end are not there.
pub(crate) fn texts(object: &InMemDicomObject, tag: Tag) -> Vec<String> {
    let value = object
        .get(tag)
        .and_then(|element| element.value().to_multi_str().ok());
    let trimmed = |text: &String| text.trim_matches(['\0', ' ']).to_owned();
    let mut texts: Vec<String> = value
        .iter()
        .flat_map(|values| values.iter().map(trimmed))
        .collect();
    while texts.last().is_some_and(String::is_empty) {
        texts.pop();
    }
    texts
}

/// The first value as a whole number.
pub(crate) fn whole(object: &InMemDicomObject, tag: Tag) -> Option<i64> {
    object.get(tag).and_then(|element| element.to_int().ok())
}

/// All values as numbers: `None` if absent or empty.
///
/// # Errors
/// [`FileFault::Attribute`] if one is no finite number.
pub(crate) fn numbers(
    object: &InMemDicomObject,
    tag: Tag,
    attribute: &'static str,
) -> Result<Option<Vec<f64>>, FileFault> {
    let Some(element) = object.get(tag) else {
        return Ok(None);
    };
    let not_numbers = || FileFault::Attribute {
        attribute,
        what: "is not made of numbers".to_owned(),
    };
    let is_blank = element
        .to_multi_str()
        .is_ok_and(|texts| texts.iter().all(|text| text.trim_matches(['\0', ' ']).is_empty()));
    if is_blank {
        return Ok(None);
    }
    let values = element.to_multi_float64().map_err(|_| not_numbers())?;
    if values.iter().all(|value| value.is_finite()) {
        Ok((!values.is_empty()).then_some(values))
    } else {
        Err(not_numbers())
    }
}

/// Exactly `N` numbers, or none.
///
/// # Errors
/// As [`numbers`], and for another count.
pub(crate) fn exactly<const N: usize>(
    object: &InMemDicomObject,
    tag: Tag,
    attribute: &'static str,
) -> Result<Option<[f64; N]>, FileFault> {
    let Some(values) = numbers(object, tag, attribute)? else {
        return Ok(None);
    };
    let n = values.len();
    match values.try_into() {
        Ok(values) => Ok(Some(values)),
        Err(_) => Err(FileFault::Attribute {
            attribute,
            what: format!("has {n} values, {N} are needed"),
        }),
    }
}

/// The items of a sequence, none if it is absent.
pub(crate) fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object
        .get(tag)
        .and_then(|element| element.items())
        .unwrap_or_default()
}
