//! The preset `nnunet` of the operation `cleanup` gives what nnU-Net gives.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ndarray::Array3;
use nephrite_cleanup::Cleanup;
use nephrite_kernel::{
    CancelToken, Context, Geometry, Inputs, LabelTable, Limits, Mask, ParameterValue, RunMask, run_checked,
};
use nephrite_nnunet::postprocess::keep_largest_component;
use nephrite_tests::case_run::read_labels;
use nephrite_tests::golden_case::{GoldenCase, Kind};
use nephrite_tests::loaded_case::postprocessing_of;
use nephrite_types::{Affine, Labels, Shape3, Spacing};
use nephrite_volume::Reader;

/// Labels 1 to 9, named `label_1` and so on.
const N_LABELS: u16 = 9;

/// One step of nnU-Net, through the operation.
fn clean(labels: &Array3<u8>, region: &[u16], background: u16) -> Array3<u8> {
    let (nz, ny, nx) = labels.dim();
    let spacing = Spacing::new([2.5, 0.8, 0.9]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([nz, ny, nx]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let limits = Limits::default();
    let runs = RunMask::from_labels(&Labels::U8(labels.clone()), &geometry, &limits).unwrap();
    let mask = Mask::new(runs, LabelTable::numbered(1..=N_LABELS)).unwrap();
    let names: Vec<String> = region.iter().map(|id| format!("label_{id}")).collect();
    let mut given = BTreeMap::from([
        ("preset".to_owned(), ParameterValue::Text("nnunet".to_owned())),
        ("regions".to_owned(), ParameterValue::Texts(vec![names.join("+")])),
    ]);
    if background != 0 {
        let name = ParameterValue::Text(format!("label_{background}"));
        given.insert("background_label".to_owned(), name);
    }
    let context = Context {
        limits: &limits,
        cancel: &CancelToken::new(),
        artefacts: None,
    };
    let inputs = Inputs::new().with("mask", Arc::new(mask));
    let outcome = run_checked(&Cleanup::new(), &inputs, &given, &context).unwrap();
    match outcome.get("mask").unwrap().runs().to_labels() {
        Labels::U8(labels) => labels,
        Labels::U16(_) => panic!("labels up to {N_LABELS}"),
    }
}

#[test]
fn the_preset_equals_nnunet_on_the_golden_cases() {
    let mut n_cases = 0;
    let cases = GoldenCase::all().unwrap();
    for case in cases.iter().filter(|case| case.kind == Kind::Postprocess) {
        n_cases += 1;
        let read = |path: &Path| match read_labels(&case.path(path), Reader::SimpleItk).unwrap() {
            Labels::U8(labels) => labels,
            Labels::U16(_) => panic!("{}: fewer than 255 labels", case.name),
        };
        let mut labels = read(&case.inputs[0]);
        for step in postprocessing_of(case, "json").unwrap() {
            labels = clean(&labels, &step.labels, step.background);
        }
        assert!(labels == read(&case.expected.labels), "{}", case.name);
    }
    assert!(n_cases > 0);
}

#[test]
fn the_preset_equals_the_postprocessing_of_a_prediction() {
    let mut state = 11u64;
    let mut random = |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let regions: [(&[u16], u16); 6] = [
        (&[1], 0),
        (&[1, 2], 0),
        (&[2, 3], 1),
        (&[1, 2, 3], 0),
        (&[3], 2),
        (&[9], 0),
    ];
    for _ in 0..300 {
        let shape = [1 + random(7), 1 + random(9), 1 + random(12)].map(|n| n as usize);
        let density = random(100);
        let labels = Array3::from_shape_simple_fn(shape, || match random(100) < density {
            true => 1 + random(3) as u8,
            false => 0,
        });
        for (region, background) in regions {
            let mut expected = labels.clone();
            keep_largest_component(&mut expected, region, background as u8, &CancelToken::new()).unwrap();
            assert_eq!(
                clean(&labels, region, background),
                expected,
                "{region:?} of {labels:?}"
            );
        }
    }
}
