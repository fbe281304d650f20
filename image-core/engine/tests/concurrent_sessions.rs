//! Sessions made at the same time, in a process of its own: the first ones of a process race for what ONNX Runtime
//! keeps once for all of them.

#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::path::PathBuf;
use std::sync::Barrier;

use nephrite_engine::{
    EngineOptions, InferenceEngine, LibrarySearch, OnnxRuntime, OrtEngine, Provider, TileShape,
};
use nephrite_types::CancelToken;

#[test]
fn sessions_can_be_made_at_the_same_time() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../build/onnxruntime");
    let search = LibrarySearch {
        explicit: None,
        env: None,
        executable_folder: None,
        build_folder: Some(folder),
        provider: Provider::Cpu,
    };
    let runtime = OnnxRuntime::load(&search).expect("this test needs ONNX Runtime: run `make onnxruntime`");
    let shape = TileShape {
        n_channels: 1,
        n_classes: 2,
        patch: vec![2, 3, 4],
    };
    let options = EngineOptions {
        provider: Provider::Cpu,
        n_threads: 1,
    };
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                together.wait();
                let onnx = include_bytes!("fixtures/pointwise.onnx").to_vec();
                let mut engine =
                    OrtEngine::build(&runtime, onnx, shape.clone(), &options, &CancelToken::new()).unwrap();
                let mut output = vec![f32::NAN; 48];
                engine.run(&[1.0; 24], &mut output).unwrap();
                assert!(output.iter().all(|x| *x == 1.0));
            });
        }
    });
}
