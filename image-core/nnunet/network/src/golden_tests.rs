//! Names, shapes and logits against dynamic-network-architectures, from `golden/` (see `golden/make_golden.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nephrite_cpu::{CpuOptions, Level, Threads};
use nephrite_types::CancelToken;
use serde_json::Value;

use crate::build_cpu::build_cpu;
use crate::build_onnx::build_onnx;
use crate::onnx_check::{OnnxExpectation, check_onnx};
use crate::weights::{WeightSource, expected_tensors, has_running_statistics};
use crate::{NetworkError, reference, session_memory};

#[path = "../golden/safetensors.rs"]
mod safetensors;
use safetensors::Golden;

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn cases() -> Vec<(String, Golden)> {
    let files = std::fs::read_dir(golden_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                Golden::read(&path).unwrap(),
            )
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(cases.len(), 13, "all golden cases are there");
    cases
}

fn case(name: &str) -> Golden {
    cases()
        .into_iter()
        .find(|(n, _)| n == name)
        .expect("the case exists")
        .1
}

/// The tensors of a state dict that inference needs: no deep supervision heads but the last, no counters.
fn without_unused(tensors: BTreeMap<String, Vec<usize>>, n_stages: usize) -> BTreeMap<String, Vec<usize>> {
    let head = format!("decoder.seg_layers.{}.", n_stages - 2);
    let is_used = |name: &str| !name.starts_with("decoder.seg_layers.") || name.starts_with(&head);
    tensors
        .into_iter()
        .filter(|(name, _)| is_used(name) && !name.ends_with("num_batches_tracked"))
        .collect()
}

#[test]
fn expected_tensors_are_those_of_the_reference() {
    for (name, golden) in cases() {
        let architecture = golden.architecture().unwrap();
        let batch_norm = has_running_statistics(&architecture, &golden);
        assert_eq!(batch_norm, name.ends_with("batch_norm_trainer"), "{name}");
        let tensors = golden
            .names()
            .into_iter()
            .map(|n| (n.clone(), golden.shape(&n).unwrap()))
            .collect();
        let found: BTreeMap<_, _> = expected_tensors(&architecture, batch_norm).into_iter().collect();
        assert_eq!(found, without_unused(tensors, 3), "{name}");
    }
}

#[test]
fn full_size_networks_have_the_tensors_of_the_reference() {
    let text = std::fs::read_to_string(golden_dir().join("shapes.json")).unwrap();
    let networks: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(networks.len(), 3);
    for (name, entry) in networks {
        let architecture = safetensors::parse(&entry["network"]).unwrap();
        let tensors = serde_json::from_value(entry["tensors"].clone()).unwrap();
        let found: BTreeMap<_, _> = expected_tensors(&architecture, false).into_iter().collect();
        assert_eq!(
            found,
            without_unused(tensors, architecture.stages().len()),
            "{name}"
        );
    }
}

/// Naive f64 execution of the layers against PyTorch's f32 logits.
#[test]
fn logits_are_those_of_the_reference() {
    for (name, golden) in cases() {
        let mut architecture = golden.architecture().unwrap();
        if has_running_statistics(&architecture, &golden) {
            architecture = architecture.with_batch_norm();
        }
        let params = |tensor: &str| golden.tensors[tensor].1.clone();
        let found = reference::run(&architecture.layers(), &params, &golden.tensors["golden.input"].1);
        let expected = &golden.tensors["golden.logits"].1;
        assert_eq!(found.len(), expected.len(), "{name}");
        let difference = found
            .iter()
            .zip(expected)
            .map(|(f, &e)| (f - f64::from(e)).abs())
            .fold(0.0, f64::max);
        assert!(difference <= 1e-4, "{name}: {difference}");
    }
}

/// Our own kernels, with all instructions that this processor has and several numbers of threads, against PyTorch's logits.
#[test]
fn logits_of_the_cpu_are_those_of_the_reference() {
    for (name, mut golden) in cases() {
        let architecture = golden.architecture().unwrap();
        let input = golden.tensors["golden.input"].1.clone();
        let expected = golden.tensors["golden.logits"].1.clone();
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            let options = CpuOptions {
                level,
                ..CpuOptions::best()
            };
            let mut first: Option<Vec<f32>> = None;
            for n_threads in [1, 3] {
                let threads = Threads::new(n_threads, false).unwrap();
                let cpu =
                    build_cpu(&architecture, &mut golden, options, &threads, &CancelToken::new()).unwrap();
                let mut runner = cpu.network.runner(&threads).unwrap();
                let mut found = vec![f32::NAN; cpu.network.output_len()];
                for _ in 0..2 {
                    runner.run(&input, &mut found).unwrap();
                }
                assert_eq!(found.len(), expected.len(), "{name}");
                let difference = found
                    .iter()
                    .zip(&expected)
                    .map(|(&f, &e)| f64::from((f - e).abs()))
                    .fold(0.0, f64::max);
                assert!(difference <= 1e-4, "{name}, {level}: {difference}");
                assert_eq!(
                    first.get_or_insert_with(|| found.clone()),
                    &found,
                    "{name}, {level}"
                );
            }
        }
    }
}

