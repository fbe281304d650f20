//! The rules of the workspace that the compiler does not check: which crate may use which, and what may come in.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each of our crates may use of ours: directly, development dependencies aside. Everything points to `types`.
const ARROWS: &[(&str, &[&str])] = &[
    ("nephrite-types", &[]),
    ("nephrite-proto", &["nephrite-types", "nephrite-mask-codec"]),
    ("nephrite-root", &["nephrite-types"]),
    (
        "nephrite-server",
        &["nephrite-types", "nephrite-proto", "nephrite-root"],
    ),
    ("nephrite-volume", &["nephrite-types"]),
    ("nephrite-mask-codec", &["nephrite-types"]),
    (
        "nephrite-kernel",
        &[
            "nephrite-types",
            "nephrite-proto",
            "nephrite-mask-codec",
            "nephrite-root",
            "nephrite-server",
            "nephrite-volume",
        ],
    ),
    ("nephrite-runs", &["nephrite-types", "nephrite-mask-codec"]),
    (
        "nephrite-merge",
        &[
            "nephrite-types",
            "nephrite-mask-codec",
            "nephrite-kernel",
            "nephrite-runs",
        ],
    ),
    (
        "nephrite-cleanup",
        &[
            "nephrite-types",
            "nephrite-mask-codec",
            "nephrite-kernel",
            "nephrite-runs",
        ],
    ),
    (
        "nephrite-sample",
        &[
            "nephrite-types",
            "nephrite-mask-codec",
            "nephrite-kernel",
            "nephrite-runs",
        ],
    ),
    (
        "nephrite-conformance",
        &[
            "nephrite-types",
            "nephrite-proto",
            "nephrite-mask-codec",
            "nephrite-root",
            "nephrite-kernel",
        ],
    ),
    ("nephrite-plugin-template", &["nephrite-kernel"]),
    (
        "nephrite-mask-services",
        &[
            "nephrite-kernel",
            "nephrite-merge",
            "nephrite-cleanup",
            "nephrite-sample",
        ],
    ),
    ("nephrite-resample", &["nephrite-types"]),
    ("nephrite-engine", &["nephrite-types", "nephrite-conv"]),
    ("nephrite-conv", &["nephrite-types"]),
    ("nephrite-phantom", &["nephrite-types"]),
    (
        "nephrite-demo",
        &[
            "nephrite-types",
            "nephrite-root",
            "nephrite-volume",
            "nephrite-phantom",
            "nephrite-kernel",
            "nephrite-merge",
            "nephrite-cleanup",
            "nephrite-sample",
        ],
    ),
    (
        "nephrite-pipeline",
        &["nephrite-types", "nephrite-kernel", "nephrite-nnunet-folder"],
    ),
    ("nephrite-nnunet-folder", &["nephrite-types"]),
    ("nephrite-nnunet-network", &["nephrite-types"]),
    (
        "nephrite-nnunet",
        &[
            "nephrite-types",
            "nephrite-mask-codec",
            "nephrite-runs",
            "nephrite-resample",
            "nephrite-engine",
            "nephrite-nnunet-folder",
            "nephrite-nnunet-network",
        ],
    ),
    (
        "nephrite-image-core",
        &[
            "nephrite-types",
            "nephrite-proto",
            "nephrite-root",
            "nephrite-server",
            "nephrite-volume",
            "nephrite-resample",
            "nephrite-conv",
            "nephrite-engine",
            "nephrite-demo",
            "nephrite-pipeline",
            "nephrite-kernel",
            "nephrite-mask-services",
            "nephrite-merge",
            "nephrite-sample",
            "nephrite-conformance",
            "nephrite-nnunet",
            "nephrite-nnunet-folder",
        ],
    ),
];

/// They may use anything; nothing may use them.
const LAST: &[&str] = &["nephrite-tests", "nephrite-bench-masks"];

/// Foreign crates of weight, and the only crates of ours that may name them.
const CONFINED: &[(&str, &[&str])] = &[
    ("ort", &["nephrite-engine"]),
    ("nifti", &["nephrite-volume"]),
    (
        "tonic",
        &[
            "nephrite-proto",
            "nephrite-server",
            "nephrite-kernel",
            "nephrite-conformance",
            "nephrite-image-core",
        ],
    ),
    (
        "tokio",
        &[
            "nephrite-proto",
            "nephrite-server",
            "nephrite-kernel",
            "nephrite-conformance",
            "nephrite-image-core",
        ],
    ),
];

