//! What a model is called, by its folder.

use std::path::Path;

/// `Dataset902_DemoKidney/nnUNetTrainer__nnUNetPlans__3d_fullres` is `demokidney`.
pub(crate) fn plain_name(model: &Path) -> String {
    let parts: Vec<String> = model
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let dataset = parts
        .iter()
        .rev()
        .find_map(|part| part.strip_prefix("Dataset")?.split_once('_'));
    let name = dataset.map_or_else(
        || parts.last().cloned().unwrap_or_default(),
        |(_, name)| name.to_owned(),
    );
    let plain: String = name
        .to_ascii_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(48)
        .collect();
    if plain.is_empty() {
        "model".to_owned()
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_by_its_dataset() {
        let name = |folder: &str| plain_name(Path::new(folder));
        assert_eq!(name("a/Dataset902_DemoKidney/T__P__3d_fullres"), "demokidney");
        assert_eq!(name("models/Kidney v2"), "kidneyv2");
        assert_eq!(name("models/7!"), "model");
    }
}
