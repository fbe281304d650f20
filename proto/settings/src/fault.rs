//! What can be wrong in a file, and where.

use std::fmt;

use crate::value::shown_key;

/// Something wrong in a file, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What.
    pub kind: FaultKind,
}

/// Something wrong in a file. Keys are named with the tables that they lie in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// Larger or deeper than a file may be.
    #[error("{what} of more than {limit} {unit}")]
    Limit {
        /// What is too much.
        what: &'static str,
        /// How much there may be.
        limit: usize,
        /// Of what.
        unit: &'static str,
    },
    /// Not TOML.
    #[error("{reason}")]
    Syntax {
        /// What is wrong.
        reason: String,
    },
    /// A key that is there already.
    #[error("{key}: duplicate key")]
    Duplicate {
        /// As it stands in the file.
        key: String,
    },
    /// No such key.
    #[error("{key}: unknown key, known are {}{}", known.join(", "), nearest.map(|key| format!("; did you mean {key}?")).unwrap_or_default())]
    UnknownKey {
        /// The key.
        key: String,
        /// What there is.
        known: Vec<&'static str>,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// A key that must be there.
    #[error("{key}: missing")]
    Missing {
        /// The key.
        key: String,
    },
    /// A value of another type.
    #[error("{key}: {found}, expected {expected}")]
    Type {
        /// The key.
        key: String,
        /// As it stands in the file, shortened.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A value of the right type that cannot be.
    #[error("{key}: {found}, expected {expected}")]
    Range {
        /// The key.
        key: String,
        /// As it stands in the file, shortened.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// There are more than are worth telling.
    #[error("{count} more faults")]
    More {
        /// How many were left out.
        count: usize,
    },
}

impl FaultKind {
    /// The key it is about; empty if it is about none.
    pub fn key(&self) -> &str {
        match self {
            FaultKind::Limit { .. } | FaultKind::Syntax { .. } | FaultKind::More { .. } => "",
            FaultKind::Duplicate { key }
            | FaultKind::UnknownKey { key, .. }
            | FaultKind::Missing { key }
            | FaultKind::Type { key, .. }
            | FaultKind::Range { key, .. } => key,
        }
    }

    /// `name`, which lies in the tables that `within` names, is none of `known`.
    pub(crate) fn unknown(within: &str, name: &str, known: &[&'static str]) -> Self {
        FaultKind::UnknownKey {
            key: format!("{within}{}", shown_key(name)),
            known: known.to_vec(),
            nearest: nearest(name, known),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {}, column {})", self.kind, self.line, self.column)
    }
}

/// The known key that differs least from `name`, if it differs by no more than a slip or two.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if name.len() > 64 {
        return None; // the comparison takes time in proportion to both lengths
    }
    let distances = known.iter().map(|key| (strsim::osa_distance(name, key), *key));
    let (distance, key) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + key.len() / 5).then_some(key)
}