/// What we write passes the check of what others write, unchanged in meaning.
#[test]
fn written_models_pass_the_check() {
    for (name, mut golden) in cases() {
        let architecture = golden.architecture().unwrap();
        let network = build_onnx(&architecture, &mut golden).unwrap();
        let expected = OnnxExpectation {
            n_channels: architecture.n_channels(),
            n_classes: architecture.n_classes(),
            patch: architecture.patch(),
            max_bytes: 1 << 20,
            max_memory_bytes: 1 << 30,
        };
        let checked = check_onnx(network.bytes.clone(), &expected).unwrap();
        assert_eq!(checked.bytes, network.bytes, "{name}");
        if !name.ends_with("scalars") {
            assert_eq!(
                checked.n_parameters, network.n_parameters,
                "{name}: no constants beside the weights"
            );
        }
    }
}

/// A state dict in which only some of a tensor's names are left.
struct Renamed {
    golden: Golden,
    names: BTreeMap<String, String>,
}

impl Renamed {
    /// Keeps the names that `keep` chooses; what they alias is found by their position in the file, where the reference
    /// registers `conv, norm, all_modules` of a block one after another.
    fn new(golden: Golden, keep: impl Fn(&str) -> bool) -> Renamed {
        let mut names = BTreeMap::new();
        for name in golden.state_dict.iter().filter(|name| keep(name)) {
            let inner = name
                .strip_prefix("decoder.encoder.")
                .map_or(name.clone(), |rest| format!("encoder.{rest}"));
            let canonical = match inner.split_once(".all_modules.") {
                None => inner,
                Some((block, rest)) => {
                    let (index, parameter) = rest.split_once('.').unwrap();
                    format!(
                        "{block}.{}.{parameter}",
                        if index == "0" { "conv" } else { "norm" }
                    )
                }
            };
            names.insert(name.clone(), canonical);
        }
        Renamed { golden, names }
    }
}

impl WeightSource for Renamed {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.golden.shape(self.names.get(name)?)
    }

    fn read_f32(&mut self, name: &str) -> Result<Vec<f32>, Box<dyn std::error::Error + Send + Sync>> {
        let canonical = self.names.get(name).ok_or("no such tensor")?.clone();
        self.golden.read_f32(&canonical)
    }

    fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }
}

#[test]
fn aliases_stand_in_for_canonical_names() {
    let is_block = |name: &str| name.contains(".conv.") || name.contains(".norm.");
    for (name, mut golden) in cases() {
        let architecture = golden.architecture().unwrap();
        let expected = build_onnx(&architecture, &mut golden).unwrap();
        let whole = |_: &str| true;
        let modules_only = |name: &str| !is_block(name);
        let decoder_only = |name: &str| name.starts_with("decoder.") && !is_block(name);
        for keep in [&whole as &dyn Fn(&str) -> bool, &modules_only, &decoder_only] {
            let mut source = Renamed::new(case(&name), keep);
            let found = build_onnx(&architecture, &mut source).unwrap();
            assert_eq!(found, expected, "{name}");
        }
    }
}

/// Builds a golden case after a change to its tensors; gives the error.
fn broken(change: impl FnOnce(&mut Golden)) -> NetworkError {
    let mut golden = case("resenc_3d");
    change(&mut golden);
    let architecture = golden.architecture().unwrap();
    build_onnx(&architecture, &mut golden).unwrap_err()
}

#[test]
fn wrong_weights_are_refused_by_name() {
    const NAME: &str = "encoder.stages.1.blocks.0.skip.1.conv.weight";
    let missing = broken(|g| drop(g.tensors.remove(NAME)));
    let text = "the weights have no tensor encoder.stages.1.blocks.0.skip.1.conv.weight (missing: 1 of 65)";
    assert_eq!(missing.to_string(), text);

    let shape = broken(|g| g.tensors.get_mut(NAME).unwrap().0 = vec![4, 8, 1, 1, 1]);
    assert!(
        matches!(&shape, NetworkError::TensorShape { name, .. } if name == NAME),
        "{shape}"
    );

    let short = broken(|g| g.tensors.get_mut(NAME).unwrap().1.truncate(31));
    assert!(
        matches!(&short, NetworkError::TensorShape { found, .. } if *found == [31]),
        "{short}"
    );

    let nan = broken(|g| g.tensors.get_mut(NAME).unwrap().1[7] = f32::NAN);
    assert!(matches!(&nan, NetworkError::NotFinite { index: 7, .. }), "{nan}");

    let other = broken(|g| {
        drop(
            g.tensors
                .insert("encoder.attention.weight".into(), (vec![1], vec![0.0])),
        )
    });
    assert!(
        matches!(&other, NetworkError::UnexpectedTensor { n_unexpected: 1, .. }),
        "{other}"
    );

    let fourth_head = broken(|g| {
        drop(
            g.tensors
                .insert("decoder.seg_layers.2.bias".into(), (vec![1], vec![0.0])),
        )
    });
    assert!(
        matches!(&fourth_head, NetworkError::UnexpectedTensor { .. }),
        "{fourth_head}"
    );
}

#[test]
fn memory_is_weights_and_the_largest_live_set() {
    let golden = case("plain_2d_no_norm");
    let architecture = golden.architecture().unwrap();
    // At the finest decoder stage: the upsampled map and the skip, 4 × 64 each, and their concatenation, 8 × 64; and the
    // input. The arena adds the gaps between them.
    let live = 4 * ((4 + 4 + 8) * 64 + architecture.n_channels() as u64 * 64);
    let memory = session_memory(&architecture);
    assert_eq!(memory.weights, 4 * architecture.n_parameters());
    assert!((live..2 * live).contains(&memory.activations), "{memory:?}");
}
