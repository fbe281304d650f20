//! Which module of a crate names which, read from its source: the compiler allows circles, this project does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::Visit;

/// `["case", "plan"]` for `crate::case::plan`; empty for the root of the crate.
pub type Module = Vec<String>;

/// The modules that each module names, itself and the root of the crate aside.
pub type Edges = BTreeMap<Module, BTreeSet<Module>>;

/// What a module says of others.
#[derive(Default)]
struct Source {
    /// Paths that it uses, as written.
    uses: Vec<Vec<String>>,
    /// Names that a `use` brings into the module: name, path as written.
    names: BTreeMap<String, Vec<String>>,
}

/// Reads a module and those below it.
struct Reader<'a> {
    sources: &'a mut BTreeMap<Module, Source>,
    module: Module,
    /// Where the files of modules below it lie.
    folder: &'a Path,
    source: Source,
}

impl Reader<'_> {
    fn tree(&mut self, tree: &syn::UseTree, path: &mut Vec<String>, is_reexport: bool) {
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&part.tree, path, is_reexport);
                path.pop();
            }
            syn::UseTree::Name(name) => self.leaf(&name.ident.to_string(), None, path, is_reexport),
            syn::UseTree::Rename(name) => {
                let rename = Some(name.rename.to_string());
                self.leaf(&name.ident.to_string(), rename, path, is_reexport);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, path, is_reexport);
                }
            }
            syn::UseTree::Glob(_) => assert!(
                !matches!(path[0].as_str(), "crate" | "super" | "self"),
                "a glob hides what is used: {path:?} in {:?}",
                self.module
            ),
        }
    }

    fn leaf(&mut self, name: &str, rename: Option<String>, path: &[String], is_reexport: bool) {
        let mut full = path.to_vec();
        if name != "self" {
            full.push(name.to_owned());
        }
        let known_as = rename.unwrap_or_else(|| full.last().cloned().unwrap_or_default());
        self.source.names.insert(known_as, full.clone());
        if !is_reexport {
            self.source.uses.push(full);
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

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_for_tests(&item.attrs) {
            return;
        }
        let name = item.ident.to_string();
        let folder = self.folder.join(&name);
        let below = [self.module.as_slice(), &[name]].concat();
        match &item.content {
            Some((_, items)) => read_items(items, below, &folder, self.sources),
            None => {
                let beside = folder.with_extension("rs");
                let file = if beside.exists() {
                    beside
                } else {
                    folder.join("mod.rs")
                };
                read_file(&file, below, &folder, self.sources);
            }
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

fn read_items(items: &[syn::Item], module: Module, folder: &Path, sources: &mut BTreeMap<Module, Source>) {
    let mut reader = Reader {
        sources,
        module: module.clone(),
        folder,
        source: Source::default(),
    };
    for item in items {
        reader.visit_item(item);
    }
    let source = reader.source;
    sources.insert(module, source);
}

fn read_file(file: &Path, module: Module, folder: &Path, sources: &mut BTreeMap<Module, Source>) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    read_items(&parsed.items, module, folder, sources);
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

/// Which modules of a crate name which. `root` is its `lib.rs` or `main.rs`; tests within it are left out, and so is what
/// stands in macros.
///
/// # Panics
/// If a file cannot be read, is no Rust, or takes all names of a module at once, which hides whom it uses.
pub fn edges(root: &Path) -> Edges {
    let mut sources = BTreeMap::new();
    let folder = root.parent().unwrap_or_else(|| Path::new(""));
    read_file(root, Vec::new(), folder, &mut sources);
    let edge = |(from, source): (&Module, &Source)| {
        let used = source.uses.iter();
        let used = used.filter_map(|path| resolve(&sources, from, path, 0));
        let used: BTreeSet<Module> = used.filter(|to| to != from && !to.is_empty()).collect();
        (from.clone(), used)
    };
    sources.iter().map(edge).collect()
}

/// Modules that lead back to themselves, each with the next on its way: `"a::b -> c"`.
pub fn circles(edges: &Edges) -> Vec<String> {
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
    let in_circle = reached.iter().filter(|(from, to)| to.contains(*from));
    let shown = in_circle.map(|(from, _)| {
        let next = edges[from].iter().filter(|to| reached[*to].contains(from));
        let next: Vec<String> = next.map(|to| to.join("::")).collect();
        format!("{} -> {}", from.join("::"), next.join(", "))
    });
    shown.collect()
}
