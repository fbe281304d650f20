//! The golden cases as `tests/golden/make_golden.py` describes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::npz::Npz;
use crate::workspace;

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// From scans to labels.
    Segment,
    /// From labels to postprocessed labels.
    Postprocess,
}

/// `case.json`. Paths are relative to `tests/golden`; see [`GoldenCase::path`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenCase {
    /// Its folder.
    pub name: String,
    /// What it exercises.
    pub shows: String,
    /// What it is about.
    pub kind: Kind,
    /// Model folder.
    pub model: PathBuf,
    /// One file per channel.
    pub inputs: Vec<PathBuf>,
    /// Mask of the previous stage of a cascade.
    pub previous_stage: Option<PathBuf>,
    /// The previous stage is run first; `previous_stage` is what it must give.
    pub run_previous_stage: bool,
    /// `0`, `1`, … or `all`.
    pub folds: Vec<String>,
    /// `final` or `best`.
    pub checkpoint: String,
    /// Average over mirrored copies.
    pub mirroring: bool,
    /// Fraction of the patch.
    pub tile_step_size: f64,
    /// Labels come from probabilities, which are saved.
    pub save_probabilities: bool,
    /// `postprocessing.json` to apply; a `.pkl` of the same content lies beside it.
    pub postprocessing: Option<PathBuf>,
    /// Files to compare with.
    pub expected: Expected,
    /// Small values to compare with.
    pub stages: Stages,
}

/// What nnU-Net gave, as files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Label map.
    pub labels: PathBuf,
    /// Label map after postprocessing.
    pub labels_postprocessed: Option<PathBuf>,
    /// `probabilities`, f32 `[class, z, y, x]` of the reader.
    pub probabilities: Option<PathBuf>,
    /// `network_input` (f32), `logits` (f16); each may be missing.
    pub stages: Option<PathBuf>,
    /// Recorded tiles: `output`, `tile_start`, `flipped`, `logits`, `labels`.
    pub replay: Option<PathBuf>,
}

/// What nnU-Net knew between its stages. Reader order is `[z, y, x]`; network order is that after `transpose_forward`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stages {
    /// mm, reader order.
    pub spacing: Vec<f64>,
    /// Of the scan, reader order.
    pub shape: Vec<usize>,
    /// The same, network order.
    pub shape_before_cropping: Vec<usize>,
    /// First and one past the last voxel of the crop, network order.
    pub bounding_box: Vec<[usize; 2]>,
    /// Network order.
    pub shape_after_cropping: Vec<usize>,
    /// Channels, then the network grid.
    pub network_shape: Vec<usize>,
    /// Output channels of the network.
    pub n_classes: usize,
    /// Distinct first voxels of tiles per axis, in the padded array.
    pub tile_starts: Vec<Vec<usize>>,
    /// Tile positions.
    pub n_tiles: u64,
}

impl GoldenCase {
    /// All cases, by name. Their number is that which `tests/golden/README.md` lists.
    ///
    /// # Errors
    /// If a case cannot be read, or the list and the folders differ.
    pub fn all() -> Result<Vec<GoldenCase>> {
        let mut cases = Vec::new();
        for entry in fs::read_dir(workspace::golden().join("cases"))? {
            let file = entry?.path().join("case.json");
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let case: GoldenCase = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
            cases.push(case);
        }
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        let found: BTreeSet<_> = cases.iter().map(|case| case.name.clone()).collect();
        let listed = listed_cases()?;
        let differing: Vec<_> = found.symmetric_difference(&listed).collect();
        ensure!(
            differing.is_empty(),
            "tests/golden/README.md and the folder do not both have {differing:?}"
        );
        Ok(cases)
    }

    /// A path of `case.json` as a path to open.
    pub fn path(&self, relative: impl Into<PathBuf>) -> PathBuf {
        workspace::golden().join(relative.into())
    }

    /// `stages.npz`, if the case has one.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn stage_arrays(&self) -> Result<Option<Npz>> {
        self.expected
            .stages
            .as_ref()
            .map(|path| Npz::open(&self.path(path)))
            .transpose()
    }
}

/// The first column of the table of cases, and the number above it.
fn listed_cases() -> Result<BTreeSet<String>> {
    let readme = fs::read_to_string(workspace::golden().join("README.md"))?;
    let (_, table) = readme
        .split_once("<!-- written by make_golden.py -->")
        .context("README.md has no list of cases")?;
    let names = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let names: BTreeSet<_> = names.map(|(name, _)| name.to_owned()).collect();
    let stated = format!("{} cases.", names.len());
    ensure!(
        table.lines().any(|line| line == stated),
        "README.md does not say {stated:?}"
    );
    Ok(names)
}
