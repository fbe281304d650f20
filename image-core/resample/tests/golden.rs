//! Compares with the libraries that nnU-Net calls; `golden/make_golden.py` says which and how.
#![allow(clippy::unwrap_used)] // a test

use ndarray::{Array3, ArrayD};
use nephrite_resample::{Interpolation, LabelRule, Real, ResizePlan, resize_labels, resize_planes};
use nephrite_types::CancelToken;
use serde_json::Value;

struct Case {
    name: String,
    from: [usize; 3],
    to: [usize; 3],
    seed: u64,
    axis: Option<usize>,
    order: Interpolation,
    order_z: Interpolation,
    rule: String,
    out: Vec<u8>,
}

fn cases(file: &str) -> Vec<Case> {
    let path = format!("{}/golden/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases: Vec<Case> = json["cases"].as_array().unwrap().iter().map(case).collect();
    assert!(cases.len() >= 40, "{file}: {} cases", cases.len());
    cases
}

fn case(json: &Value) -> Case {
    let shape = |key: &str| std::array::from_fn(|axis| json[key][axis].as_u64().unwrap() as usize);
    let order = |key: &str| Interpolation::from_order(json[key].as_u64().unwrap_or(0)).unwrap();
    let mut name = json.clone();
    name.as_object_mut().unwrap().remove("out");
    Case {
        name: name.to_string(),
        from: shape("shape"),
        to: shape("to"),
        seed: json["seed"].as_u64().unwrap(),
        axis: json["axis"].as_u64().map(|axis| axis as usize),
        order: order("order"),
        order_z: order("order_z"),
        rule: json["rule"].as_str().unwrap_or_default().to_owned(),
        out: base64(json["out"].as_str().unwrap()),
    }
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut n_bits, mut bytes) = (0u32, 0, Vec::new());
    for digit in text.trim_end_matches('=').chars() {
        bits = bits << 6 | DIGITS.find(digit).unwrap() as u32;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits) as u8);
            bits &= (1 << n_bits) - 1;
        }
    }
    bytes
}

/// The generator of `make_golden.py`.
fn noise(shape: &[usize], seed: u64) -> ArrayD<i64> {
    let mut state = seed;
    ArrayD::from_shape_simple_fn(shape, || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((state >> 33) % 2001) as i64 - 1000
    })
}

fn label_noise(shape: [usize; 3], seed: u64) -> Array3<i16> {
    let coarse = noise(&shape.map(|n| n.div_ceil(2)), seed);
    let flips = noise(&shape, seed + 1);
    Array3::from_shape_fn(shape, |(z, y, x)| {
        let flip = flips[[z, y, x]];
        let value = if flip > 800 {
            flip
        } else {
            coarse[[z / 2, y / 2, x / 2]]
        };
        value.rem_euclid(5) as i16 - 1
    })
}

fn resize<T: Real>(case: &Case, plan: ResizePlan) -> Vec<f64> {
    let source = noise(&case.from, case.seed);
    let plane_len = case.from[1] * case.from[2];
    let source = source.as_slice().unwrap();
    let fill = |k: usize, plane: &mut [T]| {
        for (value, &source) in plane.iter_mut().zip(&source[k * plane_len..]) {
            *value = T::from_f64(source as f64);
        }
    };
    let resized = resize_planes(case.from, case.to, &plan, &fill, &CancelToken::new()).unwrap();
    assert_eq!(resized.dim(), case.to.into());
    resized.iter().map(|v| v.as_f64()).collect()
}

/// Largest difference, as a fraction of the amplitude of the input (1000).
fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs() / 1000.0)
        .fold(0.0, f64::max)
}

#[test]
fn data_equals_scikit_image_and_nnunet() {
    for case in cases("data") {
        let mut plan = ResizePlan::new(case.order);
        if let Some(axis) = case.axis {
            plan = plan.with_separate_axis(axis, case.order_z).unwrap();
        }
        let expected: Vec<f64> = case
            .out
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b))
            .collect();
        let wide = difference(&resize::<f64>(&case, plan), &expected);
        assert!(wide <= 1e-12, "{}: off by {wide:e} in f64", case.name);
        let narrow = difference(&resize::<f32>(&case, plan), &expected);
        assert!(narrow <= 1e-6, "{}: off by {narrow:e} in f32", case.name);
    }
}

#[test]
fn torch_data_equals_torch() {
    for case in cases("torch") {
        let expected: Vec<f64> = case
            .out
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from(f32::from_le_bytes(*b)))
            .collect();
        let found = resize::<f32>(&case, ResizePlan::torch(case.axis).unwrap());
        let difference = difference(&found, &expected);
        assert!(difference <= 5e-7, "{}: off by {difference:e}", case.name);
    }
}

#[test]
fn labels_equal_batchgenerators_and_torch_exactly() {
    for case in cases("labels") {
        let rule = match case.rule.as_str() {
            "batchgenerators" => LabelRule::Batchgenerators(case.order),
            "torch" => LabelRule::Torch,
            "torch_memory_efficient" => LabelRule::TorchMemoryEfficient,
            other => panic!("rule {other}"),
        };
        let source = label_noise(case.from, case.seed);
        let separate = case.axis.map(|axis| (axis, case.order_z));
        let found = resize_labels(source.view(), case.to, rule, separate, &CancelToken::new()).unwrap();
        let found: Vec<i16> = found.iter().copied().collect();
        assert_eq!(found.len(), case.out.len());
        let expected: Vec<i16> = case.out.iter().map(|&b| i16::from(b as i8)).collect();
        let n_wrong = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert_eq!(
            n_wrong,
            0,
            "{}: {n_wrong} of {} labels differ",
            case.name,
            expected.len()
        );
    }
}
