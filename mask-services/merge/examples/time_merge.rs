//! Times merging on a raw label map: `time_merge FILE NZ NY NX`, one byte per voxel, x fastest.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program to look at figures with

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ndarray::Array3;
use nephrite_kernel::{
    CancelToken, Context, Inputs, LabelTable, Limits, Mask, ParameterValue, RunMask, run_checked,
};
use nephrite_merge::Merge;
use nephrite_types::{Affine, Geometry, Labels, Shape3, Spacing};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let shape: [usize; 3] = std::array::from_fn(|axis| arguments[2 + axis].parse().unwrap());
    let array = Array3::from_shape_vec(shape, std::fs::read(&arguments[1]).unwrap()).unwrap();
    let spacing = Spacing::new([1.0, 0.75, 0.75]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let limits = Limits::default();
    let cancel = CancelToken::new();
    let runs = RunMask::from_labels(&Labels::U8(array), &geometry, &limits).unwrap();
    let numbered = |runs: RunMask| {
        let ids: Vec<u16> = runs.summaries().into_keys().collect();
        Arc::new(Mask::new(runs, LabelTable::numbered(ids)).unwrap())
    };
    let whole = numbered(runs.clone());
    println!(
        "{} runs, {} labels",
        runs.runs().len(),
        whole.labels().entries().len()
    );
    let context = Context {
        limits: &limits,
        cancel: &cancel,
        artefacts: None,
    };
    let time = |what: &str, inputs: Inputs, parameters: &[(&str, ParameterValue)]| {
        let given: BTreeMap<_, _> = parameters
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.clone()))
            .collect();
        let mut best = f64::INFINITY;
        let mut result = None;
        for _ in 0..3 {
            let start = Instant::now();
            result = Some(run_checked(&Merge::new(), &inputs, &given, &context).unwrap());
            best = best.min(start.elapsed().as_secs_f64() * 1e3);
        }
        let n = result.unwrap().get("mask").unwrap().runs().runs().len();
        println!("{what}: {best:.1} ms, {n} runs");
    };
    let part = |k: u16| numbered(runs.relabel(|_, run| if run.label % 3 == k { run.label } else { 0 }));
    let parts = || {
        Inputs::new()
            .with("masks", part(0))
            .with("masks", part(1))
            .with("masks", part(2))
    };
    time("one mask", Inputs::new().with("masks", whole.clone()), &[]);
    time("three disjoint masks", parts(), &[]);
    let overlapping = parts().with("masks", whole.clone());
    time("three masks and the whole", overlapping, &[]);
    let mut each = Inputs::new();
    for id in whole.summaries().keys() {
        each.add(
            "masks",
            numbered(runs.relabel(|_, run| if run.label == *id { *id } else { 0 })),
        );
    }
    time("one mask per label", each, &[]);
    let names: Vec<&str> = whole
        .labels()
        .entries()
        .iter()
        .map(|e| e.name.as_str())
        .take(2)
        .collect();
    let step = format!("x = {} inside {} grown 5", names[0], names[1]);
    let steps = ParameterValue::Texts(vec![step]);
    time(
        "a step with grown 5",
        Inputs::new().with("masks", whole.clone()),
        &[("steps", steps)],
    );
    let half = Arc::new(
        Mask::new(
            RunMask::empty(
                geometry.resized(Shape3::new(shape.map(|n| n.div_ceil(2))).unwrap()),
                &limits,
            )
            .unwrap(),
            LabelTable::default(),
        )
        .unwrap(),
    );
    let mut rows = geometry.affine.rows();
    let (c, s) = (0.1f64.cos(), 0.1f64.sin());
    for row in &mut rows[..3] {
        let (x, y) = (row[0], row[1]);
        (row[0], row[1]) = (c * x - s * y, s * x + c * y);
    }
    let oblique = Geometry {
        affine: Affine::new([rows[0], rows[1], rows[2]]).unwrap(),
        ..geometry
    };
    let turned =
        Arc::new(Mask::new(RunMask::empty(oblique, &limits).unwrap(), LabelTable::default()).unwrap());
    for kind in ["nearest", "linear"] {
        for (what, reference) in [("half the voxels", &half), ("oblique", &turned)] {
            let inputs = Inputs::new()
                .with("masks", whole.clone())
                .with("reference", reference.clone());
            let interpolation = ParameterValue::Text(kind.to_owned());
            time(
                &format!("{kind} to {what}"),
                inputs,
                &[("interpolation", interpolation)],
            );
        }
    }
}
