//! No crate's modules use each other in a circle, and those of `image-core/src` use only the floors below them.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nephrite_tests::modules::{Edges, Module, circles, edges};
use nephrite_tests::workspace::{metadata, root, rust_files};

/// Folders and files of `image-core/src`, lowest first.
const FLOORS: &[&[&str]] = &[
    &["error"],
    &["memory"],
    &["model"],
    &["core"],
    &["segment", "masks", "samples", "objects", "resize", "series"],
    &["place"],
    &["case"],
    &["jobs"],
    &["server"],
];
/// Stands beside `case` and `place`: turns messages into their types and back.
const WIRE: &str = "wire";
/// What only the program may use.
const NOT_FOR_THE_LIBRARY: &[&str] = &["nephrite_demo", "nephrite_phantom"];

fn floor(module: &Module) -> Option<usize> {
    FLOORS
        .iter()
        .position(|floor| floor.contains(&module[0].as_str()))
}

#[test]
fn modules_use_only_floors_below_them() {
    let (place, case) = (floor(&vec!["place".into()]), floor(&vec!["case".into()]));
    let edges = edges(&root().join("image-core/src/lib.rs"));
    assert!(edges.len() > 60, "{} modules", edges.len());
    let mut wrong = Vec::new();
    for (from, used) in edges {
        if from.is_empty() {
            continue;
        }
        for to in used.iter().filter(|to| to[0] != from[0]) {
            let is_right = match (from[0] == WIRE, to[0] == WIRE) {
                (true, _) => floor(to) <= case,
                (_, true) => floor(&from) >= place,
                _ => {
                    assert!(floor(&from).is_some(), "{from:?} stands on no floor");
                    // beside each other on one floor is below for nobody's circle: see the other test
                    floor(to).is_some() && floor(to) <= floor(&from)
                }
            };
            if !is_right {
                wrong.push(format!("{} uses {}", from.join("::"), to.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The `lib.rs` and `main.rs` of every crate of the workspace.
fn crate_roots() -> BTreeSet<PathBuf> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let ours = packages.filter(|package| package["source"].is_null());
    let targets = ours.flat_map(|package| package["targets"].as_array().unwrap());
    let built = targets.filter(|target| ["lib", "bin"].iter().any(|kind| target["kind"][0] == **kind));
    built
        .map(|target| PathBuf::from(target["src_path"].as_str().unwrap()))
        .collect()
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let roots = crate_roots();
    assert!(roots.len() >= 25, "{roots:?}");
    let found: Vec<(PathBuf, Vec<String>)> = roots
        .into_iter()
        .map(|root| (root.clone(), circles(&edges(&root))))
        .filter(|(_, circles)| !circles.is_empty())
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_circle_is_seen_however_long_it_is() {
    let module = |name: &str| vec![name.to_owned()];
    let edge = |from: &str, to: &str| (module(from), BTreeSet::from([module(to)]));
    let mut edges: Edges = [edge("a", "b"), edge("b", "c"), (module("c"), BTreeSet::new())].into();
    assert!(circles(&edges).is_empty());
    edges.extend([edge("c", "a")]);
    assert_eq!(circles(&edges), ["a -> b", "b -> c", "c -> a"]);
}

#[test]
fn the_library_does_not_know_the_demo() {
    // program and library share their dependencies
    let source = root().join("image-core/src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    files.retain(|file| !file.starts_with(source.join("cli")) && !file.ends_with("main.rs"));
    assert!(files.len() > 60, "{} files", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let used = NOT_FOR_THE_LIBRARY.iter().find(|name| text.contains(**name));
        assert!(used.is_none(), "{} names {used:?}", file.display());
    }
}

#[test]
fn few_files_lie_directly_in_the_source_folder() {
    let root: &Path = &root().join("image-core/src");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    assert!(files.len() <= 6, "{files:?}");
}
