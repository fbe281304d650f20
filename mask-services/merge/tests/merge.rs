//! The operation against plain dense code.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::Array3;
use nephrite_kernel::{
    CancelToken, Coded, Context, ErrorCode, Inputs, LabelEntry, LabelStatus, LabelTable, Limits, Mask,
    MaskOperation, OperationError, Outcome, ParameterValue, RunMask, run_checked,
};
use nephrite_merge::Merge;
use nephrite_types::{Affine, Geometry, Labels, Shape3, Spacing};
use proptest::prelude::*;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "left kidney"];

fn grid(shape: [usize; 3], rows: [[f64; 4]; 3]) -> Geometry {
    let affine = Affine::new(rows).unwrap();
    let [x, y, z] = affine.column_norms_xyz();
    Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing: Spacing::new([z, y, x]).unwrap(),
        affine,
    }
}

fn plain(shape: [usize; 3]) -> Geometry {
    grid(
        shape,
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]],
    )
}

fn mask(array: &Array3<u16>, geometry: Geometry, names: &[(u16, &str, LabelStatus)]) -> Arc<Mask> {
    let runs = RunMask::from_labels(&Labels::U16(array.clone()), &geometry, &Limits::default()).unwrap();
    let entries = names.iter().map(|&(id, name, status)| LabelEntry {
        id,
        name: name.to_owned(),
        status,
    });
    Arc::new(Mask::new(runs, LabelTable::new(entries.collect()).unwrap()).unwrap())
}

/// Ids 1 to 5 mean `NAMES`, rotated by `turn`.
fn turned(array: &Array3<u16>, geometry: Geometry, turn: usize) -> Arc<Mask> {
    let names: Vec<_> = (0..5)
        .map(|i| (i as u16 + 1, NAMES[(i + turn) % 5], LabelStatus::Present))
        .collect();
    mask(array, geometry, &names)
}

fn texts(list: &[&str]) -> ParameterValue {
    ParameterValue::Texts(list.iter().map(|text| (*text).to_owned()).collect())
}

fn merge(inputs: &Inputs, parameters: &[(&str, ParameterValue)]) -> Result<Outcome, OperationError> {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let context = Context {
        limits: &limits,
        cancel: &cancel,
        artefacts: None,
    };
    let given: BTreeMap<String, ParameterValue> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    run_checked(&Merge::new(), inputs, &given, &context)
}

fn dense(outcome: &Outcome) -> Array3<u16> {
    match outcome.get("mask").unwrap().runs().to_labels() {
        Labels::U8(array) => array.mapv(u16::from),
        Labels::U16(array) => array,
    }
}

fn measured(outcome: &Outcome, label: &str, name: &str) -> f64 {
    let found = outcome
        .measurements
        .iter()
        .find(|m| m.label == label && m.name == name);
    found.map_or(0.0, |m| m.value)
}

fn labels(shape: [usize; 3]) -> impl Strategy<Value = Array3<u16>> {
    // runs rather than noise, with much background
    let n: usize = shape.iter().product();
    proptest::collection::vec((prop_oneof![3 => Just(0u16), 4 => 1u16..6], 1usize..5), n).prop_map(
        move |runs| {
            let voxels = runs
                .into_iter()
                .flat_map(|(label, length)| std::iter::repeat_n(label, length));
            Array3::from_shape_vec(shape, voxels.take(n).collect()).unwrap()
        },
    )
}

#[test]
fn the_description_has_no_faults() {
    assert_eq!(Merge::new().description().faults(), Vec::<String>::new());
}

