//! The Python and the JavaScript of `FORMAT.md`, run: their decoders read what Rust writes, and Rust reads what their encoders
//! write.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::path::{Path, PathBuf};
use std::process::Command;

use nephrite_mask_codec::{EncodedMask, LabelTable, Mask, RunMask};
use nephrite_types::{Affine, Geometry, Labels, Limits, Shape3, Spacing};

/// A language that `FORMAT.md` has a decoder and an encoder in.
struct Language {
    /// As its blocks are marked.
    name: &'static str,
    /// Option of its interpreter that takes a program.
    option: &'static str,
    /// What its blocks use.
    imports: &'static str,
    /// Decodes the message that is the first argument (JSON, the payload in hexadecimal) and encodes its box again; prints ids,
    /// number of runs, checksum and payload.
    program: &'static str,
}

const PYTHON: Language = Language {
    name: "python",
    option: "-c",
    imports: "import io, json, sys, zlib, numpy as np\nfrom types import SimpleNamespace\n",
    program: r#"
m = json.loads(sys.argv[1], object_hook=lambda fields: SimpleNamespace(**fields))
m.payload, b = bytes.fromhex(m.payload), m.box
ids = decode(m)
n_runs, checksum, payload = encode(ids[b.z_start : b.z_end, b.y_start : b.y_end, b.x_start : b.x_end].astype(int))
print(ids.astype("<u2").tobytes().hex(), n_runs, checksum, payload.hex())
"#,
};

const JAVASCRIPT: Language = Language {
    name: "javascript",
    option: "-e",
    imports: "const zlib = require('node:zlib');\n",
    program: r#"
const m = JSON.parse(process.argv[1]), b = m.box, { x, y } = m.geometry.shape;
m.payload = Buffer.from(m.payload, "hex");
const ids = decode(m);
const inside = (i, axis) => i >= b[axis + "_start"] && i < b[axis + "_end"];
const isInBox = (_, i) => inside(i % x, "x") && inside(Math.floor(i / x) % y, "y") && inside(Math.floor(i / (x * y)), "z");
const { n_runs, checksum, payload } = encode(ids.filter(isInBox), b.z_end - b.z_start);
console.log(Buffer.from(ids.buffer).toString("hex"), n_runs, checksum, payload.toString("hex"));
"#,
};

/// A Python that has numpy: that of the plugin template's environment, or the system's.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let candidates = [
        root.join("build/plugin-python/bin/python"),
        PathBuf::from("python3"),
    ];
    let has_numpy = |python: &PathBuf| runs(python, &PYTHON, "import numpy");
    candidates.into_iter().find(has_numpy)
}

/// A Node whose zlib has what the encoder uses.
fn node() -> Option<PathBuf> {
    let node = PathBuf::from("node");
    let has_crc32 = "process.exit(require('node:zlib').crc32 ? 0 : 1)";
    runs(&node, &JAVASCRIPT, has_crc32).then_some(node)
}

fn runs(interpreter: &Path, language: &Language, program: &str) -> bool {
    let asked = Command::new(interpreter)
        .args([language.option, program])
        .output();
    asked.is_ok_and(|asked| asked.status.success())
}

impl Language {
    /// Runs the blocks and the program, with an argument; gives what it prints.
    fn run(&self, interpreter: &Path, argument: &str) -> String {
        let format = include_str!("../FORMAT.md");
        let blocks: Vec<&str> = format
            .split(&format!("```{}\n", self.name))
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap())
            .collect();
        assert_eq!(blocks.len(), 2, "a decoder and an encoder");
        let program = [self.imports, blocks[0], blocks[1], self.program].concat();
        let output = Command::new(interpreter)
            .args([self.option, &program, argument])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The fields that the decoders read, as JSON.
fn json(encoded: &EncodedMask) -> String {
    let [z, y, x] = encoded.geometry.shape.zyx();
    let bounds = encoded.bounding_box.unwrap();
    let ([z0, y0, x0], [z1, y1, x1]) = (bounds.start, bounds.end);
    let (n_runs, label_bytes, payload) = (encoded.n_runs, encoded.label_bytes, hex(&encoded.payload));
    format!(
        r#"{{"geometry": {{"shape": {{"z": {z}, "y": {y}, "x": {x}}}}},
        "box": {{"z_start": {z0}, "y_start": {y0}, "x_start": {x0}, "z_end": {z1}, "y_end": {y1}, "x_end": {x1}}},
        "n_runs": {n_runs}, "label_bytes": {label_bytes}, "payload": "{payload}"}}"#
    )
}

/// Boxes that move from plane to plane, a noisy plane and an empty one; nothing at the first voxels of any axis.
fn labels(shape: [usize; 3]) -> ndarray::Array3<u16> {
    ndarray::Array3::from_shape_fn(shape, |(z, y, x)| match z {
        0 | 3 => 0,
        _ if y == 0 || x == 0 => 0,
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

fn unhex(text: &str) -> Vec<u8> {
    let bytes = (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap());
    bytes.collect()
}

fn check_both_ways(language: &Language, interpreter: &Path) {
    let shape = [8, 9, 301];
    let array = labels(shape);
    let runs =
        RunMask::from_labels(&Labels::U16(array.clone()), &geometry(shape), &Limits::default()).unwrap();
    let ids: Vec<u16> = runs.summaries().into_keys().collect();
    let mask = Mask::new(runs, LabelTable::numbered(ids)).unwrap();
    let encoded = EncodedMask::encode(&mask).unwrap();

    let printed = language.run(interpreter, &json(&encoded));
    let parts: Vec<&str> = printed.split_whitespace().collect();
    let expected: Vec<u8> = array.iter().flat_map(|label| label.to_le_bytes()).collect();
    assert!(parts[0] == hex(&expected), "the decoder gave other labels");
    let theirs = EncodedMask {
        n_runs: parts[1].parse().unwrap(),
        checksum: parts[2].parse().unwrap(),
        payload: unhex(parts[3]),
        label_bytes: 2,
        ..encoded
    };
    assert_eq!(theirs.decode(&Limits::default()).unwrap(), mask);
}

#[test]
fn python_reads_what_rust_writes_and_rust_reads_what_python_writes() {
    match python() {
        Some(python) => check_both_ways(&PYTHON, &python),
        None => println!("SKIPPED: no Python with numpy; `make plugin-python` makes one"),
    }
}

#[test]
fn javascript_reads_what_rust_writes_and_rust_reads_what_javascript_writes() {
    match node() {
        Some(node) => check_both_ways(&JAVASCRIPT, &node),
        None => {
            println!("SKIPPED: no `node` on the PATH, or one before 20.15 and 22.2, whose zlib has no crc32")
        }
    }
}
