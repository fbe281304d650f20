//! The engine over ONNX Runtime's CPU build. One process loads one library, so OpenVINO's has a test binary of its own.

#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::path::PathBuf;

use nephrite_engine::{
    EngineError, EngineOptions, EngineThread, InferenceEngine, LibrarySearch, OnnxRuntime, OrtEngine,
    Provider, TileShape,
};
use nephrite_types::{CancelToken, Coded, ErrorCode};

const POINTWISE: &[u8] = include_bytes!("fixtures/pointwise.onnx");

fn build_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../build/onnxruntime")
}

fn runtime() -> OnnxRuntime {
    let search = LibrarySearch {
        explicit: None,
        env: None,
        executable_folder: None,
        build_folder: Some(build_folder()),
        provider: Provider::Cpu,
    };
    OnnxRuntime::load(&search).expect("these tests need ONNX Runtime: run `make onnxruntime`")
}

fn shape() -> TileShape {
    TileShape {
        n_channels: 1,
        n_classes: 2,
        patch: vec![2, 3, 4],
    }
}

fn build(onnx: &[u8], shape: TileShape, provider: Provider) -> Result<OrtEngine, EngineError> {
    OrtEngine::build(
        &runtime(),
        onnx.to_vec(),
        shape,
        &EngineOptions {
            provider,
            n_threads: 2,
        },
        &CancelToken::new(),
    )
}

/// Input, and what the fixtures make of it.
fn example(seed: f32) -> (Vec<f32>, Vec<f32>) {
    let input: Vec<f32> = (0..24).map(|i| seed + i as f32).collect();
    let expected = input
        .iter()
        .copied()
        .chain(input.iter().map(|x| 3.0 - 2.0 * x))
        .collect();
    (input, expected)
}

#[track_caller]
fn check_computes(engine: &mut OrtEngine) {
    for seed in [0.0, -7.5] {
        let (input, expected) = example(seed);
        let mut output = vec![f32::NAN; expected.len()];
        engine.run(&input, &mut output).unwrap();
        assert_eq!(output, expected);
    }
}

#[track_caller]
fn check_refused(onnx: &[u8], shape: TileShape, code: ErrorCode, words: &[&str]) {
    let error = build(onnx, shape, Provider::Cpu).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn logits_are_right_and_every_tile_gets_its_own() {
    let mut engine = build(POINTWISE, shape(), Provider::Cpu).unwrap();
    assert_eq!(engine.provider(), "cpu");
    assert_eq!(engine.tile_shape(), &shape());
    check_computes(&mut engine);
}

#[test]
fn an_open_batch_size_will_do() {
    let onnx = include_bytes!("fixtures/pointwise_open_batch.onnx");
    check_computes(&mut build(onnx, shape(), Provider::Cpu).unwrap());
}

#[test]
fn a_tile_of_the_wrong_length_is_refused_and_the_engine_stays_usable() {
    let mut engine = build(POINTWISE, shape(), Provider::Cpu).unwrap();
    let (input, mut output) = (vec![0.0; 24], vec![0.0; 48]);
    let short_input = engine.run(&input[1..], &mut output).unwrap_err();
    assert!(matches!(
        short_input,
        EngineError::WrongLength {
            what: "input tile",
            expected: 24,
            found: 23
        }
    ));
    let short_output = engine.run(&input, &mut output[1..]).unwrap_err();
    assert!(matches!(
        short_output,
        EngineError::WrongLength {
            what: "output tile",
            expected: 48,
            found: 47
        }
    ));
    check_computes(&mut engine);
}

#[test]
fn a_graph_of_another_shape_is_refused() {
    let words = |what, found, expected| [what, found, expected].map(str::to_owned);
    let cases = [
        (
            TileShape {
                n_channels: 2,
                ..shape()
            },
            words("network input", "[1, 1, 2, 3, 4]", "[1, 2, 2, 3, 4]"),
        ),
        (
            TileShape {
                patch: vec![2, 3, 5],
                ..shape()
            },
            words("network input", "[1, 1, 2, 3, 4]", "[1, 1, 2, 3, 5]"),
        ),
        (
            TileShape {
                patch: vec![3, 4],
                ..shape()
            },
            words("network input", "[1, 1, 2, 3, 4]", "[1, 1, 3, 4]"),
        ),
        (
            TileShape {
                n_classes: 3,
                ..shape()
            },
            words("network output", "[1, 2, 2, 3, 4]", "[1, 3, 2, 3, 4]"),
        ),
    ];
    for (shape, words) in cases {
        check_refused(
            POINTWISE,
            shape,
            ErrorCode::InvalidModel,
            &words.each_ref().map(String::as_str),
        );
    }
}

#[test]
fn a_graph_of_another_type_or_with_two_outputs_is_refused() {
    let f64_graph = include_bytes!("fixtures/pointwise_f64.onnx");
    check_refused(
        f64_graph,
        shape(),
        ErrorCode::InvalidModel,
        &["network input", "f64", "expected a tensor of f32"],
    );
    let two_outputs = include_bytes!("fixtures/two_outputs.onnx");
    check_refused(
        two_outputs,
        shape(),
        ErrorCode::InvalidModel,
        &["network output", "2 tensors, expected 1"],
    );
}

#[test]
fn bytes_that_are_no_network_are_refused() {
    check_refused(b"", shape(), ErrorCode::InvalidModel, &["could not be loaded"]);
    check_refused(
        b"no ONNX model at all",
        shape(),
        ErrorCode::InvalidModel,
        &["could not be loaded"],
    );
    check_refused(
        &POINTWISE[..POINTWISE.len() / 2],
        shape(),
        ErrorCode::InvalidModel,
        &["could not be loaded"],
    );
    let unknown = include_bytes!("fixtures/unknown_operator.onnx");
    check_refused(unknown, shape(), ErrorCode::InvalidModel, &["NoSuchOperator"]);
}

#[test]
fn a_provider_that_this_library_lacks_is_refused_with_the_reason() {
    for provider in [Provider::Cuda, Provider::OpenVino] {
        let error = build(POINTWISE, shape(), provider).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Environment);
        assert!(
            matches!(&error, EngineError::ProviderUnavailable { provider: name, reason }
            if name == provider.name() && !reason.is_empty())
        );
        println!("{error}");
    }
}

