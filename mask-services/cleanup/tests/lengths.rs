//! Lengths that are spacings mean voxels, whatever a header of 32-bit numbers made of them.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array3, s};
use nephrite_cleanup::Cleanup;
use nephrite_kernel::*;
use nephrite_types::Labels;

const SPACINGS: [f64; 12] = [0.1, 0.3, 0.6, 0.65, 0.7, 0.8, 0.9, 1.0, 1.1, 1.3, 2.4, 3.3];

/// Two labels on a cubic grid as a header gives it, straight or turned by 3-4-5 about z.
fn mask(labels: &Array3<u8>, mm: f64, turned: bool) -> Arc<Mask> {
    let (nz, ny, nx) = labels.dim();
    let stored = |mm: f64| f64::from(mm as f32);
    let (cos, sin) = if turned { (0.8, 0.6) } else { (1.0, 0.0) };
    let rows = [
        [stored(cos * mm), stored(-sin * mm), 0.0, 3.0],
        [stored(sin * mm), stored(cos * mm), 0.0, -2.0],
        [0.0, 0.0, stored(mm), 1.0],
    ];
    let geometry = Geometry {
        shape: Shape3::new([nz, ny, nx]).unwrap(),
        spacing: Spacing::new([stored(mm); 3]).unwrap(),
        affine: Affine::new(rows).unwrap(),
    };
    let runs = RunMask::from_labels(&Labels::U8(labels.clone()), &geometry, &Limits::default()).unwrap();
    let entries = [(1, "a"), (2, "b")].map(|(id, name)| LabelEntry {
        id,
        name: name.to_owned(),
        status: LabelStatus::Present,
    });
    Arc::new(Mask::new(runs, LabelTable::new(entries.to_vec()).unwrap()).unwrap())
}

fn voxels_of_a(mask: &Arc<Mask>, given: &[(&str, ParameterValue)]) -> u64 {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let context = Context {
        limits: &limits,
        cancel: &cancel,
        artefacts: None,
    };
    let inputs = Inputs::new().with("mask", mask.clone());
    let given: BTreeMap<String, ParameterValue> = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let outcome = run_checked(&Cleanup::new(), &inputs, &given, &context).unwrap();
    let summaries = outcome.get("mask").unwrap().summaries().clone();
    summaries.get(&1).map_or(0, |summary| summary.voxels)
}

/// The same for every spacing: `mm` of it are given, and `voxels` of label 1 are left.
fn check(labels: &Array3<u8>, given: impl Fn(f64) -> Vec<(&'static str, ParameterValue)>, voxels: u64) {
    for mm in SPACINGS {
        for turned in [false, true] {
            let found = voxels_of_a(&mask(labels, mm, turned), &given(mm));
            assert_eq!(found, voxels, "{mm} mm, turned {turned}, {:?}", given(mm));
        }
    }
}

fn block(shape: [usize; 3], at: [std::ops::Range<usize>; 3]) -> Array3<u8> {
    let mut labels = Array3::zeros(shape);
    let [z, y, x] = at;
    labels.slice_mut(s![z, y, x]).fill(1);
    labels
}

#[test]
fn a_ball_of_one_spacing_reaches_the_next_voxel_on_every_grid() {
    use ParameterValue::Number;
    let one = block([9, 9, 9], [4..5, 4..5, 4..5]);
    check(&one, |mm| vec![("dilate_mm", Number(mm))], 7);
    check(&one, |mm| vec![("dilate_mm", Number(2.0 * mm))], 33);
    check(&one, |mm| vec![("dilate_mm", Number(3.0 * mm))], 123);
    check(&one, |mm| vec![("dilate_mm", Number(2f64.sqrt() * mm))], 19);
    check(&one, |mm| vec![("dilate_mm", Number(0.9999 * mm))], 1);
    let cube = block([9, 9, 9], [2..7, 2..7, 2..7]);
    check(&cube, |mm| vec![("erode_mm", Number(mm))], 27);
    check(&cube, |mm| vec![("erode_mm", Number(2.0 * mm))], 1);
    check(&cube, |mm| vec![("erode_mm", Number(0.9999 * mm))], 125);
    let thin = block([9, 9, 9], [2..7, 2..7, 4..6]);
    check(&thin, |mm| vec![("open_mm", Number(mm))], 0);
    let mut gap = block([9, 9, 9], [0..9, 0..9, 0..9]);
    gap.slice_mut(s![.., .., 4]).fill(0);
    check(&gap, |mm| vec![("close_mm", Number(mm))], 729);
}

#[test]
fn a_part_of_exactly_the_least_volume_stays_on_every_grid() {
    use ParameterValue::Number;
    let part = block([9, 9, 9], [2..5, 2..5, 2..5]);
    let least = |voxels: f64| move |mm: f64| vec![("min_volume_mm3", Number(voxels * mm.powi(3)))];
    check(&part, least(27.0), 27);
    check(&part, least(26.9), 27);
    check(&part, least(27.01), 0);
}

#[test]
fn what_lies_exactly_as_near_as_it_may_stays_on_every_grid() {
    let mut labels = block([3, 3, 9], [1..2, 1..2, 1..2]);
    labels[[1, 1, 5]] = 2;
    let near = |voxels: f64| {
        move |mm: f64| {
            vec![
                ("near_label", ParameterValue::Text("b".to_owned())),
                ("near_mm", ParameterValue::Number(voxels * mm)),
            ]
        }
    };
    check(&labels, near(4.0), 1);
    check(&labels, near(3.9999), 0);
}
