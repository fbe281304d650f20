//! The same results as connected-components-3d, fill_voids and scipy: `vectors/make_vectors.py` asked them.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::{BTreeMap, HashMap};

use ndarray::Array3;
use nephrite_mask_codec::RunMask;
use nephrite_runs::*;
use nephrite_types::{Affine, BoundingBox, CancelToken, Geometry, Labels, Limits, Shape3, Spacing};

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    shape: [usize; 3],
    spacing: [f64; 3],
    labels: String,
    /// By the number of neighbors.
    components: BTreeMap<u32, Vec<u32>>,
    /// By the number of neighbors; fewer than 4 voxels are dropped.
    dust: BTreeMap<u32, String>,
    /// By k; 26 neighbors.
    largest: BTreeMap<usize, String>,
    statistics: Vec<Statistics>,
    fill_volume: String,
    fill_slices: String,
    /// By radius.
    grow: BTreeMap<String, String>,
    shrink: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct Statistics {
    label: u16,
    voxels: u64,
    centroid: [f64; 3],
    #[serde(rename = "box")]
    bounds: [[usize; 2]; 3],
}

impl Case {
    fn mask(&self) -> RunMask {
        let digits = self.labels.bytes().map(|digit| digit - b'0').collect();
        let labels = Labels::U8(Array3::from_shape_vec(self.shape, digits).unwrap());
        let spacing = Spacing::new(self.spacing).unwrap();
        let geometry = Geometry {
            shape: Shape3::new(self.shape).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        };
        RunMask::from_labels(&labels, &geometry, &Limits::default()).unwrap()
    }
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("vectors/vectors.json")).unwrap();
    assert!(cases.len() >= 8);
    cases
}

fn text(mask: &RunMask) -> String {
    let Labels::U8(labels) = mask.to_labels() else {
        panic!("small labels")
    };
    labels.iter().map(|label| char::from(b'0' + label)).collect()
}

#[test]
fn components_are_those_of_cc3d() {
    let cancel = CancelToken::new();
    for case in cases() {
        let mask = case.mask();
        let [_, ny, nx] = case.shape;
        for (n, expected) in &case.components {
            let connectivity = Connectivity::from_number(*n).unwrap();
            let found = components(&mask, connectivity, &cancel).unwrap();
            // One to one: the same number of components, and each voxel's number decides the other's.
            assert_eq!(
                found.parts.len() as u32,
                *expected.iter().max().unwrap(),
                "{} {n}",
                case.name
            );
            let mut theirs: HashMap<u32, u32> = HashMap::new();
            let mut idx = 0;
            for (row, runs) in mask.rows().enumerate() {
                for run in runs {
                    for x in run.start as usize..run.end as usize {
                        let voxel = (row / ny * ny + row % ny) * nx + x;
                        let number = *theirs.entry(found.of_run[idx]).or_insert(expected[voxel]);
                        assert_eq!(number, expected[voxel], "{} {n}", case.name);
                    }
                    idx += 1;
                }
            }
            let kept = drop_small(&mask, 4, connectivity, &cancel).unwrap();
            assert_eq!(text(&kept), case.dust[n], "{} {n}", case.name);
        }
        for (k, expected) in &case.largest {
            let kept = keep_largest(&mask, *k, Connectivity::Corners26, &cancel).unwrap();
            assert_eq!(text(&kept), *expected, "{} {k}", case.name);
        }
    }
}

#[test]
fn statistics_are_those_of_cc3d() {
    for case in cases() {
        let found = statistics(&case.mask());
        assert_eq!(found.len(), case.statistics.len(), "{}", case.name);
        for (found, expected) in found.iter().zip(&case.statistics) {
            let bounds = BoundingBox {
                start: expected.bounds.map(|ends| ends[0]),
                end: expected.bounds.map(|ends| ends[1]),
            };
            assert_eq!(
                (found.label, found.voxels, found.bounding_box),
                (expected.label, expected.voxels, bounds)
            );
            for axis in 0..3 {
                // cc3d sums in floating point.
                let difference = (found.centroid[axis] - expected.centroid[axis]).abs();
                assert!(
                    difference < 1e-5,
                    "{}: {found:?}, expected {:?}",
                    case.name,
                    expected.centroid
                );
            }
        }
    }
}

#[test]
fn filled_masks_are_those_of_fill_voids_and_scipy() {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    for case in cases() {
        for (mode, expected) in [
            (Holes::Volume, &case.fill_volume),
            (Holes::Slices, &case.fill_slices),
        ] {
            let filled = fill_holes(&case.mask(), mode, &limits, &cancel).unwrap();
            assert_eq!(text(&filled), *expected, "{} {mode:?}", case.name);
        }
    }
}

#[test]
fn balls_are_those_of_the_distance_transform_of_scipy() {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let mut n = 0;
    for case in cases() {
        let mask = case.mask();
        for (radius, expected) in &case.grow {
            let found = grow(&mask, radius.parse().unwrap(), &limits, &cancel).unwrap();
            assert_eq!(text(&found), *expected, "{} grown by {radius}", case.name);
            n += 1;
        }
        for (radius, expected) in &case.shrink {
            let found = shrink(&mask, radius.parse().unwrap(), &limits, &cancel).unwrap();
            assert_eq!(text(&found), *expected, "{} shrunk by {radius}", case.name);
            n += 1;
        }
    }
    assert!(n > 50, "{n}");
}
