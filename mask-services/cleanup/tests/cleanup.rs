//! Every rule, their order, what they refuse, and the ordinary small cases.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::Array3;
use nephrite_cleanup::Cleanup;
use nephrite_kernel::*;
use nephrite_types::{Affine, Labels, Shape3, Spacing};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Planes of rows of digits; 2 × 1 × 1 mm (z, y, x).
fn mask(planes: &[&[&str]]) -> Arc<Mask> {
    let shape = [planes.len(), planes[0].len(), planes[0][0].len()];
    let digits = planes
        .iter()
        .flat_map(|plane| plane.iter())
        .flat_map(|row| row.bytes())
        .map(|digit| if digit == b'.' { 0 } else { digit - b'0' });
    mask_of(
        Array3::from_shape_vec(shape, digits.collect()).unwrap(),
        [2.0, 1.0, 1.0],
    )
}

fn mask_of(labels: Array3<u8>, spacing: [f64; 3]) -> Arc<Mask> {
    let (nz, ny, nx) = labels.dim();
    let spacing = Spacing::new(spacing).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([nz, ny, nx]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [3.0, -2.0, 1.0]),
    };
    let runs = RunMask::from_labels(&Labels::U8(labels), &geometry, &Limits::default()).unwrap();
    let entries = NAMES.iter().zip(1..).map(|(name, id)| LabelEntry {
        id,
        name: (*name).to_owned(),
        status: LabelStatus::NotFound,
    });
    Arc::new(Mask::new(runs, LabelTable::new(entries.collect()).unwrap()).unwrap())
}

fn dense(mask: &Mask) -> Array3<u8> {
    match mask.runs().to_labels() {
        Labels::U8(labels) => labels,
        Labels::U16(_) => panic!("small labels"),
    }
}

fn number(name: &str, value: f64) -> (String, ParameterValue) {
    (name.to_owned(), ParameterValue::Number(value))
}

fn integer(name: &str, value: i64) -> (String, ParameterValue) {
    (name.to_owned(), ParameterValue::Integer(value))
}

fn text(name: &str, value: &str) -> (String, ParameterValue) {
    (name.to_owned(), ParameterValue::Text(value.to_owned()))
}

fn texts(name: &str, values: &[&str]) -> (String, ParameterValue) {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    (name.to_owned(), ParameterValue::Texts(values))
}

fn clean(mask: &Arc<Mask>, given: &[(String, ParameterValue)]) -> Result<Outcome, OperationError> {
    clean_within(mask, given, &Limits::default(), &CancelToken::new())
}

