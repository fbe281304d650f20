//! Times a network by itself: milliseconds per tile, and what it takes of memory.
//!
//! `cargo run --release -p nephrite-engine --example time_network -- FILE.onnx CHANNELS CLASSES Z,Y,X [PROVIDER] [THREADS] [RUNS]`

#![allow(clippy::print_stdout)] // it is a program

use std::time::Instant;

use nephrite_engine::{
    EngineOptions, InferenceEngine, LibrarySearch, OnnxRuntime, OrtEngine, Provider, TileShape,
};

/// A line such as `VmRSS: 1234 kB` of this process's status, in MB.
fn memory_mb(key: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, default: Option<&'static str>| {
        arguments
            .get(i)
            .map(String::as_str)
            .or(default)
            .ok_or("FILE CHANNELS CLASSES Z,Y,X [PROVIDER] [THREADS] [RUNS]")
    };
    let provider = Provider::from_name(argument(4, Some("cpu"))?)?;
    let options = EngineOptions {
        provider,
        n_threads: argument(5, Some("0"))?.parse()?,
    };
    let options = if options.n_threads == 0 {
        EngineOptions::new(provider)
    } else {
        options
    };
    let n_runs = argument(6, Some("8"))?.parse::<usize>()?.max(1);
    let shape = TileShape {
        n_channels: argument(1, None)?.parse()?,
        n_classes: argument(2, None)?.parse()?,
        patch: argument(3, None)?
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()?,
    };

    let env = std::env::var_os("ORT_DYLIB_PATH").map(Into::into);
    let runtime = OnnxRuntime::load(&LibrarySearch::standard(None, env, provider))?;
    let onnx = std::fs::read(argument(0, None)?)?;
    let onnx_mb = onnx.len() as f64 / 1e6;
    let before = memory_mb("VmRSS").unwrap_or(f64::NAN);
    let start = Instant::now();
    let input: Vec<f32> = (0..shape.input_len()).map(|i| (i as f32 * 0.7).sin()).collect();
    let mut output = vec![0.0; shape.output_len()];
    let mut engine = OrtEngine::build(
        &runtime,
        onnx,
        shape,
        &options,
        &nephrite_types::CancelToken::new(),
    )?;
    println!(
        "{}: built and warm in {:.2} s",
        runtime.library().display(),
        start.elapsed().as_secs_f64()
    );

    let mut milliseconds = Vec::new();
    for _ in 0..n_runs {
        let start = Instant::now();
        engine.run(&input, &mut output)?;
        milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
    }
    milliseconds.sort_by(f64::total_cmp);
    println!(
        "{provider}, {} threads: median {:.1} ms, best {:.1} ms per tile; graph {onnx_mb:.1} MB, memory +{:.0} MB, at most +{:.0} MB",
        options.n_threads,
        milliseconds[n_runs / 2],
        milliseconds[0],
        memory_mb("VmRSS").unwrap_or(f64::NAN) - before,
        memory_mb("VmHWM").unwrap_or(f64::NAN) - before,
    );
    Ok(())
}
