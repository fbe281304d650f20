//! Names of folds and checkpoints, and which of those that exist a user chose.

use std::fmt;
use std::str::FromStr;

/// One directory `fold_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FoldName {
    /// `fold_0`, `fold_1` …
    Number(u32),
    /// `fold_all`: trained on everything.
    All,
}

/// Which folds to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoldSelection {
    /// Every `fold_*` but `fold_all` that has the checkpoint, in order of their names as text, as nnU-Net does when
    /// no fold is named. If there is only `fold_all`, that.
    Available,
    /// These, in this order.
    List(Vec<FoldName>),
}

/// Which weights of a fold to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckpointKind {
    /// `checkpoint_final.pth`: the end of training.
    Final,
    /// `checkpoint_best.pth`: the best validation score.
    Best,
    /// `checkpoint_latest.pth`: of an interrupted training.
    Latest,
}

/// A fold that exists, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Which.
    pub name: FoldName,
    /// Its checkpoints.
    pub checkpoints: Vec<CheckpointKind>,
    /// True if an exported `network.onnx` lies beside them.
    pub has_onnx: bool,
}

impl FoldName {
    /// Name of the directory.
    pub fn directory(self) -> String {
        format!("fold_{self}")
    }

    /// The fold that a directory holds.
    pub fn from_directory(name: &str) -> Option<FoldName> {
        name.strip_prefix("fold_")?.parse().ok()
    }
}

impl fmt::Display for FoldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FoldName::Number(number) => write!(f, "{number}"),
            FoldName::All => f.write_str("all"),
        }
    }
}

/// Not the name of a fold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fold: expected a number or \"all\"")]
pub struct FoldNameError(String);

impl FromStr for FoldName {
    type Err = FoldNameError;

    fn from_str(text: &str) -> Result<Self, FoldNameError> {
        let is_number = text == "0" || (text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0'));
        match text {
            "all" => Ok(FoldName::All),
            _ if is_number => text
                .parse()
                .map(FoldName::Number)
                .map_err(|_| FoldNameError(text.to_owned())),
            _ => Err(FoldNameError(text.to_owned())),
        }
    }
}

impl CheckpointKind {
    /// All kinds, the preferred first.
    pub const ALL: [CheckpointKind; 3] = [
        CheckpointKind::Final,
        CheckpointKind::Best,
        CheckpointKind::Latest,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            CheckpointKind::Final => "final",
            CheckpointKind::Best => "best",
            CheckpointKind::Latest => "latest",
        }
    }

    /// The kind with this name, if there is one.
    pub fn from_name(name: &str) -> Option<CheckpointKind> {
        CheckpointKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Name of the file.
    pub fn file_name(self) -> &'static str {
        match self {
            CheckpointKind::Final => "checkpoint_final.pth",
            CheckpointKind::Best => "checkpoint_best.pth",
            CheckpointKind::Latest => "checkpoint_latest.pth",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fold_names_go_both_ways() {
        for (text, fold) in [
            ("0", FoldName::Number(0)),
            ("12", FoldName::Number(12)),
            ("all", FoldName::All),
        ] {
            assert_eq!(text.parse(), Ok(fold));
            assert_eq!(FoldName::from_directory(&fold.directory()), Some(fold));
        }
        for text in ["", "-1", "+1", "01", "x", "99999999999", "fold_0", "../0"] {
            assert!(text.parse::<FoldName>().is_err(), "{text}");
        }
        for kind in CheckpointKind::ALL {
            assert_eq!(CheckpointKind::from_name(kind.name()), Some(kind));
        }
    }
}
