//! The operation against plain dense code.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array3, Zip};
use nephrite_compare::Compare;
use nephrite_kernel::*;
use nephrite_types::Labels;
use proptest::prelude::*;

const SHAPE: [usize; 3] = [3, 4, 7];
const VOXEL_MM3: f64 = 0.8 * 1.5 * 2.5;

/// Voxels of 2.5 × 1.5 × 0.8 mm, `[z, y, x]`.
fn mask(array: &Array3<u16>, names: &[(u16, &str, LabelStatus)]) -> Arc<Mask> {
    let (nz, ny, nx) = array.dim();
    let spacing = Spacing::new([2.5, 1.5, 0.8]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([nz, ny, nx]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [3.0, -4.0, 5.0]),
    };
    let runs = RunMask::from_labels(&Labels::U16(array.clone()), &geometry, &Limits::default()).unwrap();
    let entries = names.iter().map(|&(id, name, status)| LabelEntry {
        id,
        name: name.to_owned(),
        status,
    });
    Arc::new(Mask::new(runs, LabelTable::new(entries.collect()).unwrap()).unwrap())
}

fn compare(
    mask: &Arc<Mask>,
    reference: &Arc<Mask>,
    given: &[(&str, ParameterValue)],
) -> Result<Outcome, OperationError> {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let context = Context {
        limits: &limits,
        cancel: &cancel,
        artefacts: None,
    };
    let inputs = Inputs::new()
        .with("mask", mask.clone())
        .with("reference", reference.clone());
    let given: BTreeMap<String, ParameterValue> = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    run_checked(&Compare::new(), &inputs, &given, &context)
}

fn measured(outcome: &Outcome, label: &str, name: &str) -> Option<f64> {
    let mut found = outcome
        .measurements
        .iter()
        .filter(|measurement| (measurement.label.as_str(), measurement.name.as_str()) == (label, name));
    let value = found.next().map(|measurement| measurement.value);
    assert!(found.next().is_none(), "{name} of {label:?} occurs twice");
    value
}

fn dense(outcome: &Outcome) -> Array3<u16> {
    let runs = outcome.get("difference").unwrap().runs();
    Array3::from_shape_fn(runs.shape(), |(z, y, x)| runs.label_at([z, y, x]))
}

fn id_choice() -> (&'static str, ParameterValue) {
    ("match", ParameterValue::Text("id".to_owned()))
}

use LabelStatus::{NotFound, NotSearched, Present};

