//! What there is of every label, in numbers.

use std::collections::BTreeMap;

use nephrite_kernel::{CancelToken, LabelStatus, Mask, Measurement, OperationError, RunMask};
use nephrite_runs::{Connectivity, components, statistics};
use rayon::prelude::*;

use crate::extent::extent;
use crate::spans::Spans;
use crate::surface::surface_areas;

/// One label. Everything but the voxels is `None` if there are none, or if it is no finite number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LabelReport {
    pub(crate) id: u16,
    pub(crate) name: String,
    pub(crate) status: LabelStatus,
    pub(crate) voxels: u64,
    pub(crate) volume_ml: Option<f64>,
    pub(crate) components: u64,
    pub(crate) surface_mm2: Option<f64>,
    pub(crate) diameter_mm: Option<f64>,
    /// x, y, z.
    pub(crate) centroid_mm: [Option<f64>; 3],
    /// Least x, y, z; greatest x, y, z.
    pub(crate) box_mm: [[Option<f64>; 3]; 2],
}

/// Statistics of every label of the table, in its order. `runs` may hold fewer labels than the mask's table.
pub(crate) fn report(mask: &Mask, cancel: &CancelToken) -> Result<Vec<LabelReport>, OperationError> {
    let runs: &RunMask = mask.runs();
    let geometry = runs.geometry();
    let areas = surface_areas(runs, cancel)?;
    let mut parts: BTreeMap<u16, u64> = BTreeMap::new();
    for part in components(runs, Connectivity::Corners26, cancel)?.parts {
        *parts.entry(part.label).or_default() += 1;
    }
    let found: BTreeMap<u16, _> = statistics(runs)
        .into_iter()
        .map(|label| (label.label, label))
        .collect();
    let spans = Spans::of_labels(runs);
    let reports = mask.labels().entries().par_iter().map(|entry| {
        cancel.check()?;
        let mut report = LabelReport {
            id: entry.id,
            name: entry.name.clone(),
            status: entry.status,
            voxels: 0,
            volume_ml: Some(0.0),
            components: 0,
            surface_mm2: Some(0.0),
            diameter_mm: None,
            centroid_mm: [None; 3],
            box_mm: [[None; 3]; 2],
        };
        if let Some((label, spans)) = found.get(&entry.id).zip(spans.get(&entry.id)) {
            let extent = extent(spans, geometry.affine, cancel)?;
            let [z, y, x] = label.centroid;
            report.voxels = label.voxels;
            report.volume_ml = rounded(label.voxels as f64 * geometry.voxel_mm3() / 1000.0);
            report.components = parts.get(&entry.id).copied().unwrap_or(0);
            report.surface_mm2 = rounded(areas[usize::from(entry.id)]);
            report.diameter_mm = rounded(extent.diameter_mm);
            report.centroid_mm = geometry.affine.world_from_voxel([x, y, z]).map(rounded);
            report.box_mm = extent.box_mm.map(|corner| corner.map(rounded));
        }
        Ok(report)
    });
    reports.collect()
}

/// To a millionth, so that files show no rounding noise.
fn rounded(value: f64) -> Option<f64> {
    let rounded = (value * 1e6).round() / 1e6;
    let result = if rounded.is_finite() { rounded } else { value };
    result.is_finite().then_some(result + 0.0) // no negative zero
}

const AXES: [&str; 3] = ["x", "y", "z"];

/// The numbers of reports as measurements; what is `None` is left out.
pub(crate) fn measurements(reports: &[LabelReport]) -> Vec<Measurement> {
    let mut all = Vec::new();
    for report in reports {
        let mut add = |name: String, unit: &str, value: Option<f64>| {
            all.extend(value.map(|value| Measurement {
                label: report.name.clone(),
                name,
                unit: unit.to_owned(),
                value,
            }));
        };
        add("voxels".to_owned(), "voxel", Some(report.voxels as f64));
        add("volume".to_owned(), "mL", report.volume_ml);
        add("components".to_owned(), "", Some(report.components as f64));
        add("surface_area".to_owned(), "mm2", report.surface_mm2);
        add("longest_diameter".to_owned(), "mm", report.diameter_mm);
        for (c, axis) in AXES.iter().enumerate() {
            add(format!("centroid_{axis}"), "mm", report.centroid_mm[c]);
        }
        for (side, name) in ["min", "max"].iter().enumerate() {
            for (c, axis) in AXES.iter().enumerate() {
                add(format!("box_{name}_{axis}"), "mm", report.box_mm[side][c]);
            }
        }
    }
    all
}
