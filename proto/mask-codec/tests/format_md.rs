//! The Python of `FORMAT.md`, run: its decoder reads what Rust writes, and Rust reads what its encoder writes.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::path::{Path, PathBuf};
use std::process::Command;

use nephrite_mask_codec::{EncodedMask, LabelTable, Mask, RunMask};
use nephrite_types::{Affine, Geometry, Labels, Limits, Shape3, Spacing};

/// A Python that has numpy: that of the plugin template's environment, or the system's.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let candidates = [
        root.join("build/plugin-python/bin/python"),
        PathBuf::from("python3"),
    ];
    candidates.into_iter().find(|python| {
        let asked = Command::new(python).args(["-c", "import numpy"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    })
}

fn run(python: &Path, program: &str) -> String {
    let format = include_str!("../FORMAT.md");
    let blocks: Vec<&str> = format
        .split("```python\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 2, "a decoder and an encoder");
    let imports = "import io, sys, zlib, numpy as np\nfrom types import SimpleNamespace as N\n";
    let program = format!("{imports}{}{}{program}", blocks[0], blocks[1]);
    let output = Command::new(python).args(["-c", &program]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Boxes that move from plane to plane, a noisy plane and an empty one.
fn labels(shape: [usize; 3]) -> ndarray::Array3<u16> {
    ndarray::Array3::from_shape_fn(shape, |(z, y, x)| match z {
        3 => 0,
        5 => ((x * 7 + y * 13) % 5) as u16 * 70,
        _ if (2 + z..9 + z).contains(&x) && y < 6 => 300,
        _ if x > 290 => 7,
        _ => 0,
    })
}

fn geometry(shape: [usize; 3]) -> Geometry {
    let spacing = Spacing::new([1.0; 3]).unwrap();
    Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_decoder_reads_what_rust_writes_and_rust_reads_what_the_encoder_writes() {
    let Some(python) = python() else {
        println!("SKIPPED: no Python with numpy; `make plugin-python` makes one");
        return;
    };
    let shape = [8, 9, 301];
    let array = labels(shape);
    let runs =
        RunMask::from_labels(&Labels::U16(array.clone()), &geometry(shape), &Limits::default()).unwrap();
    let ids: Vec<u16> = runs.summaries().into_keys().collect();
    let mask = Mask::new(runs, LabelTable::numbered(ids)).unwrap();
    let encoded = EncodedMask::encode(&mask).unwrap();
    let bounds = encoded.bounding_box.unwrap();
    let ([z0, y0, x0], [z1, y1, x1]) = (bounds.start, bounds.end);
    let program = format!(
        "m = N(geometry=N(shape=N(z=8, y=9, x=301)), box=N(z_start={z0}, y_start={y0}, x_start={x0}, z_end={z1}, \
         y_end={y1}, x_end={x1}), n_runs={}, label_bytes={}, payload=bytes.fromhex('{}'))\n\
         ids = decode(m)\nprint(ids.astype('<u2').tobytes().hex())\n\
         n, checksum, payload = encode(ids[{z0}:{z1}, {y0}:{y1}, {x0}:{x1}].astype(int))\n\
         print(n, checksum, payload.hex())",
        encoded.n_runs,
        encoded.label_bytes,
        hex(&encoded.payload),
    );
    let output = run(&python, &program);
    let mut lines = output.lines();
    let expected: Vec<u8> = array.iter().flat_map(|label| label.to_le_bytes()).collect();
    assert!(
        lines.next().unwrap() == hex(&expected),
        "the decoder gave other labels"
    );

    let parts: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let payload =
        (0..parts[2].len() / 2).map(|i| u8::from_str_radix(&parts[2][2 * i..2 * i + 2], 16).unwrap());
    let theirs = EncodedMask {
        n_runs: parts[0].parse().unwrap(),
        checksum: parts[1].parse().unwrap(),
        payload: payload.collect(),
        label_bytes: 2,
        ..encoded
    };
    assert_eq!(theirs.decode(&Limits::default()).unwrap(), mask);
}
