//! Times the mask half: `mask-bench map DIR` draws the label map of a whole abdomen, `mask-bench time DIR` times
//! everything on it once and writes results for the peers to be compared with, `mask-bench grpc DIR` times one operation
//! in this process and through a service on loopback. `run.py` calls it.

mod grpc;

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail};
use ndarray::Array3;
use nephrite_mask_codec::{EncodedMask, LabelTable, Mask, RunMask};
use nephrite_phantom::{LabelSet, PhantomSpec};
use nephrite_runs::{
    Connectivity, Holes, components, drop_small, fill_holes, keep_largest, select, statistics,
};
use nephrite_types::{CancelToken, Geometry, Labels, Limits};
use serde_json::{Value, json};

/// Voxels below which `dust` drops a component; as the peer's.
const DUST_VOXELS: u64 = 100;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "map", folder, specks] => map(Path::new(folder), specks.parse()?),
        [_, "time", folder, repeats] => time(Path::new(folder), repeats.parse()?),
        [_, "grpc", folder, repeats] => grpc::time(Path::new(folder), repeats.parse()?),
        _ => bail!("usage: mask-bench map DIR SPECKS | mask-bench time|grpc DIR REPEATS"),
    }
}

fn spec() -> PhantomSpec {
    PhantomSpec {
        labels: LabelSet::Detailed,
        phases: Vec::new(),
        ..PhantomSpec::clinical(0)
    }
}

/// Writes `labels.u8` (`[z, y, x]`, x fastest) and `map.json`. `specks` wrong blobs of up to 4×4×4 voxels, as a network makes
/// them, are strewn over it: half of some label, half holes.
fn map(folder: &Path, specks: u32) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let truth = spec().generate().truth;
    let Labels::U8(mut labels) = truth.labels else {
        bail!("the phantom has fewer than 256 labels");
    };
    strew(&mut labels, specks);
    let counts = Labels::U8(labels.clone()).voxel_counts();
    let n_labels = counts.iter().skip(1).filter(|n| **n > 0).count();
    let largest = (1..counts.len()).max_by_key(|id| counts[*id]).unwrap_or(1);
    let (nz, ny, nx) = labels.dim();
    let description = json!({
        "shape_zyx": [nz, ny, nx], "labels": n_labels, "one_label": largest, "dust_voxels": DUST_VOXELS, "specks": specks,
    });
    fs::write(folder.join("map.json"), description.to_string())?;
    fs::write(folder.join("labels.u8"), labels.into_raw_vec_and_offset().0)?;
    Ok(())
}

/// Numerical Recipes' linear congruential generator: the map is the same everywhere.
fn strew(labels: &mut Array3<u8>, specks: u32) {
    let (nz, ny, nx) = labels.dim();
    let mut state = 1u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for speck in 0..specks {
        let label = if speck % 2 == 0 { draw(60) as u8 + 1 } else { 0 };
        let (z, y, x) = (draw(nz - 4), draw(ny - 4), draw(nx - 4));
        let size = [draw(4) + 1, draw(4) + 1, draw(4) + 1];
        for dz in 0..size[0] {
            for dy in 0..size[1] {
                for dx in 0..size[2] {
                    labels[[z + dz, y + dy, x + dx]] = label;
                }
            }
        }
    }
}