fn clean_within(
    mask: &Arc<Mask>,
    given: &[(String, ParameterValue)],
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Outcome, OperationError> {
    let context = Context {
        limits,
        cancel,
        artefacts: None,
    };
    let inputs = Inputs::new().with("mask", mask.clone());
    let given: BTreeMap<String, ParameterValue> = given.iter().cloned().collect();
    run_checked(&Cleanup::new(), &inputs, &given, &context)
}

/// The mask after cleaning is `after`; the table is as before.
#[track_caller]
fn check(before: &[&[&str]], given: &[(String, ParameterValue)], after: &[&[&str]]) -> Outcome {
    let before = mask(before);
    let outcome = clean(&before, given).unwrap();
    let found = outcome.get("mask").unwrap();
    assert_eq!(dense(found), dense(&mask(after)));
    assert_eq!(found.runs().geometry(), before.runs().geometry());
    assert_eq!(found.labels().entries().len(), NAMES.len());
    outcome
}

fn measured(outcome: &Outcome, label: &str, name: &str) -> Option<f64> {
    let mut of = outcome
        .measurements
        .iter()
        .filter(|found| found.label == label && found.name == name);
    of.next().map(|found| found.value)
}

#[test]
fn the_description_has_no_faults() {
    assert_eq!(Cleanup::new().description().faults(), Vec::<String>::new());
}

#[test]
fn nothing_asked_nothing_done() {
    let outcome = check(&[&["1.2.1"]], &[], &[&["1.2.1"]]);
    assert_eq!(measured(&outcome, "a", "voxels_removed"), Some(0.0));
    assert_eq!(measured(&outcome, "a", "components_removed"), None);
}

#[test]
fn small_parts_and_largest_parts() {
    let before: &[&[&str]] = &[&["111.1.11.22.2"]];
    let outcome = check(before, &[integer("min_voxels", 2)], &[&["111...11.22.."]]);
    assert_eq!(measured(&outcome, "a", "components_removed"), Some(1.0));
    assert_eq!(measured(&outcome, "b", "voxels_removed"), Some(1.0));
    assert_eq!(measured(&outcome, "c", "components_removed"), Some(0.0));
    // Of 2 mm³ each; exactly the least volume stays.
    check(before, &[number("min_volume_mm3", 4.0)], &[&["111...11.22.."]]);
    check(before, &[number("min_volume_mm3", 4.1)], &[&["111.........."]]);
    check(before, &[integer("keep_largest", 1)], &[&["111......22.."]]);
    check(before, &[integer("keep_largest", 2)], &[&["111...11.22.2"]]);
    let only_a = texts("labels", &["a"]);
    check(
        before,
        &[integer("keep_largest", 1), only_a],
        &[&["111......22.2"]],
    );
    // Of equal ones the first stays.
    check(&[&["1.1"]], &[integer("keep_largest", 1)], &[&["1.."]]);
}

#[test]
fn connectivity_decides_what_is_one_part() {
    let before: &[&[&str]] = &[&["1....", ".1..."], &["..1..", "....."]];
    for (connectivity, n_parts) in [("6", 3.0), ("18", 2.0), ("26", 1.0)] {
        let given = [text("connectivity", connectivity), integer("keep_largest", 1)];
        let outcome = clean(&mask(before), &given).unwrap();
        assert_eq!(
            measured(&outcome, "a", "components_removed"),
            Some(n_parts - 1.0),
            "{connectivity}"
        );
    }
}

#[test]
fn radii_are_in_mm_and_never_overwrite_labels() {
    // 1 mm is one voxel in the plane and none across planes.
    check(
        &[&["...", "...", "..."], &["...", ".1.", "..."]],
        &[number("dilate_mm", 1.0)],
        &[&["...", "...", "..."], &[".1.", "111", ".1."]],
    );
    check(
        &[&["...", "...", "..."], &["..2", ".1.", "..."]],
        &[number("dilate_mm", 2.0), texts("labels", &["a"])],
        &[&["...", ".1.", "..."], &["112", "111", "111"]],
    );
    check(&[&[".111."]], &[number("erode_mm", 1.0)], &[&["..1.."]]);
    // To a label that shrinks, others are background.
    check(
        &[&[".1112"]],
        &[number("erode_mm", 1.0), texts("labels", &["a"])],
        &[&["..1.2"]],
    );
    check(&[&["1.111...1"]], &[number("close_mm", 1.0)], &[&["11111...1"]]);
    check(&[&["12111...1"]], &[number("close_mm", 1.0)], &[&["12111...1"]]);
    check(
        &[&["......", ".111..", ".1111.", ".111..", "......"]],
        &[number("open_mm", 1.0)],
        &[&["......", "..11..", ".1111.", "..11..", "......"]],
    );
}

#[test]
fn background_that_several_claim_goes_to_the_first() {
    check(&[&["2.1"]], &[number("dilate_mm", 1.0)], &[&["211"]]);
    let order = texts("labels", &["b", "a", "b"]);
    check(&[&["2.1"]], &[number("dilate_mm", 1.0), order], &[&["221"]]);
}

#[test]
fn holes_are_filled_but_not_what_is_in_them() {
    let ring: &[&str] = &["11111", "1...1", "1.2.1", "1...1", "11111"];
    let full: &[&str] = &["11111", "11111", "11211", "11111", "11111"];
    let outcome = check(&[ring], &[text("fill_holes", "slices")], &[full]);
    assert_eq!(measured(&outcome, "a", "hole_voxels_filled"), Some(8.0));
    assert_eq!(measured(&outcome, "b", "hole_voxels_filled"), Some(0.0));
    assert_eq!(measured(&outcome, "a", "voxels_added"), Some(8.0));
    check(&[ring], &[text("fill_holes", "volume")], &[ring]);
    let lid: &[&str] = &["11111"; 5];
    check(
        &[lid, ring, lid],
        &[text("fill_holes", "volume")],
        &[lid, full, lid],
    );
}

#[test]
fn only_what_is_near_another_label_stays() {
    let before: &[&[&str]] = &[&["1.2...11..3.2"]];
    let near = |mm| [text("near_label", "b"), number("near_mm", mm)];
    check(before, &near(0.0), &[&["..2.........2"]]);
    check(before, &near(2.0), &[&["1.2.......3.2"]]);
    let outcome = check(before, &near(4.0), &[&["1.2...11..3.2"]]);
    assert_eq!(measured(&outcome, "a", "components_removed"), Some(0.0));
    let given = [
        text("near_label", "b"),
        number("near_mm", 2.0),
        texts("labels", &["a"]),
    ];
    check(before, &given, &[&["1.2.......3.2"]]);
    // The other label without its small parts.
    let given = [
        text("near_label", "b"),
        number("near_mm", 2.0),
        integer("keep_largest", 1),
    ];
    check(&[&["1.22.....1.2"]], &given, &[&["1.22........"]]);
    // Nothing is near a label that is not there.
    let given = [text("near_label", "d"), number("near_mm", 1000.0)];
    check(before, &given, &[&["............."]]);
}

#[test]
fn what_is_opened_away_does_not_grow() {
    let given = [number("dilate_mm", 1.0), number("open_mm", 1.0)];
    check(&[&["1....111"]], &given, &[&["....1111"]]);
}

#[test]
fn eroding_then_dilating_undoes_itself_and_small_parts_are_counted_after() {
    // Dilating first would join the two.
    check(
        &[&[".111..111."]],
        &[number("dilate_mm", 1.0), number("erode_mm", 1.0)],
        &[&[".111..111."]],
    );
    // Three voxels before, five after.
    check(
        &[&["..111..."]],
        &[integer("min_voxels", 5), number("dilate_mm", 1.0)],
        &[&[".11111.."]],
    );
    // The small part would be the second largest.
    check(
        &[&["111.1.1"]],
        &[integer("min_voxels", 2), integer("keep_largest", 2)],
        &[&["111...."]],
    );
}

#[test]
fn the_preset_is_that_of_nnunet() {
    let preset = text("preset", "nnunet");
    let before: &[&[&str]] = &[&["112.11.22"]];
    let outcome = check(before, std::slice::from_ref(&preset), &[&["112......"]]);
    assert_eq!(measured(&outcome, "", "components_removed"), Some(2.0));
    assert_eq!(measured(&outcome, "a", "voxels_removed"), Some(2.0));
    // Components of equal size all stay.
    check(
        before,
        &[preset.clone(), texts("regions", &["a"])],
        &[&["112.11.22"]],
    );
    check(
        before,
        &[preset.clone(), texts("regions", &["b", "a + b"])],
        &[&["11..11.22"]],
    );
    let given = [
        preset.clone(),
        texts("regions", &["b"]),
        text("background_label", "c"),
    ];
    check(before, &given, &[&["113.11.22"]]);
    check(&[&["..."]], &[preset], &[&["..."]]);
}

#[test]
fn small_cases_are_ordinary() {
    let everything = [
        number("open_mm", 0.0),
        number("close_mm", 2.0),
        number("erode_mm", 0.0),
        number("dilate_mm", 0.5),
        text("fill_holes", "volume"),
        integer("min_voxels", 1),
        number("min_volume_mm3", 0.5),
        integer("keep_largest", 1),
    ];
    let empty: &[&[&str]] = &[&["...", "..."], &["...", "..."]];
    check(empty, &everything, empty);
    let one: &[&[&str]] = &[&["...", "..."], &["...", ".3."]];
    let outcome = check(one, &everything, one);
    let found = outcome.get("mask").unwrap();
    let status = |name| found.labels().by_name(name).unwrap().status;
    assert_eq!(
        (status("c"), status("a")),
        (LabelStatus::Present, LabelStatus::NotFound)
    );
    let absent = [
        number("erode_mm", 1.0),
        texts("labels", &["d"]),
        integer("keep_largest", 1),
    ];
    check(one, &absent, one);
    check(&[&["1"]], &everything, &[&["1"]]);
}

#[test]
fn radii_larger_than_the_volume() {
    let before: &[&[&str]] = &[&["..1..", "....."]];
    let all: &[&[&str]] = &[&["11111", "11111"]];
    let none: &[&[&str]] = &[&[".....", "....."]];
    check(before, &[number("dilate_mm", 10_000.0)], all);
    check(before, &[number("close_mm", 10_000.0)], all);
    check(before, &[number("erode_mm", 10_000.0)], none);
    check(before, &[number("open_mm", 10_000.0)], none);
    // The volume's border takes nothing from what fills the volume.
    check(all, &[number("erode_mm", 10_000.0)], all);
}

#[test]
fn wrong_values_are_refused() {
    let mask = mask(&[&["1.2"]]);
    for given in [
        number("erode_mm", f64::NAN),
        number("dilate_mm", -0.5),
        number("open_mm", f64::INFINITY),
        number("close_mm", 10_001.0),
        number("near_mm", -1.0),
        number("min_volume_mm3", f64::NAN),
        integer("min_voxels", -1),
        integer("keep_largest", 0),
        number("keep_largest", 1.5),
        text("erode_mm", "1"),
        text("connectivity", "8"),
        integer("connectivity", 26),
        text("fill_holes", "3d"),
        text("preset", "totalsegmentator"),
        text("labels", "a"),
    ] {
        let found = clean(&mask, std::slice::from_ref(&given));
        assert!(
            matches!(found, Err(OperationError::ParameterValue { .. })),
            "{given:?}: {found:?}"
        );
    }
    let preset = text("preset", "nnunet");
    for given in [
        vec![texts("labels", &["a", "kidney"])],
        vec![text("near_label", "kidney"), number("near_mm", 1.0)],
        vec![preset.clone(), texts("regions", &["a+kidney"])],
        vec![preset, text("background_label", "background")],
    ] {
        let found = clean(&mask, &given);
        assert!(
            matches!(found, Err(OperationError::UnknownLabel { .. })),
            "{given:?}: {found:?}"
        );
        assert_eq!(found.unwrap_err().code(), ErrorCode::InvalidArgument);
    }
}

#[test]
fn contradictions_are_refused() {
    let mask = mask(&[&["1.2"]]);
    let preset = text("preset", "nnunet");
    for given in [
        vec![text("near_label", "b")],
        vec![number("near_mm", 3.0)],
        vec![
            text("near_label", "b"),
            number("near_mm", 3.0),
            texts("labels", &["a", "b"]),
        ],
        vec![texts("regions", &["a"])],
        vec![text("background_label", "a")],
        vec![preset.clone(), integer("keep_largest", 1)],
        vec![preset.clone(), texts("labels", &["a"])],
        vec![preset.clone(), text("connectivity", "6")],
        vec![preset, number("dilate_mm", 0.0)],
    ] {
        let found = clean(&mask, &given);
        assert!(
            matches!(found, Err(OperationError::ParameterCombination { .. })),
            "{given:?}: {found:?}"
        );
        assert_eq!(found.unwrap_err().code(), ErrorCode::InvalidArgument);
    }
}

#[test]
fn limits_and_cancelled_work() {
    let mask = mask(&[&["1...2"], &["....."]]);
    let cancel = CancelToken::new();
    let small = Limits {
        max_mask_runs: 1,
        ..Limits::default()
    };
    let found = clean_within(&mask, &[number("dilate_mm", 1.0)], &small, &cancel);
    assert_eq!(found.unwrap_err().code(), ErrorCode::LimitExceeded);
    cancel.cancel();
    let found = clean_within(&mask, &[integer("keep_largest", 1)], &Limits::default(), &cancel);
    assert_eq!(found.unwrap_err().code(), ErrorCode::Cancelled);
}

fn label_maps() -> impl Strategy<Value = Array3<u8>> {
    let shape = prop::array::uniform3(1usize..6);
    let values = prop::collection::vec(0u8..60, 125);
    (shape, values, 1u8..60).prop_map(|([nz, ny, nx], values, density)| {
        let mut values = values.into_iter();
        Array3::from_shape_simple_fn((nz, ny, nx), || {
            let value = values.next().unwrap_or(0);
            if value < density { 1 + value % 3 } else { 0 }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn labels_never_overwrite_each_other_and_measurements_add_up(
        map in label_maps(),
        radii in prop::array::uniform4(prop::option::of(0.0f64..4.0)),
        fill in prop::sample::select(vec![None, Some("volume"), Some("slices")]),
        k in prop::option::of(1i64..3),
        only in prop::option::of(prop::sample::subsequence(vec!["a", "b", "c"], 1..3)),
    ) {
        let before = mask_of(map.clone(), [1.7, 0.6, 0.9]);
        let names = ["open_mm", "close_mm", "erode_mm", "dilate_mm"];
        let mut given: Vec<_> =
            names.iter().zip(radii).filter_map(|(name, mm)| Some(number(name, mm?))).collect();
        given.extend(fill.map(|mode| text("fill_holes", mode)));
        given.extend(k.map(|k| integer("keep_largest", k)));
        given.extend(only.as_deref().map(|names| texts("labels", names)));
        let outcome = clean(&before, &given).unwrap();
        let after = outcome.get("mask").unwrap();
        let cleaned = |label: u8| only.as_ref().is_none_or(|only| only.contains(&NAMES[usize::from(label) - 1]));
        let shrinks = radii[0].is_some() || radii[2].is_some() || k.is_some();
        for (found, label) in dense(after).iter().zip(&map) {
            if *label == 0 {
                prop_assert!(*found == 0 || cleaned(*found));
            } else if !cleaned(*label) || !shrinks {
                prop_assert_eq!(found, label);
            }
        }
        for (name, id) in NAMES.iter().zip(1u16..).filter(|(_, id)| cleaned(*id as u8)) {
            let voxels = |mask: &Mask| mask.summaries().get(&id).map_or(0, |found| found.voxels) as f64;
            let [added, removed] = ["voxels_added", "voxels_removed"].map(|what| measured(&outcome, name, what).unwrap());
            prop_assert_eq!(voxels(&before) + added - removed, voxels(after));
        }
        // The same bytes for any number of threads.
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        prop_assert_eq!(one.install(|| clean(&before, &given).unwrap()), outcome);
    }
}
