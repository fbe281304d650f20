//! Whether what came is what there is.

use std::collections::BTreeSet;

use crate::at::At;
use crate::error::DicomWebError;
use crate::uid::Uid;

/// Compares a list of instances with that of the series.
///
/// # Errors
/// [`DicomWebError::Missing`], [`DicomWebError::Extra`]
pub(crate) fn same_instances(
    at: &At,
    listed: &BTreeSet<Uid>,
    found: &BTreeSet<Uid>,
    source_of_list: &'static str,
) -> Result<(), DicomWebError> {
    let mut missing = listed.difference(found);
    if let Some(example) = missing.next() {
        return Err(DicomWebError::Missing {
            at: at.clone(),
            n: 1 + missing.count(),
            expected: listed.len(),
            example: example.clone(),
            source_of_list,
        });
    }
    match found.difference(listed).next() {
        Some(uid) => Err(DicomWebError::Extra {
            at: at.clone(),
            uid: uid.clone(),
            source_of_list,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(texts: &[&str]) -> BTreeSet<Uid> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn one_too_few_and_one_too_many_are_told() {
        let at = At::server("pacs");
        let listed = uids(&["1", "2", "3"]);
        let compare = |found: &[&str]| same_instances(&at, &listed, &uids(found), "the answer");
        assert!(compare(&["3", "2", "1"]).is_ok());
        let missing = compare(&["2", "4"]).unwrap_err();
        assert!(
            matches!(&missing, DicomWebError::Missing { n: 2, expected: 3, example, .. } if example.as_str() == "1"),
            "{missing}"
        );
        let extra = compare(&["1", "2", "3", "4"]).unwrap_err();
        assert!(
            matches!(&extra, DicomWebError::Extra { uid, .. } if uid.as_str() == "4"),
            "{extra}"
        );
    }
}
