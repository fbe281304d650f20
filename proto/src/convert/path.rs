//! Texts, paths and lists of messages, capped before they are looked at.

use std::path::PathBuf;

use crate::ConvertError;

/// Bytes of one text of a request; longer than any path that Linux opens.
pub const MAX_TEXT_BYTES: usize = 4096;
/// Entries of one list of a request.
pub const MAX_LIST_ENTRIES: usize = 64;

/// A path that every request needs. Where it leads is for the server's root to say.
///
/// # Errors
/// [`ConvertError::Missing`], [`ConvertError::TooLong`], [`ConvertError::Nul`].
pub fn path(field: &'static str, text: &str) -> Result<PathBuf, ConvertError> {
    optional_path(field, text)?.ok_or(ConvertError::Missing { field })
}

/// A path; `None` if the text is empty.
///
/// # Errors
/// As [`path`], but for the empty text.
pub fn optional_path(field: &'static str, text: &str) -> Result<Option<PathBuf>, ConvertError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ConvertError::TooLong {
            field,
            limit: MAX_TEXT_BYTES,
            found: text.len(),
        });
    }
    if text.contains('\0') {
        return Err(ConvertError::Nul { field });
    }
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// A list, each entry converted.
///
/// # Errors
/// [`ConvertError::TooMany`], and what `entry` says.
pub fn list<T>(
    field: &'static str,
    texts: &[String],
    entry: impl Fn(&str) -> Result<T, ConvertError>,
) -> Result<Vec<T>, ConvertError> {
    if texts.len() > MAX_LIST_ENTRIES {
        return Err(ConvertError::TooMany {
            field,
            limit: MAX_LIST_ENTRIES,
            found: texts.len(),
        });
    }
    texts.iter().map(|text| entry(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_bounded_and_hold_no_nul() {
        assert_eq!(path("input", "a/b"), Ok("a/b".into()));
        assert_eq!(path("input", ""), Err(ConvertError::Missing { field: "input" }));
        assert_eq!(path("input", "a\0"), Err(ConvertError::Nul { field: "input" }));
        assert_eq!(optional_path("input", ""), Ok(None));
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        assert!(matches!(path("input", &long), Err(ConvertError::TooLong { .. })));
    }

    #[test]
    fn lists_are_bounded() {
        let entry = |text: &str| path("input", text);
        assert_eq!(list("input", &["a".into()], entry), Ok(vec!["a".into()]));
        let long = vec!["a".to_owned(); MAX_LIST_ENTRIES + 1];
        assert!(matches!(
            list("input", &long, entry),
            Err(ConvertError::TooMany { .. })
        ));
        assert!(list("input", &["a".into(), String::new()], entry).is_err());
    }
}