/// Milliseconds of each repeat, after one that is not counted; and the last result.
fn timed<T>(repeats: usize, mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<(Vec<f64>, T)> {
    let mut result = work()?;
    let mut times = Vec::with_capacity(repeats);
    for _ in 0..repeats {
        let start = Instant::now();
        result = black_box(work()?);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok((times, result))
}

fn time(folder: &Path, repeats: usize) -> anyhow::Result<()> {
    let description: Value = serde_json::from_str(&fs::read_to_string(folder.join("map.json"))?)?;
    let one = u16::try_from(description["one_label"].as_u64().context("one_label")?)?;
    let (labels, geometry) = read_map(folder)?;
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let mut out: BTreeMap<&str, Value> = BTreeMap::new();

    let table = LabelTable::numbered(1..=255);
    let (times, encoded) = timed(repeats, || {
        let runs = RunMask::from_labels(&labels, &geometry, &limits)?;
        Ok(EncodedMask::encode(&Mask::new(runs, table.clone())?)?)
    })?;
    out.insert("encode_dense", json!(times));
    out.insert("encoded_bytes", json!(encoded.payload.len()));
    let (times, dense) = timed(repeats, || Ok(encoded.decode(&limits)?.runs().to_labels()))?;
    out.insert("decode_dense", json!(times));
    if dense != labels {
        bail!("decoding gave another label map");
    }

    let runs = RunMask::from_labels(&labels, &geometry, &limits)?;
    out.insert("runs", json!(runs.runs().len()));
    let (times, parts) = timed(repeats, || {
        Ok(components(&runs, Connectivity::Corners26, &cancel)?)
    })?;
    out.insert("components", json!(times));
    out.insert("n_components", json!(parts.parts.len()));
    write_components(&folder.join("components.u32"), &runs, &parts.of_run)?;

    let (times, dusted) = timed(repeats, || {
        Ok(drop_small(&runs, DUST_VOXELS, Connectivity::Corners26, &cancel)?)
    })?;
    out.insert("dust", json!(times));
    write_labels(&folder.join("dust.u8"), &dusted)?;

    let (times, found) = timed(repeats, || Ok(statistics(&runs)))?;
    out.insert("statistics", json!(times));
    let rows = found.iter().map(|row| {
        json!({"label": row.label, "voxels": row.voxels, "centroid": row.centroid,
               "start": row.bounding_box.start, "end": row.bounding_box.end})
    });
    out.insert("statistics_rows", rows.collect());

    let single = select(&runs, |label| label == one);
    let (times, largest) = timed(repeats, || {
        Ok(keep_largest(&single, 1, Connectivity::Corners26, &cancel)?)
    })?;
    out.insert("keep_largest", json!(times));
    write_labels(&folder.join("largest.u8"), &largest)?;
    let (times, filled) = timed(repeats, || {
        Ok(fill_holes(&single, Holes::Volume, &limits, &cancel)?)
    })?;
    out.insert("fill_holes", json!(times));
    write_labels(&folder.join("filled.u8"), &filled)?;

    out.insert("threads", json!(rayon::current_num_threads()));
    print(&serde_json::to_value(&out)?)
}

/// One line on standard output, for `run.py`.
fn print(value: &Value) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{value}")?;
    Ok(())
}

fn read_map(folder: &Path) -> anyhow::Result<(Labels, Geometry)> {
    let geometry = spec().geometry();
    let bytes = fs::read(folder.join("labels.u8"))?;
    let labels = Labels::U8(Array3::from_shape_vec(geometry.shape.zyx(), bytes)?);
    Ok((labels, geometry))
}

fn write_labels(path: &Path, runs: &RunMask) -> anyhow::Result<()> {
    let Labels::U8(labels) = runs.to_labels() else {
        bail!("ids below 256");
    };
    fs::write(path, labels.into_raw_vec_and_offset().0)?;
    Ok(())
}

/// Component number plus one at every voxel, `u32`; 0 is background.
fn write_components(path: &Path, runs: &RunMask, of_run: &[u32]) -> anyhow::Result<()> {
    let [_, _, nx] = runs.shape();
    let mut dense = vec![0u32; runs.n_rows() * nx];
    let mut of_run = of_run.iter();
    for (row, runs) in runs.rows().enumerate() {
        for run in runs {
            let component = of_run.next().context("a component for every run")?;
            dense[row * nx + run.start as usize..row * nx + run.end as usize].fill(component + 1);
        }
    }
    let bytes: Vec<u8> = dense.into_iter().flat_map(u32::to_le_bytes).collect();
    fs::write(path, bytes)?;
    Ok(())
}