#[test]
fn the_description_has_no_faults() {
    assert_eq!(Compare::new().description().faults(), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_number_is_that_of_plain_code(
        values in proptest::collection::vec(0u16..4, 3 * 4 * 7),
        others in proptest::collection::vec(0u16..4, 3 * 4 * 7),
        by_id in any::<bool>(),
    ) {
        let a = Array3::from_shape_vec(SHAPE, values).unwrap();
        let b = Array3::from_shape_vec(SHAPE, others).unwrap();
        // Ids 1 and 2 are exchanged in the reference, and nobody but the mask knows what its 3 is.
        let names = [(1, "kidney", Present), (2, "cyst", Present), (3, "stone", Present)];
        let reference_names = [(1, "cyst", Present), (2, "kidney", Present), (3, "vein", Present)];
        let given = if by_id { vec![id_choice()] } else { vec![] };
        let outcome = compare(&mask(&a, &names), &mask(&b, &reference_names), &given).unwrap();
        let pairs: &[(&str, u16, u16)] = if by_id {
            &[("kidney", 1, 1), ("cyst", 2, 2), ("stone", 3, 3)]
        } else {
            &[("kidney", 1, 2), ("cyst", 2, 1)]
        };
        let of_mask = a.mapv(|id| pairs.iter().position(|pair| pair.1 == id));
        let of_reference = b.mapv(|id| pairs.iter().position(|pair| pair.2 == id));
        let expected = Zip::from(&of_mask).and(&of_reference).map_collect(|a, b| match (a, b) {
            (a, b) if a == b => 0,
            (Some(_), None) => 1,
            (None, Some(_)) => 2,
            _ => 3u16,
        });
        prop_assert_eq!(dense(&outcome), &expected);
        let differing = expected.iter().filter(|id| **id > 0).count();
        prop_assert_eq!(measured(&outcome, "", "differing_voxels"), Some(differing as f64));
        prop_assert_eq!(measured(&outcome, "", "labels_compared"), Some(pairs.len() as f64));
        for (number, (name, ..)) in pairs.iter().enumerate() {
            let here = |of: &Array3<Option<usize>>| of.mapv(|found| found == Some(number));
            let (p, r) = (here(&of_mask), here(&of_reference));
            let count = |test: &dyn Fn(bool, bool) -> bool| {
                p.iter().zip(&r).filter(|(p, r)| test(**p, **r)).count() as f64
            };
            let (tp, fp, r#fn) = (count(&|p, r| p && r), count(&|p, r| p && !r), count(&|p, r| !p && r));
            let of = |what| measured(&outcome, name, what);
            prop_assert_eq!(of("common_voxels"), Some(tp));
            prop_assert_eq!(of("voxels"), Some(tp + fp));
            prop_assert_eq!(of("reference_voxels"), Some(tp + r#fn));
            let any = tp + fp + r#fn > 0.0;
            prop_assert_eq!(of("dice"), any.then(|| 2.0 * tp / (2.0 * tp + fp + r#fn)));
            prop_assert_eq!(of("iou"), any.then(|| tp / (tp + fp + r#fn)));
            let ml = of("volume_difference").unwrap();
            prop_assert!((ml - (fp - r#fn) * VOXEL_MM3 / 1000.0).abs() < 1e-12, "{}", ml);
            let centroid = |of: &Array3<bool>| {
                let places: Vec<_> = of.indexed_iter().filter(|(_, v)| **v).map(|(at, _)| at).collect();
                let mean = |sum: usize, mm: f64| sum as f64 / places.len() as f64 * mm;
                let sum = |axis: fn(&(usize, usize, usize)) -> usize| places.iter().map(axis).sum();
                let at = [mean(sum(|v| v.0), 2.5), mean(sum(|v| v.1), 1.5), mean(sum(|v| v.2), 0.8)];
                (!places.is_empty()).then_some(at)
            };
            let expected = centroid(&p).zip(centroid(&r)).map(|(p, r)| {
                p.iter().zip(r).map(|(p, r)| (p - r).powi(2)).sum::<f64>().sqrt()
            });
            let distance = of("centroid_distance");
            prop_assert_eq!(distance.is_some(), expected.is_some());
            prop_assert!((distance.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-9);
        }
        prop_assert_eq!(measured(&outcome, "stone", "left_out"), (!by_id).then_some(1.0));
        prop_assert_eq!(measured(&outcome, "vein", "reference_left_out"), (!by_id).then_some(1.0));
    }
}

#[test]
fn what_one_mask_does_not_know_is_no_difference() {
    let array = Array3::from_shape_fn(SHAPE, |(_, _, x)| x as u16 % 3);
    let full = mask(&array, &[(1, "kidney", Present), (2, "stone", Present)]);
    let only_kidney = mask(
        &array.mapv(|id| if id == 1 { 1 } else { 0 }),
        &[(1, "kidney", Present), (2, "stone", NotSearched)],
    );
    for (a, b, left_out) in [
        (&full, &only_kidney, "left_out"),
        (&only_kidney, &full, "left_out"),
    ] {
        let outcome = compare(a, b, &[]).unwrap();
        assert_eq!(measured(&outcome, "", "differing_voxels"), Some(0.0));
        assert_eq!(measured(&outcome, "kidney", "dice"), Some(1.0));
        assert_eq!(measured(&outcome, "stone", left_out), Some(1.0));
        assert_eq!(measured(&outcome, "stone", "dice"), None);
    }
    // One that was looked for and not found is compared: it is missing.
    let not_found = mask(
        &array.mapv(|id| if id == 1 { 1 } else { 0 }),
        &[(1, "kidney", Present), (2, "stone", NotFound)],
    );
    let outcome = compare(&full, &not_found, &[]).unwrap();
    assert_eq!(measured(&outcome, "stone", "dice"), Some(0.0));
    let stones = array.iter().filter(|id| **id == 2).count() as f64;
    assert_eq!(measured(&outcome, "", "differing_voxels"), Some(stones));
    let only = ("labels", ParameterValue::Texts(vec!["kidney".to_owned()]));
    let outcome = compare(&full, &not_found, &[only]).unwrap();
    assert_eq!(measured(&outcome, "", "differing_voxels"), Some(0.0));
    assert_eq!(measured(&outcome, "stone", "left_out"), None);
}

#[test]
fn empty_labels_have_no_dice() {
    let empty = mask(&Array3::zeros(SHAPE), &[(1, "kidney", NotFound)]);
    let outcome = compare(&empty, &empty, &[]).unwrap();
    for name in ["dice", "iou", "centroid_distance"] {
        assert_eq!(measured(&outcome, "kidney", name), None);
    }
    assert_eq!(measured(&outcome, "kidney", "volume"), Some(0.0));
    let statuses = outcome.get("difference").unwrap().labels().entries().to_vec();
    assert!(
        statuses.iter().all(|entry| entry.status == NotFound),
        "{statuses:?}"
    );
}

#[test]
fn wrong_requests_are_refused() {
    let array = Array3::from_elem(SHAPE, 1);
    let kidney = mask(&array, &[(1, "kidney", Present)]);
    let other = mask(&array, &[(1, "left kidney", Present)]);
    let check = |found: Result<Outcome, OperationError>, code: ErrorCode, says: &[&str]| {
        let error = found.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        for part in says {
            assert!(error.to_string().contains(part), "{error}");
        }
    };
    let both = ["kidney=1", "left kidney=1", "paired by name"];
    check(compare(&kidney, &other, &[]), ErrorCode::InvalidInput, &both);
    assert_eq!(
        measured(
            &compare(&kidney, &other, &[id_choice()]).unwrap(),
            "kidney",
            "dice"
        ),
        Some(1.0)
    );
    let two = mask(&array, &[(1, "kidney", Present), (2, "cyst", Present)]);
    let cyst = ("labels", ParameterValue::Texts(vec!["cyst".to_owned()]));
    let says = ["cyst", "the reference does not name it"];
    check(
        compare(&two, &kidney, std::slice::from_ref(&cyst)),
        ErrorCode::InvalidArgument,
        &says,
    );
    let smaller = mask(&Array3::from_elem([3, 4, 6], 1), &[(1, "kidney", Present)]);
    check(
        compare(&kidney, &smaller, &[]),
        ErrorCode::InvalidInput,
        &["reference", "grid"],
    );
}
