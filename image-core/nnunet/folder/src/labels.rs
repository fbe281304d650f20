//! Labels, regions and the ignore label, and which value of a mask each output channel stands for.

use nephrite_types::Limits;

use crate::FolderError;
use crate::json::{Json, parse_python_json};

/// What the output channels of a network mean.
///
/// Source: nnunetv2 2.8.1, `utilities/label_handling/label_handling.py`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelScheme {
    /// Names in file order with the labels they cover (one for a plain label), `background` included, `ignore` not.
    pub names: Vec<(String, Vec<u16>)>,
    /// Every label that occurs, ascending, without `ignore`.
    pub all_labels: Vec<u16>,
    /// `all_labels` without background; the one-hot channels of a cascade.
    pub foreground_labels: Vec<u16>,
    /// The label that marked unannotated voxels in training; never predicted.
    pub ignore: Option<u16>,
    /// What each output channel stands for.
    pub heads: Heads,
}

/// The output channels of a network, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heads {
    /// Softmax: channel i is label i; the voxel gets the index of its largest channel. Labels are 0, 1, 2 … without gaps:
    /// nnU-Net writes the index and takes it for the label, so that other labels would be called by wrong names.
    Labels(Vec<u16>),
    /// Sigmoid: channel i is a set of labels; the voxel gets `class_order[i]` of the last region that holds it.
    Regions {
        /// Labels of each region, in file order, background-only ones left out.
        regions: Vec<Vec<u16>>,
        /// `regions_class_order`: the value each region writes.
        class_order: Vec<u16>,
    },
}

/// Labels in all regions together, and output channels: far above `Limits::max_classes` by default, and few enough that a
/// channel and "none" fit into 16 bits.
const MAX_ENTRIES: usize = u16::MAX as usize;

impl LabelScheme {
    /// Output channels of the network.
    pub fn n_heads(&self) -> usize {
        match &self.heads {
            Heads::Labels(labels) => labels.len(),
            Heads::Regions { regions, .. } => regions.len(),
        }
    }

    /// True if the model predicts overlapping regions.
    pub fn has_regions(&self) -> bool {
        matches!(self.heads, Heads::Regions { .. })
    }

    /// The values that occur in a mask and what they are called, background left out, in order of the output
    /// channels. With regions, the value that a region writes has the region's name.
    pub fn value_names(&self) -> Vec<(u16, &str)> {
        let is_foreground = |labels: &[u16]| labels.iter().any(|&label| label != 0);
        let foreground = self.names.iter().filter(|(_, labels)| is_foreground(labels));
        match &self.heads {
            Heads::Regions { class_order, .. } => foreground
                .zip(class_order)
                .map(|((name, _), &value)| (value, name.as_str()))
                .collect(),
            Heads::Labels(_) => {
                let mut values: Vec<_> = foreground
                    .map(|(name, labels)| (labels[0], name.as_str()))
                    .collect();
                values.sort_by_key(|(value, _)| *value);
                values
            }
        }
    }

    pub(crate) fn read(dataset: &Json<'_>, limits: &Limits) -> Result<Self, FolderError> {
        let labels = dataset.require("labels")?;
        let max_classes = limits.max_classes.min(MAX_ENTRIES);
        // Background and the ignore label may come on top of what the network gives.
        if labels.object()?.len() > max_classes.saturating_add(2) {
            return Err(labels.invalid(format!("at most {max_classes} output channels")));
        }
        let entries = labels.entries()?;
        check_background(&labels)?;
        let mut names = Vec::new();
        let mut has_regions = false;
        let mut n_values = 0usize;
        for (name, value) in entries.iter().filter(|(name, _)| *name != "ignore") {
            let ids = label_or_region(value)?;
            n_values += ids.len();
            has_regions |= ids.len() > 1;
            names.push(((*name).to_owned(), ids));
        }
        if n_values > MAX_ENTRIES {
            return Err(labels.invalid(format!("at most {MAX_ENTRIES} labels in all regions")));
        }
        let mut all_labels: Vec<u16> = names.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
        all_labels.sort_unstable();
        all_labels.dedup();
        let foreground_labels: Vec<u16> = all_labels.iter().copied().filter(|&label| label != 0).collect();
        if foreground_labels.is_empty() {
            return Err(labels.invalid("an object of at least one label besides background"));
        }
        let heads = match has_regions {
            true => regions(dataset, &names)?,
            false if all_labels.iter().zip(0..).all(|(&label, index)| label == index) => {
                Heads::Labels(all_labels.clone())
            }
            false => {
                return Err(FolderError::LabelGap {
                    file: labels.file().to_owned(),
                    found: all_labels,
                });
            }
        };
        let ignore = ignore_label(&labels, &all_labels)?;
        let scheme = LabelScheme {
            names,
            all_labels,
            foreground_labels,
            ignore,
            heads,
        };
        if scheme.n_heads() > max_classes {
            return Err(labels.invalid(format!("at most {max_classes} output channels")));
        }
        Ok(scheme)
    }
}

