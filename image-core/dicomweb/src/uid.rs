//! Unique identifiers of DICOM, checked before they become part of a URL or a file name.

use std::fmt;
use std::str::FromStr;

/// Most characters (PS3.5, 9.1).
const MAX_LENGTH: usize = 64;

/// A unique identifier: 1 to 64 digits and dots, each number with at least one digit, so that it is neither `.` nor `..` and
/// needs no escape anywhere. Leading zeros, which the standard forbids and devices write, are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(String);

/// A text that is no unique identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no DICOM UID: expected 1 to 64 digits and dots, with a digit at both ends and no two dots in a row")]
pub struct UidFault;

impl Uid {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Uid {
    type Err = UidFault;

    fn from_str(text: &str) -> Result<Self, UidFault> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() <= MAX_LENGTH && text.split('.').all(is_number) {
            Ok(Uid(text.to_owned()))
        } else {
            Err(UidFault)
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_with_dots_between_are_uids() {
        let longest = format!("1.{}", "2".repeat(62));
        for good in ["1", "1.2.840.10008.1.2", "1.02.0", &longest] {
            assert_eq!(good.parse::<Uid>().unwrap().as_str(), good);
        }
        let long = format!("{longest}3");
        for bad in [
            "", ".", "..", "1..2", ".1", "1.", "1.a", "1/2", "1.2\0", " 1", "1 ", "١", &long,
        ] {
            assert_eq!(bad.parse::<Uid>(), Err(UidFault), "{bad:?}");
        }
    }
}