#[test]
fn ids_table_conflicts_and_status() {
    let geometry = plain([1, 1, 6]);
    let row = |values: [u16; 6]| Array3::from_shape_vec([1, 1, 6], values.to_vec()).unwrap();
    use LabelStatus::*;
    let first = mask(
        &row([1, 1, 1, 0, 0, 0]),
        geometry,
        &[(1, "liver", Present), (2, "spleen", NotSearched)],
    );
    let second = mask(
        &row([0, 1, 1, 1, 2, 0]),
        geometry,
        &[
            (1, "tumour", Present),
            (2, "liver", Present),
            (3, "spleen", Failed),
        ],
    );
    let inputs = Inputs::new().with("masks", first).with("masks", second);

    let outcome = merge(&inputs, &[]).unwrap();
    assert_eq!(
        dense(&outcome),
        row([1, 1, 1, 3, 1, 0]),
        "liver 1, spleen 2, tumour 3"
    );
    let table = outcome.get("mask").unwrap().labels();
    let entries: Vec<_> = table
        .entries()
        .iter()
        .map(|e| (e.id, e.name.as_str(), e.status))
        .collect();
    assert_eq!(
        entries,
        [
            (1, "liver", Present),
            (2, "spleen", Failed),
            (3, "tumour", Present)
        ]
    );
    assert_eq!(measured(&outcome, "", "conflict"), 2.0);
    assert_eq!(measured(&outcome, "liver", "conflict_with:tumour"), 2.0);

    let outcome = merge(
        &inputs,
        &[
            ("labels", texts(&["tumour=300", "liver = 7"])),
            ("priority", texts(&["tumour"])),
        ],
    )
    .unwrap();
    assert_eq!(dense(&outcome), row([7, 300, 300, 300, 7, 0]));
    assert_eq!(measured(&outcome, "tumour", "conflict_with:liver"), 2.0);

    let outcome = merge(&inputs, &[("labels", texts(&["tumour=1"]))]).unwrap();
    assert_eq!(dense(&outcome), row([0, 1, 1, 1, 0, 0]));
    assert_eq!(
        measured(&outcome, "", "conflict"),
        0.0,
        "what is left out claims nothing"
    );
}

#[test]
fn steps_act_in_order_on_full_sets() {
    let geometry = plain([1, 1, 8]);
    let row = |values: [u16; 8]| Array3::from_shape_vec([1, 1, 8], values.to_vec()).unwrap();
    use LabelStatus::Present;
    let organ = mask(
        &row([1, 1, 1, 1, 0, 0, 0, 0]),
        geometry,
        &[(1, "kidney", Present)],
    );
    let inside = mask(
        &row([0, 0, 0, 1, 1, 2, 0, 1]),
        geometry,
        &[(1, "tumour", Present), (2, "cyst", Present)],
    );
    let inputs = Inputs::new().with("masks", organ).with("masks", inside);
    let check = |steps: &[&str], labels: &[&str], expected: [u16; 8]| {
        let outcome = merge(&inputs, &[("steps", texts(steps)), ("labels", texts(labels))]).unwrap();
        assert_eq!(dense(&outcome), row(expected), "{steps:?}");
        outcome
    };
    let all = ["kidney=1", "tumour=2", "cyst=3"];
    check(&["tumour = tumour union cyst"], &all, [1, 1, 1, 2, 2, 2, 0, 2]);
    check(
        &["tumour = tumour inside kidney grown 1"],
        &all,
        [1, 1, 1, 2, 2, 3, 0, 0],
    );
    check(&["tumour = tumour inside kidney"], &all, [1, 1, 1, 2, 0, 3, 0, 0]);
    check(
        &["kidney = kidney subtract tumour"],
        &all,
        [1, 1, 1, 2, 2, 3, 0, 2],
    );
    check(
        &[
            "mass = tumour union cyst",
            "mass = mass subtract kidney",
            "rest = kidney subtract mass grown 1",
        ],
        &["mass=9", "rest=8"],
        [8, 8, 8, 0, 9, 9, 0, 9],
    );
    let outcome = check(&["cyst = kidney intersect cyst"], &all, [1, 1, 1, 1, 2, 0, 0, 2]);
    let entry = outcome
        .get("mask")
        .unwrap()
        .labels()
        .by_name("cyst")
        .unwrap()
        .clone();
    assert_eq!(entry.status, LabelStatus::NotFound);
}

