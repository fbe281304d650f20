//! Which models have shown that they may run in half precision: remembered between starts, beside the compiled kernels.

use std::path::{Path, PathBuf};

use nephrite_cuda::CardInfo;
use nephrite_nnunet::HalfCheck;
use sha2::{Digest, Sha256};

use super::ModelKey;

/// A model that has shown it, or has not yet.
#[derive(Debug)]
pub(super) struct HalfVerdict {
    /// A file that is there if it has; `None` if nothing is remembered.
    file: Option<PathBuf>,
    /// What the file holds.
    expected: String,
}

impl HalfVerdict {
    /// Of a model whose files would show a change, on such a card; everything that the verdict depends on is in its name.
    pub(super) fn of(cache: Option<&Path>, model: &ModelKey, card: &CardInfo, check: &HalfCheck) -> Self {
        let CardInfo {
            name,
            capability,
            cudnn,
            nvrtc,
            ..
        } = card;
        let version = env!("CARGO_PKG_VERSION");
        let about = format!(
            "{version} {model:?} {name} {capability:?} {cudnn} {nvrtc} {}",
            check.min_agreement
        );
        let hash = Sha256::digest(about);
        let expected: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        HalfVerdict {
            file: cache.map(|folder| folder.join(format!("half-{}", &expected[..32]))),
            expected,
        }
    }

    /// True if the model has shown it before.
    pub(super) fn is_known(&self) -> bool {
        let Some(file) = &self.file else { return false };
        std::fs::read(file).is_ok_and(|found| found == self.expected.as_bytes())
    }

    /// Remembers that the model has shown it. What cannot be remembered is found out again.
    pub(super) fn keep(&self) {
        let Some(file) = &self.file else { return };
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| std::fs::write(file, &self.expected)) {
            tracing::debug!(path = %file.display(), %error, "not remembered");
        }
    }
}

#[cfg(test)]
mod tests {
    use nephrite_cuda::Card;
    use nephrite_nnunet_folder::CheckpointKind;

    use super::*;

    #[test]
    fn a_verdict_is_known_for_the_same_model_card_and_check_alone() {
        let folder = tempfile::tempdir().unwrap();
        let card = Card::twin(0, 1).info().clone();
        let key = |inode| ModelKey {
            folder: (1, inode),
            folds: vec!["fold_0".to_owned()],
            checkpoint: CheckpointKind::Final,
            files: Vec::new(),
        };
        let check = HalfCheck::default();
        let of = |inode, card: &CardInfo, check: &HalfCheck| {
            HalfVerdict::of(Some(folder.path()), &key(inode), card, check)
        };
        assert!(!of(1, &card, &check).is_known());
        of(1, &card, &check).keep();
        assert!(of(1, &card, &check).is_known());
        let stricter = HalfCheck {
            min_agreement: 0.9999,
            ..check
        };
        let other_card = CardInfo {
            cudnn: "9".to_owned(),
            ..card.clone()
        };
        assert!(!of(2, &card, &check).is_known());
        assert!(!of(1, &other_card, &check).is_known());
        assert!(!of(1, &card, &stricter).is_known());
        assert!(!HalfVerdict::of(None, &key(1), &card, &check).is_known());
    }
}
