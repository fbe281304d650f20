//! The floors of `image-core/src`: a module uses only those below it, and no modules use each other in a circle.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::Visit;

/// Folders and files of `image-core/src`, lowest first.
const FLOORS: &[&[&str]] = &[
    &["error"],
    &["memory"],
    &["model"],
    &["core"],
    &["segment", "masks", "samples", "resize"],
    &["place"],
    &["case"],
    &["server"],
];
/// Stands beside `case` and `place`: turns messages into their types and back.
const WIRE: &str = "wire";
/// What only the program may use.
const NOT_FOR_THE_LIBRARY: &[&str] = &["nephrite_demo", "nephrite_phantom"];

/// `["case", "plan"]` for `case/plan/mod.rs`; empty for `lib.rs`.
type Module = Vec<String>;

/// What a file says of others.
#[derive(Default)]
struct Source {
    /// Paths that it uses, as written.
    uses: Vec<Vec<String>>,
    /// Names that a `use` brings into the module: name, path as written.
    names: BTreeMap<String, Vec<String>>,
}

struct Reader {
    source: Source,
}

impl Reader {
    fn tree(&mut self, tree: &syn::UseTree, path: &mut Vec<String>, is_reexport: bool) {
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&part.tree, path, is_reexport);
                path.pop();
            }
            syn::UseTree::Name(name) => self.leaf(&name.ident.to_string(), None, path, is_reexport),
            syn::UseTree::Rename(name) => {
                self.leaf(
                    &name.ident.to_string(),
                    Some(name.rename.to_string()),
                    path,
                    is_reexport,
                );
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, path, is_reexport);
                }
            }
            syn::UseTree::Glob(_) => assert!(
                !matches!(path[0].as_str(), "crate" | "super" | "self"),
                "a glob hides what is used: {path:?}"
            ),
        }
    }

    fn leaf(&mut self, name: &str, rename: Option<String>, path: &[String], is_reexport: bool) {
        let mut whole = path.to_vec();
        if name != "self" {
            whole.push(name.to_owned());
        }
        let known_as = rename.unwrap_or_else(|| whole.last().unwrap().clone());
        self.source.names.insert(known_as, whole.clone());
        if !is_reexport {
            self.source.uses.push(whole);
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|condition| condition == "test")
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            let is_reexport = !matches!(item.vis, syn::Visibility::Inherited);
            self.tree(&item.tree, &mut Vec::new(), is_reexport);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if parts.len() > 1 {
            self.source.uses.push(parts);
        }
        syn::visit::visit_path(self, path);
    }
}

fn read(folder: &Path, module: &Module, sources: &mut BTreeMap<Module, Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let below = || [module.as_slice(), std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            // the command line is another crate, above all of this
            if !(module.is_empty() && name == "cli") {
                read(&path, &below(), sources);
            }
            continue;
        }
        let of_file = match name.as_str() {
            "main" if module.is_empty() => continue,
            "lib" | "mod" => module.clone(),
            _ => below(),
        };
        let mut reader = Reader {
            source: Source::default(),
        };
        reader.visit_file(&syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap());
        sources.insert(of_file, reader.source);
    }
}

/// The module in which a path ends; nothing for paths of other crates.
fn resolve(
    sources: &BTreeMap<Module, Source>,
    from: &Module,
    path: &[String],
    depth: usize,
) -> Option<Module> {
    assert!(depth < 32, "{path:?} in {from:?} leads in a circle");
    let (mut at, rest): (Module, &[String]) = match path[0].as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (from.clone(), &path[1..]),
        "super" => (from[..from.len().checked_sub(1)?].to_vec(), &path[1..]),
        first => {
            let child = [from.as_slice(), &[first.to_owned()]].concat();
            if !sources.contains_key(&child) && !sources[from].names.contains_key(first) {
                return None; // another crate, or a name of this file
            }
            if sources[from].names.get(first).is_some_and(|of| of == path) {
                return None; // a crate's name
            }
            (from.clone(), path)
        }
    };
    for (i, part) in rest.iter().enumerate() {
        if part == "super" {
            at.pop();
            continue;
        }
        let child = [at.as_slice(), std::slice::from_ref(part)].concat();
        if sources.contains_key(&child) {
            at = child;
        } else if let Some(known) = sources[&at].names.get(part) {
            return match resolve(sources, &at, known, depth + 1) {
                // a module under another name may have items of its own
                Some(module) if i + 1 < rest.len() && module.last() == known.last() => {
                    let more = [&["crate".to_owned()], module.as_slice(), &rest[i + 1..]].concat();
                    resolve(sources, from, &more, depth + 1)
                }
                other => other,
            };
        } else {
            return Some(at);
        }
    }
    Some(at)
}

fn sources() -> BTreeMap<Module, Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image-core/src");
    let mut sources = BTreeMap::new();
    read(&root, &Vec::new(), &mut sources);
    assert!(sources.len() > 60, "{} modules", sources.len());
    sources
}

fn edges() -> BTreeMap<Module, BTreeSet<Module>> {
    let sources = sources();
    let edge = |(from, source): (&Module, &Source)| {
        let used = source.uses.iter();
        let used = used.filter_map(|path| resolve(&sources, from, path, 0));
        let used: BTreeSet<Module> = used.filter(|to| to != from && !to.is_empty()).collect();
        (from.clone(), used)
    };
    sources.iter().map(edge).collect()
}

fn floor(module: &Module) -> Option<usize> {
    FLOORS
        .iter()
        .position(|floor| floor.contains(&module[0].as_str()))
}

#[test]
fn modules_use_only_floors_below_them() {
    let (place, case) = (floor(&vec!["place".into()]), floor(&vec!["case".into()]));
    let mut wrong = Vec::new();
    for (from, used) in edges() {
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

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let edges = edges();
    // whom each reaches, by repeated steps
    let mut reached = edges.clone();
    loop {
        let mut more = false;
        let known = reached.clone();
        for to in reached.values_mut() {
            let next: Vec<Module> = to.iter().flat_map(|module| known[module].clone()).collect();
            for module in next {
                more |= to.insert(module);
            }
        }
        if !more {
            break;
        }
    }
    let circles: Vec<String> = reached
        .iter()
        .filter(|(from, to)| to.contains(*from))
        .map(|(from, _)| {
            let next = edges[from].iter().filter(|to| reached[*to].contains(from));
            let next: Vec<String> = next.map(|to| to.join("::")).collect();
            format!("{} -> {}", from.join("::"), next.join(", "))
        })
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn the_library_does_not_know_the_demo() {
    // program and library share their dependencies
    for (module, source) in sources() {
        for path in &source.uses {
            assert!(
                !NOT_FOR_THE_LIBRARY.contains(&path[0].as_str()),
                "{module:?} uses {path:?}"
            );
        }
    }
}

#[test]
fn few_files_lie_directly_in_the_source_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image-core/src");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    assert!(files.len() <= 6, "{files:?}");
}
