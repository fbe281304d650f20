//! What a server says that became of instances (PS3.18, 10.5.3 and I.2).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::json::{First, Items, fault, rows};
use crate::json_guard::JsonGuard;
use crate::uid::Uid;

/// What became of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored.
    Stored,
    /// It is stored, with a warning: WarningReason (0008,1196).
    StoredWithWarning(u16),
    /// It is not stored: FailureReason (0008,1197), if the server says it.
    Failed(Option<u16>),
    /// The answer says nothing of it.
    NotMentioned,
}

impl Outcome {
    /// True if the server says that it has it.
    pub fn is_stored(self) -> bool {
        matches!(self, Outcome::Stored | Outcome::StoredWithWarning(_))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Stored => f.write_str("stored"),
            Outcome::StoredWithWarning(code) => {
                write!(f, "stored with warning {code:04X}{}", warning_words(*code))
            }
            Outcome::Failed(Some(code)) => write!(f, "not stored: reason {code:04X}{}", failure_words(*code)),
            Outcome::Failed(None) => f.write_str("not stored"),
            Outcome::NotMentioned => f.write_str("not mentioned in the answer"),
        }
    }
}

/// PS3.18, table I.2-2, and PS3.3, C.14
fn failure_words(code: u16) -> &'static str {
    match code {
        0x0110 => " (processing failure)",
        0x0117 => " (invalid object instance)",
        0x0122 => " (SOP class not supported)",
        0x0124 => " (not authorized)",
        0xA700..=0xA7FF => " (out of resources)",
        0xA900..=0xA9FF => " (data set does not match SOP class)",
        0xC122 => " (transfer syntax not supported)",
        0xC000..=0xCFFF => " (cannot understand)",
        _ => "",
    }
}

/// PS3.18, table I.2-1
fn warning_words(code: u16) -> &'static str {
    match code {
        0xB000 => " (data elements were changed)",
        0xB006 => " (elements were left out)",
        0xB007 => " (data set does not match SOP class)",
        _ => "",
    }
}

#[derive(Default, Deserialize)]
struct Reply {
    #[serde(rename = "00081199", default)]
    stored: Items<Row>,
    #[serde(rename = "00081198", default)]
    failed: Items<Row>,
    #[serde(rename = "0008119A", default)]
    other: Items<IgnoredAny>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "00081155", default)]
    instance: First,
    #[serde(rename = "00081196", default)]
    warning: First,
    #[serde(rename = "00081197", default)]
    failure: First,
}

/// What became of the instances that an answer names, and how many failures it has that it gives no UID of. Where it says both,
/// the instance is not stored.
///
/// # Errors
/// What is wrong with the answer, in words that show nothing of it.
pub(crate) fn outcomes(bytes: &[u8]) -> Result<(BTreeMap<Uid, Outcome>, usize), String> {
    JsonGuard::default().check(bytes)?;
    let start = bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let mut replies = Vec::new();
    let read = match start {
        // Some servers put the one object into a list.
        Some(b'[') => rows(&mut deserializer, |reply: Reply| {
            replies.push(reply);
            Ok(())
        }),
        _ => Reply::deserialize(&mut deserializer).map(|reply| replies.push(reply)),
    };
    read.map_err(|error| fault(&error))?;
    let mut outcomes = BTreeMap::new();
    let mut unnamed = 0;
    let uid = |row: &Row| {
        row.instance
            .0
            .as_deref()
            .and_then(|text| text.parse::<Uid>().ok())
    };
    let code = |first: &First| first.0.as_deref().and_then(|text| text.parse::<u16>().ok());
    for row in replies.iter().flat_map(|reply| &reply.stored.0) {
        let warning = code(&row.warning).filter(|code| *code != 0);
        let outcome = warning.map_or(Outcome::Stored, Outcome::StoredWithWarning);
        if let Some(uid) = uid(row) {
            outcomes.insert(uid, outcome);
        }
    }
    for row in replies.iter().flat_map(|reply| &reply.failed.0) {
        match uid(row) {
            Some(uid) => {
                outcomes.insert(uid, Outcome::Failed(code(&row.failure)));
            }
            None => unnamed += 1,
        }
    }
    unnamed += replies.iter().map(|reply| reply.other.0.len()).sum::<usize>();
    Ok((outcomes, unnamed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> Uid {
        text.parse().unwrap()
    }

    const REPLY: &str = r#"{"00081190": {"vr": "UR", "Value": ["http://pacs/studies/1"]},
        "00081199": {"vr": "SQ", "Value": [
            {"00081150": {"vr": "UI", "Value": ["9"]}, "00081155": {"vr": "UI", "Value": ["1.1"]}},
            {"00081155": {"vr": "UI", "Value": ["1.2"]}, "00081196": {"vr": "US", "Value": [45056]}},
            {"00081155": {"vr": "UI", "Value": ["1.3"]}}]},
        "00081198": {"vr": "SQ", "Value": [
            {"00081155": {"vr": "UI", "Value": ["1.3"]}, "00081197": {"vr": "US", "Value": [49442]}},
            {"00081155": {"vr": "UI", "Value": ["1.4"]}}, {}]},
        "0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [272]}}]}}"#;

    #[test]
    fn every_instance_has_its_outcome_and_a_failure_wins() {
        let (found, unnamed) = outcomes(REPLY.as_bytes()).unwrap();
        let expected = [
            (uid("1.1"), Outcome::Stored),
            (uid("1.2"), Outcome::StoredWithWarning(0xB000)),
            (uid("1.3"), Outcome::Failed(Some(0xC122))),
            (uid("1.4"), Outcome::Failed(None)),
        ];
        assert_eq!((found, unnamed), (expected.into(), 2));
        let listed = outcomes(format!(" [{REPLY}]").as_bytes()).unwrap();
        assert_eq!(listed.0.len(), 4);
        assert_eq!(outcomes(b"{}").unwrap(), (BTreeMap::new(), 0));
        let told = Outcome::Failed(Some(0xC122)).to_string();
        assert_eq!(told, "not stored: reason C122 (transfer syntax not supported)");
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for text in ["", "<x/>", "7", "{\"00081199\": 3}", "{"] {
            assert!(outcomes(text.as_bytes()).is_err(), "{text}");
        }
    }
}
