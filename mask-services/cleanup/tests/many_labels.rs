//! Labels are worked on one by one, each on its box: that changes nothing, and thousands of them cost little more than one.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::Array3;
use nephrite_cleanup::Cleanup;
use nephrite_kernel::*;
use nephrite_runs::{Holes, close, combine, grow, holes, open, select, shrink};
use nephrite_types::Labels;
use proptest::prelude::*;

fn mask(labels: Array3<u16>) -> Arc<Mask> {
    let (nz, ny, nx) = labels.dim();
    let spacing = Spacing::new([1.5, 1.0, 0.8]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([nz, ny, nx]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [3.0, -2.0, 1.0]),
    };
    let runs = RunMask::from_labels(&Labels::U16(labels), &geometry, &Limits::default()).unwrap();
    let table = LabelTable::numbered(runs.summaries().into_keys());
    Arc::new(Mask::new(runs, table).unwrap())
}

fn clean(mask: &Arc<Mask>, name: &str, value: ParameterValue, labels: &[u16]) -> RunMask {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let context = Context {
        limits: &limits,
        cancel: &cancel,
        artefacts: None,
    };
    let names = labels.iter().map(|label| format!("label_{label}")).collect();
    let given = BTreeMap::from([
        (name.to_owned(), value),
        ("labels".to_owned(), ParameterValue::Texts(names)),
    ]);
    let inputs = Inputs::new().with("mask", mask.clone());
    let outcome = run_checked(&Cleanup::new(), &inputs, &given, &context).unwrap();
    outcome.get("mask").unwrap().runs().clone()
}

/// The same on the whole mask, label by label.
fn expected(mask: &RunMask, name: &str, mm: f64, labels: &[u16]) -> RunMask {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let mut after = mask.clone();
    for &label in labels {
        let set = select(mask, |other| other == label);
        let shaped = match name {
            "open_mm" => open(&set, mm, &limits, &cancel),
            "close_mm" => close(&set, mm, &limits, &cancel),
            "erode_mm" => shrink(&set, mm, &limits, &cancel),
            "dilate_mm" => grow(&set, mm, &limits, &cancel),
            _ => holes(&set, Holes::Volume, &limits, &cancel),
        }
        .unwrap();
        let takes = matches!(name, "open_mm" | "erode_mm");
        after = combine(&after, &shaped, &limits, |found, shaped| match (found, shaped) {
            (found, 0) if takes && found == label => 0,
            (0, shaped) if !takes && shaped != 0 => label,
            (found, _) => found,
        })
        .unwrap();
    }
    after
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn label_by_label_on_boxes_is_label_by_label_on_the_whole_mask(
        shape in [1usize..6, 1usize..8, 1usize..14],
        noise in proptest::collection::vec(0u16..100, 5 * 7 * 13),
        background in 1u16..100,
        mm in 0.0f64..4.0,
        order in Just(vec![1u16, 2, 3, 4]).prop_shuffle(),
        n in 1usize..4,
    ) {
        let mut noise = noise.into_iter();
        let mut labels = Array3::from_shape_fn(shape, |_| {
            let n = noise.next().unwrap_or(0);
            if n < background { 0 } else { 1 + n % 4 }
        });
        // All four occur, where there is room: names must.
        labels.iter_mut().zip(1..=4).for_each(|(label, id)| *label = id);
        let mask = mask(labels);
        let order: Vec<u16> = order.into_iter().filter(|id| mask.summaries().contains_key(id)).take(n).collect();
        for name in ["open_mm", "close_mm", "erode_mm", "dilate_mm"] {
            let found = clean(&mask, name, ParameterValue::Number(mm), &order);
            prop_assert_eq!(found, expected(mask.runs(), name, mm, &order), "{} {}", name, mm);
        }
        let found = clean(&mask, "fill_holes", ParameterValue::Text("volume".to_owned()), &order);
        prop_assert_eq!(found, expected(mask.runs(), "fill_holes", 0.0, &order));
    }
}

/// Scattered voxels, `n` labels: a label's box is the whole grid.
fn specks(n: u64) -> Arc<Mask> {
    let mut state = 1u64;
    mask(Array3::from_shape_fn([60, 60, 60], |_| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((state >> 33) % n) as u16 + 1
    }))
}

/// Blocks of 4³ voxels, `n` labels again and again.
fn cells(n: usize) -> Arc<Mask> {
    mask(Array3::from_shape_fn([60, 60, 60], |(z, y, x)| {
        let block = z / 4 * 225 + y / 4 * 15 + x / 4;
        (block % n) as u16 + 1
    }))
}

/// What grew with labels times voxels took a thousand times as long.
#[test]
fn thousands_of_labels_cost_little_more_than_a_few() {
    let fastest = |mask: &Arc<Mask>, name: &str| {
        let times = (0..3).map(|_| {
            let start = Instant::now();
            clean(mask, name, ParameterValue::Number(1.0), &[]);
            start.elapsed()
        });
        times.min().unwrap()
    };
    for (few, many) in [(specks(3), specks(3000)), (cells(3), cells(3000))] {
        for name in ["dilate_mm", "erode_mm", "close_mm"] {
            let (few, many) = (fastest(&few, name), fastest(&many, name));
            assert!(
                many < 40 * few.max(Duration::from_millis(10)),
                "{name}: {few:?} {many:?}"
            );
        }
    }
}
