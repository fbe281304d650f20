//! Writes phantoms as raw numpy arrays, for training and for a look from outside.
//!
//! `write_phantoms --out DIR --seed-from A --count N [--shape Z,Y,X] [--spacing Z,Y,X] [--phases arterial,delayed] [--labels
//! demo|detailed]` writes per seed one folder `seed_<n>` with `<phase>.npy` (int16 HU, `[z, y, x]`), `truth.npy` (uint8) and
//! `phantom.json` (spacing `[z, y, x]` in mm, affine, labels).

use std::path::{Path, PathBuf};

use ndarray_npy::write_npy;
use nephrite_phantom::{LabelSet, Phantom, PhantomSpec};
use nephrite_types::{Labels, Phase, Shape3, Spacing, Voxels};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut out = None;
    let (mut first, mut count) = (0u64, 1u64);
    let mut spec = PhantomSpec::demo(0);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--out" => out = Some(PathBuf::from(value)),
            "--seed-from" => first = value.parse()?,
            "--count" => count = value.parse()?,
            "--shape" => spec.shape = Shape3::new(three(&value)?)?,
            "--spacing" => spec.spacing = Spacing::new(three(&value)?)?,
            "--labels" => {
                spec.labels = match value.as_str() {
                    "demo" => LabelSet::Demo,
                    "detailed" => LabelSet::Detailed,
                    other => return Err(format!("no label set {other}").into()),
                }
            }
            "--phases" => {
                let phase = |name: &str| Phase::from_name(name).ok_or_else(|| format!("no phase {name}"));
                spec.phases = value.split(',').map(phase).collect::<Result<_, _>>()?;
            }
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    let out = out.ok_or("--out DIR is needed")?;
    for seed in first..first + count {
        spec.seed = seed;
        write(&out.join(format!("seed_{seed}")), &spec.generate())?;
    }
    Ok(())
}

fn three<T: std::str::FromStr>(text: &str) -> Result<[T; 3], Failure> {
    let parts: Option<Vec<T>> = text.split(',').map(|part| part.parse().ok()).collect();
    parts
        .and_then(|parts| parts.try_into().ok())
        .ok_or_else(|| format!("{text} is not Z,Y,X").into())
}

fn write(folder: &Path, phantom: &Phantom) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    for (phase, volume) in &phantom.phases {
        let Voxels::I16(hu) = &volume.voxels else {
            unreachable!("phantoms are drawn in i16")
        };
        write_npy(folder.join(format!("{phase}.npy")), hu)?;
    }
    let Labels::U8(truth) = &phantom.truth.labels else {
        unreachable!("phantoms have less than 256 labels")
    };
    write_npy(folder.join("truth.npy"), truth)?;
    let labels: serde_json::Map<_, _> = phantom
        .labels
        .iter()
        .map(|label| (label.name.to_owned(), json!(label.id)))
        .collect();
    let geometry = &phantom.truth.geometry;
    let facts = json!({
        "spacing_zyx": geometry.spacing.zyx(),
        "affine": geometry.affine.rows(),
        "labels": labels,
    });
    std::fs::write(folder.join("phantom.json"), serde_json::to_string_pretty(&facts)?)?;
    Ok(())
}
