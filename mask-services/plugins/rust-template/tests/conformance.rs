//! The operation keeps what every operation must keep, and measures what is there.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;
use std::sync::Arc;

use nephrite_conformance::{Options, check_operation};
use nephrite_kernel::*;
use nephrite_plugin_template::Calibre;

#[test]
fn it_keeps_what_every_operation_must_keep() {
    let report = check_operation(Arc::new(Calibre::new()), &Options::default()).unwrap();
    assert!(report.passed(), "{report}");
}

/// Three slices of 0.5 mm pixels: a square of 4, one of 8, nothing.
fn tube() -> Mask {
    let spacing = Spacing::new([2.0, 0.5, 0.5]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([3, 10, 10]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let mut builder = RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
    for (z, y) in (0..3).flat_map(|z| (0..10).map(move |y| (z, y))) {
        let width = [4, 8, 0][z];
        let run = (y < width).then_some(Run {
            start: 1,
            end: 1 + width,
            label: 3,
        });
        builder.push_row(run).unwrap();
    }
    Mask::new(builder.finish().unwrap(), LabelTable::numbered([3])).unwrap()
}

#[test]
fn diameters_are_those_of_circles_of_the_same_area() {
    let inputs = Inputs::new().with("mask", Arc::new(tube()));
    let given = BTreeMap::from([("max_diameter_mm".to_owned(), ParameterValue::Number(3.0))]);
    let context = Context {
        limits: &Limits::default(),
        cancel: &CancelToken::new(),
        artefacts: None,
    };
    let outcome = run_checked(&Calibre::new(), &inputs, &given, &context).unwrap();
    let found: Vec<f64> = outcome
        .measurements
        .iter()
        .map(|measurement| measurement.value)
        .collect();
    let diameter = |side_mm: f64| 2.0 * side_mm / std::f64::consts::PI.sqrt();
    let expected = [(diameter(2.0) + diameter(4.0)) / 2.0, diameter(4.0), 2.0, 1.0];
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
    let wide = outcome.get("wide").unwrap();
    assert_eq!(wide.summaries()[&3].voxels, 64, "the second slice");
}
