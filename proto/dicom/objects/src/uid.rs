//! Unique identifiers that follow from what they name, so that the same request writes the same bytes.

use uuid::Uuid;

/// Of nephrite's objects: the version 5 UUID of `nephrite.dicom-objects` in the DNS namespace.
fn namespace() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"nephrite.dicom-objects")
}

/// `2.25.<UUID as a decimal number>` of a case and what the UID stands for within it.
///
/// The parts are joined with their lengths, so that no two lists of parts give one text. Source: PS3.5 B.2.
pub(crate) fn derived(case: &[u8; 32], parts: &[&str]) -> String {
    let mut name = case.to_vec();
    for part in parts {
        name.extend((part.len() as u64).to_le_bytes());
        name.extend(part.as_bytes());
    }
    format!("2.25.{}", Uuid::new_v5(&namespace(), &name).as_u128())
}

/// Whether a text is a UID: 1 to 64 characters, digits in groups between points, no group with a leading zero.
///
/// Source: PS3.5 9.1.
pub fn is_uid(text: &str) -> bool {
    let is_group = |group: &str| {
        !group.is_empty()
            && group.bytes().all(|byte| byte.is_ascii_digit())
            && (group == "0" || !group.starts_with('0'))
    };
    text.len() <= 64 && text.split('.').all(is_group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_uids_are_valid_and_differ_by_every_part() {
        let of = |parts: &[&str]| derived(&[7; 32], parts);
        let uids = [
            of(&["seg", "a"]),
            of(&["seg", "b"]),
            of(&["sega"]),
            of(&["se", "ga"]),
        ];
        for (idx, uid) in uids.iter().enumerate() {
            assert!(is_uid(uid), "{uid}");
            assert!(!uids[..idx].contains(uid));
        }
        assert_eq!(of(&["seg", "a"]), uids[0]);
        assert_ne!(derived(&[8; 32], &["seg", "a"]), uids[0]);
    }

    #[test]
    fn what_is_no_uid_is_told() {
        for uid in ["1.2.840.10008.5.1.4.1.1.2", "2.25.0", "1"] {
            assert!(is_uid(uid), "{uid}");
        }
        let long = "1.".repeat(32) + "1";
        for wrong in [
            "",
            "1..2",
            ".1",
            "1.",
            "1.02",
            "1.2a",
            "../1",
            "1.2 ",
            "1.2\0",
            long.as_str(),
        ] {
            assert!(!is_uid(wrong), "{wrong:?}");
        }
    }
}