#[test]
fn wrong_requests_are_refused() {
    let geometry = plain([2, 2, 2]);
    let inputs = Inputs::new().with("masks", turned(&Array3::zeros([2, 2, 2]), geometry, 0));
    let check = |name: &str, value: ParameterValue, code: ErrorCode, part: &str| {
        let error = merge(&inputs, &[(name, value)]).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    let wrong = ErrorCode::InvalidArgument;
    check("labels", texts(&["a"]), wrong, "name=id");
    check("labels", texts(&["a=0"]), wrong, "a=0");
    check("labels", texts(&["a=1", "b=1"]), wrong, "twice");
    check("labels", texts(&["z=1"]), wrong, "\"z\"");
    check("priority", texts(&["z"]), wrong, "\"z\"");
    check("priority", texts(&["a", "a"]), wrong, "twice");
    check("steps", texts(&["a = b plus c"]), wrong, "a = b plus c");
    check("steps", texts(&["a = b union z"]), wrong, "\"z\"");
    check("steps", texts(&["a = a inside b grown -1"]), wrong, "-1");
    check(
        "interpolation",
        ParameterValue::Text("cubic".into()),
        wrong,
        "interpolation",
    );
    let none = merge(&Inputs::new(), &[]).unwrap_err();
    assert_eq!(none.code(), wrong);

    // so small that the place of another grid's voxels in it is no number
    let mut speck = plain([2, 2, 2]);
    speck.affine = Affine::new([
        [1e-100, 0.0, 0.0, 1e300],
        [0.0, 1e-100, 0.0, 0.0],
        [0.0, 0.0, 1e-100, 0.0],
    ])
    .unwrap();
    let inputs = Inputs::new()
        .with("masks", turned(&Array3::ones([2, 2, 2]), geometry, 0))
        .with("reference", turned(&Array3::zeros([2, 2, 2]), speck, 0));
    let error = merge(&inputs, &[]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidInput, "{error}");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let voxel =
        |k: usize| Array3::from_shape_fn([7, 9, 11], |(z, y, x)| ((z * 5 + y * 3 + x * k) % 6) as u16);
    let inputs = Inputs::new()
        .with("masks", turned(&voxel(1), plain([7, 9, 11]), 0))
        .with("masks", turned(&voxel(7), plain([7, 9, 11]), 2));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| merge(&inputs, &[("steps", texts(&["b = a union c grown 2"]))]).unwrap())
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn an_empty_mask_and_one_voxel_have_results() {
    let geometry = plain([3, 3, 3]);
    let empty = turned(&Array3::zeros([3, 3, 3]), geometry, 0);
    let outcome = merge(&Inputs::new().with("masks", empty.clone()), &[]).unwrap();
    assert!(outcome.get("mask").unwrap().runs().is_empty());
    assert_eq!(outcome.get("mask").unwrap().labels().entries().len(), 5);

    let mut one = Array3::zeros([1, 1, 1]);
    one[[0, 0, 0]] = 3;
    let small = grid(
        [1, 1, 1],
        [[1.0, 0.0, 0.0, 2.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 2.0, 2.0]],
    );
    for kind in ["nearest", "linear"] {
        let inputs = Inputs::new()
            .with("masks", empty.clone())
            .with("masks", turned(&one, small, 0));
        let outcome = merge(&inputs, &[("interpolation", ParameterValue::Text(kind.into()))]).unwrap();
        let mut expected = Array3::zeros([3, 3, 3]);
        expected[[1, 1, 2]] = 3;
        assert_eq!(dense(&outcome), expected, "{kind}");
    }
    let nothing = [("steps", texts(&["x = a grown 3"]))];
    assert!(merge(&Inputs::new().with("masks", empty.clone()), &nothing).is_err());
    let nothing = [("steps", texts(&["x = a union b grown 3"]))];
    let outcome = merge(&Inputs::new().with("masks", empty), &nothing).unwrap();
    assert!(outcome.get("mask").unwrap().runs().is_empty());
}

#[test]
fn what_lies_outside_of_the_reference_is_cut_and_counted() {
    let source = plain([2, 2, 6]);
    let target = grid(
        [2, 2, 3],
        [[-1.0, 0.0, 0.0, 4.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 2.0]],
    );
    let inputs = Inputs::new()
        .with("masks", turned(&Array3::ones([2, 2, 6]), source, 0))
        .with("reference", turned(&Array3::zeros([2, 2, 3]), target, 0));
    let outcome = merge(&inputs, &[]).unwrap();
    // x 2, 3, 4 of plane 1 remain
    assert_eq!(measured(&outcome, "a", "outside_reference"), (24 - 6) as f64);
    assert_eq!(dense(&outcome).iter().filter(|id| **id == 1).count(), 6);
}

#[test]
fn a_hostile_reference_is_refused_before_it_is_made() {
    let huge = plain([4096, 4096, 4096]);
    let limits = Limits {
        max_voxels: 1000,
        ..Limits::default()
    };
    let lax = Limits {
        max_voxels: u64::MAX,
        ..Limits::default()
    };
    let runs = RunMask::empty(huge, &lax).unwrap();
    let reference = Arc::new(Mask::new(runs, LabelTable::default()).unwrap());
    let inputs = Inputs::new()
        .with("masks", turned(&Array3::ones([2, 2, 2]), plain([2, 2, 2]), 0))
        .with("reference", reference);
    let cancel = CancelToken::new();
    let context = Context {
        limits: &limits,
        cancel: &cancel,
        artefacts: None,
    };
    let error = run_checked(&Merge::new(), &inputs, &BTreeMap::new(), &context).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded);
    cancel.cancel();
    let error = run_checked(&Merge::new(), &inputs, &BTreeMap::new(), &context).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled);
}