#[test]
fn engines_run_beside_each_other_in_threads_of_their_own() {
    let threads: Vec<_> = (0..3)
        .map(|_| {
            EngineThread::spawn("engine", 2, || {
                Ok(Box::new(build(POINTWISE, shape(), Provider::Cpu)?))
            })
            .unwrap()
        })
        .collect();
    let pending: Vec<_> = (0..30)
        .map(|i| {
            let (input, expected) = example(i as f32);
            (
                threads[i % 3].handle().submit(input, Vec::new()).unwrap(),
                expected,
            )
        })
        .collect();
    for (tile, expected) in pending {
        assert_eq!(tile.wait(&CancelToken::new()).unwrap().1, expected);
    }
}

#[test]
fn a_loaded_library_is_given_again_and_no_other_one_beside_it() {
    let first = runtime();
    assert_eq!(runtime().library(), first.library());
    assert!(
        first.build_info().contains("ORT Build Info"),
        "{}",
        first.build_info()
    );
    let other = tempfile::NamedTempFile::new().unwrap();
    let error = OnnxRuntime::load(&LibrarySearch {
        explicit: Some(other.path().to_path_buf()),
        env: None,
        executable_folder: None,
        build_folder: Some(build_folder()),
        provider: Provider::Cpu,
    })
    .unwrap_err();
    assert!(
        matches!(error, EngineError::LibraryAlreadyLoaded { .. }),
        "{error}"
    );
}

#[test]
fn an_engine_that_nobody_wants_any_more_is_not_built() {
    let options = EngineOptions {
        provider: Provider::Cpu,
        n_threads: 2,
    };
    let cancel = CancelToken::new();
    cancel.cancel();
    let error = OrtEngine::build(&runtime(), POINTWISE.to_vec(), shape(), &options, &cancel).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled, "{error}");
    let late = CancelToken::new().with_deadline(std::time::Instant::now());
    let error = OrtEngine::build(&runtime(), POINTWISE.to_vec(), shape(), &options, &late).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DeadlineExceeded, "{error}");
    check_computes(&mut build(POINTWISE, shape(), Provider::Cpu).unwrap());
}
