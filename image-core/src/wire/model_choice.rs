//! Which model, from a message.

use std::path::PathBuf;

use nephrite_nnunet_folder::{CheckpointKind, FoldName, FoldSelection};
use nephrite_proto::ConvertError;
use nephrite_proto::convert::{choice, list};
use nephrite_proto::v1::Checkpoint;

use super::provider::precision;
use crate::model::ModelChoice;

/// The model that a request names.
pub(crate) fn model_choice(
    folder: PathBuf,
    folds: &[String],
    checkpoint: Option<i32>,
    in_precision: Option<i32>,
) -> Result<ModelChoice, ConvertError> {
    let folds = list("folds", folds, |name| {
        name.parse::<FoldName>().map_err(|_| ConvertError::Value {
            field: "folds",
            expected: "numbers or all",
            found: format!("{name:?}"),
        })
    })?;
    Ok(ModelChoice {
        folder,
        folds: match folds.is_empty() {
            true => FoldSelection::Available,
            false => FoldSelection::List(folds),
        },
        checkpoint: match choice("checkpoint", checkpoint)? {
            Some(Checkpoint::Best) => CheckpointKind::Best,
            Some(Checkpoint::Final | Checkpoint::Unspecified) | None => CheckpointKind::Final,
        },
        precision: match in_precision {
            None => None,
            Some(number) => Some(precision(number).ok_or_else(|| ConvertError::Value {
                field: "precision",
                expected: "a precision that this server knows",
                found: number.to_string(),
            })?),
        },
    })
}

/// As the wire names it; nothing but these two is ever loaded.
pub(crate) fn wire_checkpoint(kind: CheckpointKind) -> Checkpoint {
    match kind {
        CheckpointKind::Final => Checkpoint::Final,
        CheckpointKind::Best => Checkpoint::Best,
        CheckpointKind::Latest => Checkpoint::Unspecified,
    }
}
