//! Keys that say which weights of a model folder are taken, in a pipeline and wherever else a model is named.

use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_settings::Section;
use nephrite_settings::kind::{choice, either, list, parsed};
use nephrite_types::Precision;

/// `folds`: such as `[0, 1]`, `["0", "1"]` or `["all"]`.
pub fn folds(table: &mut Section<'_>) -> FoldSelection {
    let fold = either("number or text", "", |value| match value.text() {
        Some(name) => name.parse().ok(),
        None => value.whole()?.to_string().parse().ok(),
    });
    let folds = list(fold, 1, "a list of numbers, or of \"all\"");
    let folds = table.option(
        "folds",
        folds,
        "every fold_N that is there",
        "folds whose logits are averaged",
    );
    folds.map_or(FoldSelection::Available, FoldSelection::List)
}

/// `checkpoint`: of each fold.
pub fn checkpoint(table: &mut Section<'_>) -> CheckpointKind {
    let kinds = choice(&[("final", CheckpointKind::Final), ("best", CheckpointKind::Best)]);
    table.get(
        "checkpoint",
        kinds,
        CheckpointKind::Final,
        "which checkpoint of each fold",
    )
}

/// `precision`: in what its networks compute.
pub fn precision(table: &mut Section<'_>) -> Option<Precision> {
    table.option(
        "precision",
        parsed("f32, bf16, tf32 or half"),
        "that of the process that runs it",
        "in what its networks compute; a provider that cannot refuses the model",
    )
}
