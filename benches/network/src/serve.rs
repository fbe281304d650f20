//! Answers `run INPUT OUTPUT`, `layers N` and `memory`, each with one line of JSON.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use nephrite_cpu::{CpuOptions, LayerTime, Threads};
use serde_json::{Value, json};

use crate::machine;
use crate::model::Loaded;

/// Runs of `layers` at most.
const MAX_RUNS: usize = 1000;

pub(crate) fn serve(model: &Path, options: CpuOptions, threads: &Threads) -> anyhow::Result<()> {
    let before = machine::memory();
    let loaded = Loaded::open(model, options, threads)?;
    let mut runner = loaded.network.runner(threads)?;
    let mut input = vec![0.0; loaded.network.input_len()];
    let mut output = vec![0.0; loaded.network.output_len()];
    let (held, memory) = (loaded.network.memory(threads.len()), machine::memory());
    answer(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "isa": options.level.name(),
        "load_seconds": loaded.read_seconds + loaded.prepare_seconds,
        "read_seconds": loaded.read_seconds,
        "prepare_seconds": loaded.prepare_seconds,
        "weight_bytes": held.weights,
        "activation_bytes": held.activations,
        "scratch_bytes": held.scratch,
        "rss_bytes_before": before["rss_bytes"],
        "rss_bytes": memory["rss_bytes"],
        "peak_rss_bytes": memory["peak_rss_bytes"],
    }))?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["run", source, target] => {
                read_f32(source, &mut input)?;
                let begin = Instant::now();
                runner.run(&input, &mut output)?;
                let seconds = begin.elapsed().as_secs_f64();
                if target != "-" {
                    write_f32(target, &output)?;
                }
                answer(&json!({ "seconds": seconds }))?;
            }
            // of the tile that was run last
            ["layers", n_runs] => {
                let n_runs = n_runs.parse::<usize>()?.clamp(1, MAX_RUNS);
                let runs: Result<Vec<_>, _> =
                    (0..n_runs).map(|_| runner.profile(&input, &mut output)).collect();
                answer(&medians(&runs?))?;
            }
            ["memory"] => answer(&machine::memory())?,
            _ => bail!("not understood: {line:?}"),
        }
    }
    Ok(())
}

/// Every layer with the median of its times.
fn medians(runs: &[Vec<LayerTime>]) -> Value {
    let layers = runs.first().map_or(&[][..], Vec::as_slice);
    layers
        .iter()
        .enumerate()
        .map(|(i, layer)| {
            let mut seconds: Vec<f64> = runs.iter().map(|run| run[i].seconds).collect();
            seconds.sort_by(f64::total_cmp);
            let half = seconds.len() / 2;
            let median = f64::midpoint(seconds[half], seconds[(seconds.len() - 1) / 2]);
            json!({
                "name": layer.name, "kind": layer.kind, "output": layer.output, "seconds": median,
                "multiply_adds": layer.multiply_adds, "products": layer.products, "bytes": layer.bytes,
                "tasks": layer.n_tasks, "barriers": layer.n_barriers,
            })
        })
        .collect()
}

fn answer(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}

/// Raw little-endian floats, as many as `values` has.
fn read_f32(file: &str, values: &mut [f32]) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| file.to_owned())?;
    ensure!(
        bytes.len() == size_of_val(values),
        "{file} has {} bytes, not those of {} floats",
        bytes.len(),
        values.len()
    );
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
        *value = f32::from_le_bytes(*bytes);
    }
    Ok(())
}

/// Some at a time: a copy of all would count as memory that the network takes.
fn write_f32(file: &str, values: &[f32]) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create(file).with_context(|| file.to_owned())?);
    for value in values {
        out.write_all(&value.to_le_bytes())?;
    }
    Ok(out.flush()?)
}
