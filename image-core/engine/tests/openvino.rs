//! The engine over OpenVINO's build of ONNX Runtime, where it has been fetched
//! (`onnxruntime/fetch.py --flavor openvino`).

#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::path::Path;

use nephrite_engine::{
    EngineError, EngineOptions, InferenceEngine, LibrarySearch, OnnxRuntime, OrtEngine, Provider, TileShape,
};
use nephrite_types::CancelToken;

#[test]
fn openvino_runs_the_network_and_the_cpu_kernels_of_the_same_library_do() {
    let build_folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/onnxruntime");
    if !build_folder.join("openvino").is_dir() {
        println!("skipped: OpenVINO's ONNX Runtime has not been fetched");
        return;
    }
    let search = LibrarySearch {
        explicit: None,
        env: None,
        executable_folder: None,
        build_folder: Some(build_folder),
        provider: Provider::OpenVino,
    };
    let runtime = OnnxRuntime::load(&search).unwrap();
    let shape = TileShape {
        n_channels: 1,
        n_classes: 2,
        patch: vec![2, 3, 4],
    };
    let build = |provider, shape| {
        let onnx = include_bytes!("fixtures/pointwise.onnx").to_vec();
        OrtEngine::build(
            &runtime,
            onnx,
            shape,
            &EngineOptions {
                provider,
                n_threads: 2,
            },
            &CancelToken::new(),
        )
    };

    for provider in [Provider::OpenVino, Provider::Cpu] {
        let mut engine = build(provider, shape.clone()).unwrap();
        assert_eq!(engine.provider(), provider.name());
        let input: Vec<f32> = (0..24).map(|i| i as f32 / 3.0).collect();
        let mut output = vec![f32::NAN; 48];
        engine.run(&input, &mut output).unwrap();
        for (i, x) in input.iter().enumerate() {
            assert_eq!(output[i], *x);
            assert!((output[24 + i] - (3.0 - 2.0 * x)).abs() < 1e-5); // a fused multiply-add rounds once less
        }
    }

    let wrong = build(
        Provider::OpenVino,
        TileShape {
            n_classes: 3,
            ..shape
        },
    )
    .unwrap_err();
    assert!(
        matches!(
            wrong,
            EngineError::WrongShape {
                what: "network output",
                ..
            }
        ),
        "{wrong}"
    );
}