/// Licences that a dependency may offer.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unlicense",
    "Unicode-3.0",
    "CC0-1.0",
    "BSL-1.0",
    "MIT-0",
];

/// Crates of which there must be one version, because their types cross crates of ours.
const ONE_VERSION: &[&str] = &["ndarray", "half", "tonic", "prost", "cap-std", "ort"];

/// What other systems need is not downloaded, and not looked at.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// What cargo prints about the workspace.
fn cargo(arguments: &[&str]) -> Vec<u8> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--locked", "--offline", "--manifest-path", manifest])
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn metadata() -> Value {
    let printed = cargo(&["metadata", "--format-version", "1", "--filter-platform", PLATFORM]);
    serde_json::from_slice(&printed).expect("cargo prints JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Name → names of its ordinary and build dependencies, for our crates.
fn own_dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(text(package, "id")))
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ordinary = dependencies.filter(|d| d["kind"].as_str() != Some("dev"));
            (
                text(package, "name").to_owned(),
                ordinary.map(|d| text(d, "name").to_owned()).collect(),
            )
        })
        .collect()
}

#[test]
fn dependency_arrows_point_towards_types() {
    let metadata = metadata();
    let crates = own_dependencies(&metadata);
    assert!(crates.len() >= 10, "the workspace was found: {crates:?}");
    for (name, dependencies) in &crates {
        let ours: BTreeSet<&str> = dependencies
            .iter()
            .map(String::as_str)
            .filter(|d| crates.contains_key(*d))
            .collect();
        if LAST.contains(&name.as_str()) {
            continue;
        }
        let allowed = ARROWS.iter().find(|(n, _)| n == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} has no line in ARROWS"));
        for used in ours {
            assert!(allowed.contains(&used), "{name} must not use {used}");
        }
    }
    for (foreign, users) in CONFINED {
        for (name, dependencies) in &crates {
            if dependencies.contains(*foreign) && !LAST.contains(&name.as_str()) {
                assert!(users.contains(&name.as_str()), "{name} must not use {foreign}");
            }
        }
    }
}

#[test]
fn dependencies_come_from_the_registry_under_known_licences() {
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let (name, version) = (text(package, "name"), text(package, "version"));
        versions.entry(name).or_default().insert(version);
        let Some(source) = package["source"].as_str() else {
            continue; // ours
        };
        assert!(
            source.starts_with("registry+"),
            "{name} {version} comes from {source}"
        );
        let licence = text(package, "license");
        let offered = |l: &str| LICENCES.contains(&l.trim().trim_matches(['(', ')']));
        // `A OR B`: one will do; `A AND B`: all must
        let ok = licence
            .replace('/', " OR ")
            .split(" AND ")
            .all(|part| part.split(" OR ").any(offered));
        assert!(ok, "{name} {version} is under {licence:?}");
    }
    for name in ONE_VERSION {
        let found = versions.get(name).map_or(0, BTreeSet::len);
        assert_eq!(found, 1, "versions of {name}: {:?}", versions.get(name));
    }
}

/// Packages of `cargo tree` along what is linked.
fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let common = [
        "tree", "--edges", "normal", "--prefix", "none", "--target", PLATFORM,
    ];
    let printed = String::from_utf8(cargo(&[&common, arguments].concat())).unwrap();
    let names = printed.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn what_is_delivered_has_no_demo() {
    let program = ["-p", "nephrite-image-core"];
    let delivered = tree(&program);
    let with_demo = tree(&[&program[..], &["--features", "demo"]].concat());
    let only_there: Vec<_> = with_demo.difference(&delivered).collect();
    assert_eq!(only_there, ["nephrite-demo", "nephrite-phantom"]);
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/../compose/image-core.Dockerfile");
    let image = std::fs::read_to_string(image).unwrap();
    assert!(image.contains("-p nephrite-image-core") && !image.contains("features"));
}

#[test]
fn documents_name_what_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut checked = 0;
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        // `path/like/this` in back quotes that begins with one of the top folders must exist
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = ["image-core/", "mask-services/", "proto/", "tests/", "benches/"]
                .iter()
                .any(|top| quoted.starts_with(top));
            if is_path && !quoted.contains(['*', '<', ' ', '{']) {
                checked += 1;
                assert!(
                    root.join(quoted).exists(),
                    "{document} names {quoted}, which does not exist"
                );
            }
        }
    }
    assert!(checked >= 10, "only {checked} paths were found in the documents");
}
