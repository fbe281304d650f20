//! What tags say of the contrast phase: evidence to look at, never an answer.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use nephrite_types::Phase;
use serde::Serialize;

use crate::attributes::{items, text};

/// What the files of a series say that has to do with contrast; absent or empty attributes are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PhaseEvidence {
    /// ContrastBolusAgentPhase (0018,9344) of enhanced images: ARTERIAL, PORTAL_VENOUS, DELAYED, …
    pub agent_phase: Option<String>,
    /// ContrastBolusAgent (0018,0010).
    pub agent: Option<String>,
    /// AcquisitionTime (0008,0032) minus ContrastBolusStartTime (0018,1042), seconds; often absent or wrong.
    pub seconds_after_start: Option<i64>,
    /// SeriesDescription (0008,103E).
    pub series_description: Option<String>,
    /// ProtocolName (0018,1030).
    pub protocol: Option<String>,
}

/// A stated phase that tags clearly contradict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stated phase is {stated}, but {tag} says {found:?}")]
pub struct PhaseContradiction {
    /// By the caller.
    pub stated: Phase,
    /// Name and tag of what contradicts.
    pub tag: &'static str,
    /// Its value.
    pub found: String,
}

impl PhaseEvidence {
    pub(super) fn of(object: &InMemDicomObject) -> PhaseEvidence {
        let value = |tag| text(object, tag).filter(|text| !text.is_empty());
        let shared = items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        let frames = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).first();
        let usage = |groups: &InMemDicomObject| {
            let usage = items(groups, tags::CONTRAST_BOLUS_USAGE_SEQUENCE).first()?;
            text(usage, tags::CONTRAST_BOLUS_AGENT_PHASE).filter(|text| !text.is_empty())
        };
        let seconds = |tag| value(tag).and_then(|time| seconds_of_day(&time));
        let start = seconds(tags::CONTRAST_BOLUS_START_TIME);
        PhaseEvidence {
            agent_phase: frames
                .and_then(usage)
                .or_else(|| shared.and_then(usage))
                .or_else(|| value(tags::CONTRAST_BOLUS_AGENT_PHASE)),
            agent: value(tags::CONTRAST_BOLUS_AGENT),
            seconds_after_start: seconds(tags::ACQUISITION_TIME)
                .zip(start)
                .map(|(at, start)| at - start),
            series_description: value(tags::SERIES_DESCRIPTION),
            protocol: value(tags::PROTOCOL_NAME),
        }
    }
}

/// Whole seconds of `HHMMSS.FFFFFF`.
fn seconds_of_day(time: &str) -> Option<i64> {
    let digits = time
        .get(..6)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let part = |from: usize| digits[from..from + 2].parse::<i64>().ok();
    Some(part(0)? * 3600 + part(2)? * 60 + part(4)?)
}

/// The phase that a defined term of ContrastBolusAgentPhase names. PS3.3 C.8.15.3.10 and CID 11.
fn phase_of_term(term: &str) -> Option<Phase> {
    match term.to_ascii_uppercase().replace(' ', "_").as_str() {
        "PRE_CONTRAST" | "NONE" => Some(Phase::NonContrast),
        "ARTERIAL" => Some(Phase::Arterial),
        "PORTAL_VENOUS" => Some(Phase::PortalVenous),
        "DELAYED" => Some(Phase::Delayed),
        _ => None,
    }
}

/// Phases that a description names, by words that mean nothing else.
fn phases_of_words(text: &str) -> Vec<Phase> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let says = |terms: &[&str]| words.iter().any(|word| terms.contains(word));
    let mut phases = Vec::new();
    let mut add = |found: bool, phase| {
        if found {
            phases.push(phase);
        }
    };
    add(
        says(&["nativ", "native", "noncontrast", "unenhanced", "precontrast"]),
        Phase::NonContrast,
    );
    add(says(&["arterial", "arteriell"]), Phase::Arterial);
    add(
        says(&["portal", "portalvenous", "portalvenös", "portovenös"]),
        Phase::PortalVenous,
    );
    add(says(&["delayed", "excretory", "urographic"]), Phase::Delayed);
    phases
}

/// Whether tags contradict a stated phase. Evidence that is absent, unclear, or names several phases does not.
///
/// # Errors
/// [`PhaseContradiction`] names the tag.
pub fn check_phase(stated: Phase, evidence: &PhaseEvidence) -> Result<(), PhaseContradiction> {
    let contradiction = |tag, found: &str| PhaseContradiction {
        stated,
        tag,
        found: found.to_owned(),
    };
    if let Some(term) = &evidence.agent_phase
        && phase_of_term(term).is_some_and(|phase| phase != stated)
    {
        return Err(contradiction("ContrastBolusAgentPhase (0018,9344)", term));
    }
    let described = [
        ("SeriesDescription (0008,103E)", &evidence.series_description),
        ("ProtocolName (0018,1030)", &evidence.protocol),
    ];
    // A protocol often names all phases of an examination; the description of a series names its own.
    for (tag, text) in described {
        if let Some(text) = text
            && let [phase] = phases_of_words(text)[..]
            && phase != stated
        {
            return Err(contradiction(tag, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> PhaseEvidence {
        PhaseEvidence {
            series_description: Some(text.to_owned()),
            ..PhaseEvidence::default()
        }
    }

    #[test]
    fn only_clear_words_and_terms_contradict() {
        let arterial = PhaseEvidence {
            agent_phase: Some("ARTERIAL".to_owned()),
            ..PhaseEvidence::default()
        };
        assert!(check_phase(Phase::Arterial, &arterial).is_ok());
        let refused = check_phase(Phase::Delayed, &arterial).unwrap_err();
        assert_eq!(refused.tag, "ContrastBolusAgentPhase (0018,9344)");
        let refused = check_phase(Phase::PortalVenous, &described("Abdomen arteriell 1.0")).unwrap_err();
        assert_eq!(refused.tag, "SeriesDescription (0008,103E)");
        for unclear in [
            "CT Body 3.0",
            "arterial + portal",
            "post contrast",
            "venous",
            "subarterialis",
        ] {
            assert!(
                check_phase(Phase::NonContrast, &described(unclear)).is_ok(),
                "{unclear}"
            );
        }
        assert!(check_phase(Phase::Arterial, &PhaseEvidence::default()).is_ok());
    }

    #[test]
    fn times_of_day_are_read_to_the_second() {
        assert_eq!(seconds_of_day("140216.694022"), Some(50536));
        assert_eq!(seconds_of_day("1402"), None);
        assert_eq!(seconds_of_day("14é16"), None);
    }
}
