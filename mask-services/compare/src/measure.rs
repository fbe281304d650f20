//! How far two labels agree, in numbers.

use std::collections::BTreeMap;

use nephrite_kernel::{Geometry, Measurement, RunMask};
use nephrite_runs::{LabelStatistics, statistics};

use crate::pairs::Pairs;

/// What is known of both masks once they were held against each other.
pub(crate) struct Compared<'a> {
    /// With places of pairs, from 1, as labels.
    pub(crate) mask: &'a RunMask,
    /// Likewise.
    pub(crate) reference: &'a RunMask,
    pub(crate) pairs: &'a Pairs,
    /// Voxels that have the same label in both; none where it is left out.
    pub(crate) common: &'a BTreeMap<u16, u64>,
    /// Voxels of the output.
    pub(crate) differing: u64,
}

/// Of every pair, in their order; then of the labels that were left out; then of the whole.
pub(crate) fn measurements(compared: &Compared<'_>) -> Vec<Measurement> {
    let geometry = compared.mask.geometry();
    let by_label = |mask| -> BTreeMap<u16, LabelStatistics> {
        statistics(mask)
            .into_iter()
            .map(|label| (label.label, label))
            .collect()
    };
    let (found, references) = (by_label(compared.mask), by_label(compared.reference));
    let mut all = Vec::new();
    for (number, pair) in (1..).zip(&compared.pairs.compared) {
        let (label, reference) = (found.get(&number), references.get(&number));
        let common = compared.common.get(&number).copied().unwrap_or(0);
        for (name, unit, value) in of_pair(label, reference, common, geometry) {
            all.extend(value.and_then(|value| measurement(&pair.name, name, unit, value)));
        }
    }
    for (name, labels) in [
        ("left_out", &compared.pairs.left_out),
        ("reference_left_out", &compared.pairs.reference_left_out),
    ] {
        all.extend(
            labels
                .iter()
                .filter_map(|label| measurement(label, name, "", 1.0)),
        );
    }
    let n_compared = compared.pairs.compared.len() as f64;
    all.extend(measurement("", "labels_compared", "", n_compared));
    all.extend(measurement(
        "",
        "differing_voxels",
        "voxel",
        compared.differing as f64,
    ));
    all
}

type Value = (&'static str, &'static str, Option<f64>);

/// Name, unit and value; `None` where there is none. Source of the definitions: nnU-Net 2.8.1,
/// `nnunetv2/evaluation/evaluate_predictions.py`, `compute_metrics`.
fn of_pair(
    label: Option<&LabelStatistics>,
    reference: Option<&LabelStatistics>,
    common: u64,
    geometry: &Geometry,
) -> [Value; 9] {
    let count = |of: Option<&LabelStatistics>| of.map_or(0, |label| label.voxels) as f64; // far below 2^53
    let (n, n_reference, common) = (count(label), count(reference), common as f64);
    let ml = |voxels: f64| Some(voxels * geometry.voxel_mm3() / 1000.0);
    let either = n + n_reference - common;
    let fraction = |part: f64, of: f64| (of > 0.0).then(|| part / of);
    let distance = label.zip(reference).map(|(a, b)| {
        let world = |[z, y, x]: [f64; 3]| geometry.affine.world_from_voxel([x, y, z]);
        let (a, b) = (world(a.centroid), world(b.centroid));
        let squares = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b));
        squares.sum::<f64>().sqrt()
    });
    [
        ("voxels", "voxel", Some(n)),
        ("reference_voxels", "voxel", Some(n_reference)),
        ("common_voxels", "voxel", Some(common)),
        ("volume", "mL", ml(n)),
        ("reference_volume", "mL", ml(n_reference)),
        ("volume_difference", "mL", ml(n - n_reference)),
        ("dice", "", fraction(2.0 * common, n + n_reference)),
        ("iou", "", fraction(common, either)),
        ("centroid_distance", "mm", distance),
    ]
}

/// `None` for a value that is not finite: of a grid whose voxels are too large for a number.
fn measurement(label: &str, name: &str, unit: &str, value: f64) -> Option<Measurement> {
    value.is_finite().then(|| Measurement {
        label: label.to_owned(),
        name: name.to_owned(),
        unit: unit.to_owned(),
        value,
    })
}