fn check_background(labels: &Json<'_>) -> Result<(), FolderError> {
    let background = labels.require("background")?;
    match background.label() {
        Ok(0) => Ok(()),
        _ => Err(background.invalid("0")),
    }
}

/// One label, or the labels of a region.
fn label_or_region(value: &Json<'_>) -> Result<Vec<u16>, FolderError> {
    if !value.value().is_array() {
        return value.label().map(|label| vec![label]);
    }
    let ids = value.list(MAX_ENTRIES)?;
    if ids.is_empty() {
        return Err(value.invalid("a label or a list of labels"));
    }
    ids.iter().map(|id| id.label()).collect()
}

fn ignore_label(labels: &Json<'_>, all_labels: &[u16]) -> Result<Option<u16>, FolderError> {
    let Some(ignore) = labels.get("ignore")? else {
        return Ok(None);
    };
    let expected = all_labels.last().copied().unwrap_or(0).saturating_add(1);
    // nnU-Net takes a plain integer here and nothing else.
    match ignore
        .value()
        .as_u64()
        .and_then(|label| u16::try_from(label).ok())
    {
        Some(label) if label == expected => Ok(Some(label)),
        _ => Err(ignore.invalid(format!("{expected}, the highest label plus one"))),
    }
}

fn regions(dataset: &Json<'_>, names: &[(String, Vec<u16>)]) -> Result<Heads, FolderError> {
    let is_background = |ids: &[u16]| ids.iter().all(|&id| id == 0);
    let regions: Vec<Vec<u16>> = names
        .iter()
        .map(|(_, ids)| ids.clone())
        .filter(|ids| !is_background(ids))
        .collect();
    let order = dataset.require("regions_class_order")?;
    let class_order = order
        .list(MAX_ENTRIES)?
        .iter()
        .map(|id| id.label())
        .collect::<Result<Vec<_>, _>>()?;
    if class_order.len() != regions.len() {
        return Err(order.invalid(format!(
            "a list of {}, as many as there are regions",
            regions.len()
        )));
    }
    // Names belong to values: one that is written for two regions, or is background, would be called by a wrong name.
    let mut seen = std::collections::HashSet::new();
    if class_order.iter().any(|&value| value == 0 || !seen.insert(value)) {
        return Err(order.invalid("a list of values from 1 to 65535, each once"));
    }
    Ok(Heads::Regions { regions, class_order })
}