/// Name of each voxel by plain rules: the first name in `order` that any mask has there.
fn merge_plainly(
    arrays: &[Array3<u16>],
    turns: &[usize],
    order: &[usize],
) -> (Array3<u16>, BTreeMap<(usize, usize), u64>) {
    let shape = arrays[0].dim();
    let mut result = Array3::zeros(shape);
    let mut conflicts = BTreeMap::new();
    for (index, out) in result.indexed_iter_mut() {
        let mut claims: Vec<usize> = arrays
            .iter()
            .zip(turns)
            .filter(|(array, _)| array[index] > 0)
            .map(|(array, turn)| (usize::from(array[index]) - 1 + turn) % 5)
            .collect();
        claims.sort_by_key(|name| order.iter().position(|other| other == name));
        claims.dedup();
        if let Some(first) = claims.first() {
            *out = *first as u16 + 1;
        }
        for i in 0..claims.len() {
            for j in i + 1..claims.len() {
                *conflicts.entry((claims[i], claims[j])).or_default() += 1;
            }
        }
    }
    (result, conflicts)
}

/// Index in the source of a voxel of the target, by solving for world coordinates.
fn source_index(source: &Geometry, target: &Geometry, xyz: [f64; 3]) -> [f64; 3] {
    let world = target.affine.world_from_voxel(xyz);
    let m = source.affine.rows();
    let det = |m: [[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let columns: [[f64; 3]; 3] = std::array::from_fn(|r| [m[r][0], m[r][1], m[r][2]]);
    std::array::from_fn(|c| {
        // Cramer's rule
        let mut replaced = columns;
        for r in 0..3 {
            replaced[r][c] = world[r] - m[r][3];
        }
        (det(replaced) / det(columns) * 65536.0).round() / 65536.0
    })
}

fn at(array: &Array3<u16>, [x, y, z]: [f64; 3]) -> u16 {
    if [x, y, z].iter().any(|i| *i < 0.0) {
        return 0;
    }
    array
        .get([z as usize, y as usize, x as usize])
        .copied()
        .unwrap_or(0)
}

fn resample_plainly(array: &Array3<u16>, source: &Geometry, target: &Geometry, linear: bool) -> Array3<u16> {
    Array3::from_shape_fn(target.shape.zyx(), |(z, y, x)| {
        let u = source_index(source, target, [x as f64, y as f64, z as f64]);
        if !linear {
            return at(array, u.map(|u| (u + 0.5).floor()));
        }
        let mut weights = [0.0; 6];
        for corner in 0..8 {
            let side: [f64; 3] = std::array::from_fn(|c| f64::from((corner >> c) as u8 & 1));
            let weight: f64 = (0..3)
                .map(|c| {
                    let t = u[c] - u[c].floor();
                    if side[c] == 0.0 { 1.0 - t } else { t }
                })
                .product();
            weights[usize::from(at(array, std::array::from_fn(|c| u[c].floor() + side[c])))] += weight;
        }
        let best = (0..6).fold(0, |best, id| if weights[id] > weights[best] { id } else { best });
        best as u16
    })
}

/// A grid near the origin: any scale, flips, permuted axes, or a rotation that no axis survives.
fn grids() -> impl Strategy<Value = Geometry> {
    let kinds = prop_oneof![Just(0), Just(1), Just(2), Just(3)];
    (
        [1usize..6, 1usize..6, 1usize..12],
        [1i32..9, 1i32..9, 1i32..9],
        [-9i32..9, -9i32..9, -9i32..9],
        0u8..8,
        kinds,
    )
        .prop_map(|(shape, quarters, offset, flips, kind)| {
            let scale: [f64; 3] = std::array::from_fn(|c| {
                let sign = if flips >> c & 1 == 1 { -1.0 } else { 1.0 };
                sign * f64::from(quarters[c]) * 0.25
            });
            let axes: [[f64; 3]; 3] = match kind {
                0 | 1 => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
                2 => [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]],
                _ => [[0.6, -0.8, 0.0], [0.48, 0.36, -0.8], [0.64, 0.48, 0.6]],
            };
            let rows = std::array::from_fn(|r| {
                std::array::from_fn(|c| {
                    if c < 3 {
                        axes[r][c] * scale[c]
                    } else {
                        f64::from(offset[r]) * 0.25
                    }
                })
            });
            grid(shape, rows)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn masks_on_one_grid_merge_as_plain_code_does(
        arrays in proptest::collection::vec(labels([2, 3, 9]), 1..5),
        turns in proptest::collection::vec(0usize..5, 5),
        order in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let geometry = plain([2, 3, 9]);
        let mut inputs = Inputs::new();
        for (array, turn) in arrays.iter().zip(&turns) {
            inputs.add("masks", turned(array, geometry, *turn));
        }
        let priority: Vec<&str> = order.iter().map(|&i| NAMES[i]).collect();
        let table: Vec<String> = NAMES.iter().enumerate().map(|(i, name)| format!("{name}={}", i + 1)).collect();
        let outcome = merge(&inputs, &[
            ("priority", texts(&priority)),
            ("labels", ParameterValue::Texts(table)),
        ]).unwrap();
        let (expected, conflicts) = merge_plainly(&arrays, &turns, &order);
        prop_assert_eq!(dense(&outcome), expected);
        for ((winner, loser), n) in &conflicts {
            let found = measured(&outcome, NAMES[*winner], &format!("conflict_with:{}", NAMES[*loser]));
            prop_assert_eq!(found, *n as f64);
        }
        prop_assert_eq!(outcome.measurements.len(), conflicts.len() + 1);
    }

    #[test]
    fn masks_on_other_grids_are_found_by_world_coordinates(
        source in grids(),
        target in grids(),
        values in labels([6, 6, 12]),
        linear in any::<bool>(),
    ) {
        let [nz, ny, nx] = source.shape.zyx();
        let array = values.slice(ndarray::s![..nz, ..ny, ..nx]).to_owned();
        let inputs = Inputs::new()
            .with("masks", turned(&array, source, 0))
            .with("reference", turned(&Array3::zeros(target.shape.zyx()), target, 0));
        let kind = if linear { "linear" } else { "nearest" };
        let outcome = merge(&inputs, &[("interpolation", ParameterValue::Text(kind.into()))]).unwrap();
        prop_assert_eq!(dense(&outcome), resample_plainly(&array, &source, &target, linear));
        // what is cut, voxel by voxel
        for (i, name) in NAMES.iter().enumerate() {
            let outside = array.indexed_iter().filter(|((z, y, x), id)| {
                let u = source_index(&target, &source, [*x as f64, *y as f64, *z as f64]);
                let n = target.shape.xyz();
                **id == i as u16 + 1 && (0..3).any(|c| u[c] < -0.5 || u[c] > n[c] as f64 - 0.5)
            }).count();
            prop_assert_eq!(measured(&outcome, name, "outside_reference"), outside as f64);
        }
    }

    #[test]
    fn steps_equal_plain_sets(
        arrays in proptest::collection::vec(labels([2, 3, 6]), 1..4),
        steps in proptest::collection::vec((0usize..5, 0usize..5, 0usize..4, 0usize..5), 1..4),
    ) {
        const WORDS: [&str; 4] = ["union", "intersect", "subtract", "inside"];
        let geometry = plain([2, 3, 6]);
        let mut inputs = Inputs::new();
        arrays.iter().for_each(|array| inputs.add("masks", turned(array, geometry, 0)));
        let lines: Vec<String> = steps.iter().map(|(t, l, op, r)| {
            format!("\"{}\" = \"{}\" {} \"{}\"", NAMES[*t], NAMES[*l], WORDS[*op], NAMES[*r])
        }).collect();
        let outcome = merge(&inputs, &[("steps", ParameterValue::Texts(lines))]).unwrap();
        let mut sets: Vec<Array3<bool>> = (0..5u16).map(|i| {
            Array3::from_shape_fn([2, 3, 6], |v| arrays.iter().any(|array| array[v] == i + 1))
        }).collect();
        for (t, l, op, r) in &steps {
            sets[*t] = Array3::from_shape_fn([2, 3, 6], |v| match op {
                0 => sets[*l][v] || sets[*r][v],
                2 => sets[*l][v] && !sets[*r][v],
                _ => sets[*l][v] && sets[*r][v],
            });
        }
        let mut order: Vec<usize> = steps.iter().rev().map(|step| step.0).chain(0..5).collect();
        let mut seen = [false; 5];
        order.retain(|i| !std::mem::replace(&mut seen[*i], true));
        let expected = Array3::from_shape_fn([2, 3, 6], |v| {
            order.iter().find(|i| sets[**i][v]).map_or(0, |i| *i as u16 + 1)
        });
        prop_assert_eq!(dense(&outcome), expected);
    }
}

#[test]
fn grown_by_a_spacing_reaches_the_next_voxel_on_every_grid() {
    for mm in [0.1, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0, 1.3, 2.4] {
        let stored = f64::from(mm as f32);
        let rows = [
            [stored, 0.0, 0.0, 0.0],
            [0.0, stored, 0.0, 0.0],
            [0.0, 0.0, stored, 0.0],
        ];
        let mut array = Array3::zeros([1, 1, 9]);
        array[[0, 0, 4]] = 1;
        let one = mask(&array, grid([1, 1, 9], rows), &[(1, "a", LabelStatus::Present)]);
        let inputs = Inputs::new().with("masks", one);
        for (grown, voxels) in [(mm, 3), (3.0 * mm, 7), (2.9999 * mm, 5)] {
            let steps = texts(&[&format!("a = a union a grown {grown}")]);
            let merged = dense(&merge(&inputs, &[("steps", steps)]).unwrap());
            let found = merged.iter().filter(|id| **id == 1).count();
            assert_eq!(found, voxels, "grown {grown} on {mm} mm");
        }
    }
}

#[test]
fn a_center_on_the_face_of_a_label_is_reached_whatever_the_rounding() {
    // The last voxel of the target lies half a voxel before the source's one plane: at -0.5 - 1 ulp as 64 bits have it.
    let source = grid(
        [1, 5, 4],
        [
            [1.05, 0.4, 0.0, 0.0],
            [0.84, -0.18, -0.4, -0.5],
            [1.12, -0.24, 0.3, -1.5],
        ],
    );
    let target = grid(
        [1, 1, 4],
        [
            [0.25, 0.0, 0.0, 1.25],
            [0.0, -0.25, 0.0, 1.5],
            [0.0, 0.0, 0.25, 0.75],
        ],
    );
    let mut array = Array3::zeros([1, 5, 4]);
    array[[0, 0, 2]] = 1;
    let inputs = Inputs::new()
        .with("masks", turned(&array, source, 0))
        .with("reference", turned(&Array3::zeros([1, 1, 4]), target, 0));
    let merged = merge(
        &inputs,
        &[("interpolation", ParameterValue::Text("nearest".into()))],
    )
    .unwrap();
    assert_eq!(
        dense(&merged).into_raw_vec_and_offset().0,
        [0, 0, 0, 1],
        "positions snap to -0.5, which is the first plane's"
    );
}
