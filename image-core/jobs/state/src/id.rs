//! What a job is called.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a job is called: 32 hexadecimal digits that follow from its tenant and its key, so that one who submits the same
/// key twice gets the same job, whoever takes the request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

/// Text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no job id, which has 32 hexadecimal digits")]
pub struct IdFault {
    /// As given; cut if it is long.
    pub found: String,
}

/// Digits of an id.
const DIGITS: usize = 32;

impl JobId {
    /// Of the job that a tenant submits with a key.
    pub fn of(tenant: &str, key: &str) -> JobId {
        let mut hash = Sha256::new();
        hash.update((tenant.len() as u64).to_le_bytes()); // so that no two pairs run together alike
        hash.update(tenant);
        hash.update(key);
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        JobId(digits[..DIGITS].to_owned())
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`IdFault`]
    pub fn parse(text: &str) -> Result<JobId, IdFault> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == DIGITS && text.bytes().all(is_digit) {
            return Ok(JobId(text.to_owned()));
        }
        Err(IdFault {
            found: text.chars().take(64).collect(),
        })
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for JobId {
    type Error = IdFault;

    fn try_from(text: String) -> Result<Self, IdFault> {
        JobId::parse(&text)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_of_the_same_tenant_is_the_same_job() {
        assert_eq!(JobId::of("a", "bc"), JobId::of("a", "bc"));
        assert_ne!(JobId::of("a", "bc"), JobId::of("ab", "c"));
        assert_ne!(JobId::of("", "abc"), JobId::of("abc", ""));
        let id = JobId::of("a", "b");
        assert_eq!(JobId::parse(id.as_str()).unwrap(), id);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let good = "0123456789abcdef0123456789abcdef";
        assert!(JobId::parse(good).is_ok());
        for text in [
            "",
            "x",
            &good[1..],
            &good.to_uppercase(),
            &format!("{good}0"),
            "../../../../etc/passwd",
        ] {
            assert!(JobId::parse(text).is_err(), "{text}");
        }
        let long = JobId::parse(&"é".repeat(1000)).unwrap_err();
        assert_eq!(long.found.chars().count(), 64);
    }
}
