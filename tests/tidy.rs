//! The rules of the workspace that the compiler does not check: which crate may use which, and what may come in.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::{BTreeMap, BTreeSet};

use nephrite_tests::workspace::{PLATFORM, cargo, metadata, root, rust_files};
use serde_json::Value;

/// What each of our crates may use of ours: directly, development dependencies aside. Everything points to `types`.
const ARROWS: &[(&str, &[&str])] = &[
    ("nephrite-types", &[]),
    ("nephrite-proto", &["nephrite-types", "nephrite-mask-codec"]),
    ("nephrite-root", &["nephrite-types"]),
    ("nephrite-settings", &["nephrite-types"]),
    (
        "nephrite-server",
        &[
            "nephrite-types",
            "nephrite-proto",
            "nephrite-root",
            "nephrite-settings",
        ],
    ),
    ("nephrite-volume", &["nephrite-types"]),
    ("nephrite-dicom", &["nephrite-types", "nephrite-volume"]),
    (
        "nephrite-dicom-objects",
        &["nephrite-types", "nephrite-dicom", "nephrite-mask-codec"],
    ),
    ("nephrite-mask-codec", &["nephrite-types"]),
    (
        "nephrite-kernel",
        &[
            "nephrite-types",
            "nephrite-proto",
            "nephrite-mask-codec",
            "nephrite-root",
            "nephrite-server",
            "nephrite-settings",
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
        "nephrite-compare",
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
            "nephrite-compare",
        ],
    ),
    ("nephrite-resample", &["nephrite-types"]),
    ("nephrite-layers", &[]),
    ("nephrite-cpu", &["nephrite-types", "nephrite-layers"]),
    ("nephrite-cuda", &["nephrite-types", "nephrite-layers"]),
    (
        "nephrite-engine",
        &["nephrite-types", "nephrite-cpu", "nephrite-cuda"],
    ),
    ("nephrite-phantom", &["nephrite-types"]),
    (
        "nephrite-demo",
        &[
            "nephrite-types",
            "nephrite-root",
            "nephrite-volume",
            "nephrite-dicom",
            "nephrite-dicom-objects",
            "nephrite-phantom",
            "nephrite-kernel",
            "nephrite-merge",
            "nephrite-cleanup",
            "nephrite-sample",
        ],
    ),
    (
        "nephrite-dicomweb",
        &["nephrite-types", "nephrite-root", "nephrite-dicom"],
    ),
    ("nephrite-job-state", &["nephrite-types"]),
    ("nephrite-jobs", &["nephrite-types", "nephrite-job-state"]),
    ("nephrite-jobs-sqlite", &["nephrite-types", "nephrite-jobs"]),
    ("nephrite-jobs-nats", &["nephrite-types", "nephrite-jobs"]),
    (
        "nephrite-pipeline",
        &[
            "nephrite-types",
            "nephrite-dicom-objects",
            "nephrite-settings",
            "nephrite-kernel",
            "nephrite-nnunet-folder",
        ],
    ),
    ("nephrite-nnunet-folder", &["nephrite-types"]),
    (
        "nephrite-nnunet-network",
        &[
            "nephrite-types",
            "nephrite-layers",
            "nephrite-cpu",
            "nephrite-cuda",
        ],
    ),
    (
        "nephrite-nnunet",
        &[
            "nephrite-types",
            "nephrite-mask-codec",
            "nephrite-runs",
            "nephrite-resample",
            "nephrite-cpu",
            "nephrite-cuda",
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
            "nephrite-settings",
            "nephrite-volume",
            "nephrite-resample",
            "nephrite-cpu",
            "nephrite-cuda",
            "nephrite-dicom",
            "nephrite-engine",
            "nephrite-demo",
            "nephrite-dicom-objects",
            "nephrite-dicomweb",
            "nephrite-jobs",
            "nephrite-jobs-sqlite",
            "nephrite-jobs-nats",
            "nephrite-pipeline",
            "nephrite-mask-codec",
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
const LAST: &[&str] = &[
    "nephrite-tests",
    "nephrite-bench-gpu",
    "nephrite-bench-jobs",
    "nephrite-bench-masks",
    "nephrite-bench-network",
    BOOK_BUILDER,
];

/// Makes the book. Nothing of it, or of what it uses, becomes part of a program that is delivered.
const BOOK_BUILDER: &str = "nephrite-docs";

/// Licenses of the tool that makes the book, mdBook: copyleft for its own files, which are not changed, and attribution for
/// the icons of its pages. Only `BOOK_BUILDER` may bring them in.
const LICENCES_OF_THE_BOOK: &[&str] = &["MPL-2.0", "CC-BY-4.0"];

/// Foreign crates of weight, and the only crates of ours that may name them.
const CONFINED: &[(&str, &[&str])] = &[
    ("ort", &["nephrite-engine"]),
    ("pulp", &["nephrite-cpu"]),
    ("cudarc", &["nephrite-cuda"]),
    ("libloading", &["nephrite-cuda"]),
    ("nifti", &["nephrite-volume"]),
    ("dicom-object", &["nephrite-dicom", "nephrite-dicom-objects"]),
    ("dicom-core", &["nephrite-dicom", "nephrite-dicom-objects"]),
    ("dicom-parser", &["nephrite-dicom", "nephrite-dicom-objects"]),
    ("dicom-encoding", &["nephrite-dicom", "nephrite-dicom-objects"]),
    (
        "dicom-transfer-syntax-registry",
        &["nephrite-dicom", "nephrite-dicom-objects"],
    ),
    (
        "dicom-dictionary-std",
        &["nephrite-dicom", "nephrite-dicom-objects"],
    ),
    ("jpeg2k", &["nephrite-dicom"]),
    ("jpeg-decoder", &["nephrite-dicom"]),
    ("toml", &["nephrite-settings"]),
    ("rusqlite", &["nephrite-jobs-sqlite"]),
    ("async-nats", &["nephrite-jobs-nats"]),
    ("reqwest", &["nephrite-dicomweb"]),
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
            "nephrite-dicomweb",
            "nephrite-jobs-nats",
            "nephrite-image-core",
        ],
    ),
];

/// Licenses that a dependency may offer.
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

/// Identifiers of all packages that our crates need, the builder of the book aside.
fn used_without_the_book(metadata: &Value) -> BTreeSet<&str> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap().iter();
    let needs: BTreeMap<&str, &Value> = nodes
        .map(|node| (text(node, "id"), &node["dependencies"]))
        .collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let ours =
        packages.filter(|package| package["source"].is_null() && text(package, "name") != BOOK_BUILDER);
    let mut waiting: Vec<&str> = ours.map(|package| text(package, "id")).collect();
    let mut used = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if used.insert(id) {
            waiting.extend(needs[id].as_array().unwrap().iter().filter_map(Value::as_str));
        }
    }
    used
}

#[test]
fn dependencies_come_from_the_registry_under_known_licences() {
    let metadata = metadata();
    let delivered = used_without_the_book(&metadata);
    assert!(delivered.len() > 100, "{} packages", delivered.len());
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
        let is_of_the_book = !delivered.contains(text(package, "id"));
        let offered = |l: &str| {
            let l = l.trim().trim_matches(['(', ')']);
            LICENCES.contains(&l) || (is_of_the_book && LICENCES_OF_THE_BOOK.contains(&l))
        };
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
fn every_source_file_begins_by_saying_why_it_exists() {
    let mut files = Vec::new();
    rust_files(&root(), &mut files);
    assert!(files.len() > 400, "only {} files were found", files.len());
    let silent: Vec<_> = files
        .into_iter()
        .filter(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            // A file that another includes cannot have a doc of its own; its generator says what it is.
            !text.starts_with("//! ") && !text.starts_with("// This file is @generated by ")
        })
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}