/// The labels of a dataset.json that stand for one id each, and these ids, in file order; regions and `ignore` are left out.
/// `file` names it in errors.
///
/// # Errors
/// [`FolderError`] naming the key and the value.
pub fn plain_labels(file: &str, json: &[u8]) -> Result<Vec<(String, u16)>, FolderError> {
    let root = parse_python_json(file, json)?;
    let labels = Json::root(file, &root).require("labels")?;
    if labels.object()?.len() > MAX_ENTRIES {
        return Err(labels.invalid(format!("at most {MAX_ENTRIES} labels")));
    }
    let mut plain = Vec::new();
    for (name, value) in labels.entries()? {
        let ids = label_or_region(&value)?;
        if let ([id], false) = (ids.as_slice(), name == "ignore") {
            plain.push((name.to_owned(), *id));
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use nephrite_types::Coded;

    use super::*;
    use serde_json::{Value, json};

    fn read(dataset: Value) -> Result<LabelScheme, FolderError> {
        LabelScheme::read(&Json::root("dataset.json", &dataset), &Limits::default())
    }

    #[test]
    fn plain_labels_are_sorted_heads() {
        let scheme =
            read(json!({ "labels": { "liver": 2, "background": 0, "kidney": [1], "ignore": 3 } })).unwrap();
        assert_eq!(scheme.heads, Heads::Labels(vec![0, 1, 2]));
        assert_eq!(scheme.n_heads(), 3);
        assert_eq!(scheme.foreground_labels, [1, 2]);
        assert_eq!(scheme.ignore, Some(3));
        assert_eq!(scheme.value_names(), [(1, "kidney"), (2, "liver")]);
        assert_eq!(scheme.names[0].0, "liver", "file order is kept");
    }

    #[test]
    fn plain_labels_with_gaps_are_refused_for_the_network_writes_indices() {
        let check = |labels: Value, found: &str| {
            let error = read(json!({ "labels": labels })).unwrap_err();
            assert_eq!(error.code(), nephrite_types::ErrorCode::InvalidModel);
            let message = error.to_string();
            assert!(
                message.starts_with(&format!(
                    "dataset.json: labels must be 0, 1, 2 … without gaps, found {found}: "
                )),
                "{message}"
            );
        };
        check(json!({ "background": 0, "kidney": 1, "tumor": 3 }), "[0, 1, 3]");
        check(json!({ "background": 0, "kidney": 2, "tumor": 5 }), "[0, 2, 5]");
        check(json!({ "background": 0, "kidney": 2 }), "[0, 2]");
        check(json!({ "background": 0, "kidney": [2], "ignore": 3 }), "[0, 2]");
        check(
            json!({ "background": 0, "a": 1, "b": 300, "ignore": 301 }),
            "[0, 1, 300]",
        );
        // The ignore label is the highest, and is not predicted: it leaves no gap.
        assert!(read(json!({ "labels": { "background": 0, "ignore": 3, "a": 2, "b": 1 } })).is_ok());
        // Regions write what their class order says, whatever the labels within them are.
        let regions =
            json!({ "labels": { "background": 0, "a": [1, 5], "b": 5 }, "regions_class_order": [300, 7] });
        assert_eq!(read(regions).unwrap().value_names(), [(300, "a"), (7, "b")]);
    }

    #[test]
    fn numbers_are_taken_as_nnunet_takes_them() {
        let plain =
            read(json!({ "labels": { "background": "0", "a": 1.0, "b": ["2"], "c": [3.0], "ignore": 4 } }));
        assert_eq!(plain.unwrap().heads, Heads::Labels(vec![0, 1, 2, 3]));
        let regions = json!({
            "labels": { "background": 0.0, "whole": ["1", 2.0, 3], "core": [2, "3"], "void": ["0"] },
            "regions_class_order": ["1", 2.0],
        });
        let regions = read(regions).unwrap();
        assert_eq!(regions.all_labels, [0, 1, 2, 3]);
        assert_eq!(regions.value_names(), [(1, "whole"), (2, "core")]);
        for ignore in [json!("2"), json!(2.0), json!(true)] {
            let message = read(json!({ "labels": { "background": 0, "a": 1, "ignore": ignore } }))
                .unwrap_err()
                .to_string();
            assert!(message.contains("labels.ignore must be 2"), "{message}");
        }
    }

    #[test]
    fn labels_of_a_mask_are_read_by_themselves() {
        let json =
            br#"{"labels": {"background": "0", "a": 7.0, "both": [1, 7], "one": ["300"], "ignore": 301}}"#;
        let expected = [("background", 0), ("a", 7), ("one", 300)].map(|(name, id)| (name.to_owned(), id));
        assert_eq!(plain_labels("d.json", json).unwrap(), expected);
        let error = plain_labels("d.json", br#"{"labels": {"a": 1.5}}"#)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "d.json: labels.a must be an integer from 0 to 65535, found 1.5"
        );
    }

    #[test]
    fn regions_are_in_file_order() {
        let scheme = read(json!({
            "labels": { "background": 0, "whole": [1, 3, 2], "core": [2, 3], "tumour": 3, "void": [0] },
            "regions_class_order": [1, 2, 3],
        }));
        let scheme = scheme.unwrap();
        let regions = vec![vec![1, 3, 2], vec![2, 3], vec![3]];
        assert_eq!(
            scheme.heads,
            Heads::Regions {
                regions,
                class_order: vec![1, 2, 3]
            }
        );
        assert_eq!(scheme.all_labels, [0, 1, 2, 3]);
        assert_eq!(scheme.value_names(), [(1, "whole"), (2, "core"), (3, "tumour")]);
    }

    #[test]
    fn faults_are_named() {
        let check = |dataset: Value, expected: &str| {
            let message = read(dataset).unwrap_err().to_string();
            assert!(
                message.starts_with("dataset.json: ") && message.contains(expected),
                "{message}"
            );
        };
        check(json!({}), "key labels is missing");
        check(json!({ "labels": [] }), "labels must be an object");
        check(
            json!({ "labels": { "a": 1 } }),
            "key labels.background is missing",
        );
        check(
            json!({ "labels": { "background": 1, "a": 0 } }),
            "labels.background must be 0, found 1",
        );
        check(
            json!({ "labels": { "background": [0], "a": 1 } }),
            "labels.background must be 0",
        );
        check(
            json!({ "labels": { "background": 0 } }),
            "at least one label besides background",
        );
        check(
            json!({ "labels": { "background": 0, "a": -1 } }),
            "labels.a must be",
        );
        check(
            json!({ "labels": { "background": 0, "a": 70000 } }),
            "labels.a must be",
        );
        check(
            json!({ "labels": { "background": 0, "a": 1.5 } }),
            "labels.a must be",
        );
        check(
            json!({ "labels": { "background": 0, "a": [] } }),
            "labels.a must be",
        );
        check(
            json!({ "labels": { "background": 0, "a": [1, "b"] } }),
            "labels.a.1 must be",
        );
        check(
            json!({ "labels": { "background": 0, "a": 1, "ignore": 3 } }),
            "labels.ignore must be 2",
        );
        check(
            json!({ "labels": { "background": 0, "a": 1, "ignore": [2] } }),
            "labels.ignore must be 2",
        );
        let regions = json!({ "background": 0, "a": [1, 2], "b": 2 });
        check(json!({ "labels": regions }), "key regions_class_order is missing");
        check(
            json!({ "labels": regions, "regions_class_order": [1] }),
            "regions_class_order must be a list of 2",
        );
        for order in [json!([1, 1]), json!([0, 1])] {
            check(
                json!({ "labels": regions, "regions_class_order": order }),
                "each once",
            );
        }
        let mut many = json!({ "background": 0 });
        for i in 1..=1024 {
            many[format!("l{i}")] = json!(i);
        }
        check(json!({ "labels": many }), "at most 1024 output channels");
    }
}
