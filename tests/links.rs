//! What Markdown files point at exists: links, images, headings, included files, paths in code font; and the book has all its pages.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Paths in code font that begin with one of these must exist, seen from the document's folder or one above it.
const PLACES: &[&str] = &[
    "image-core",
    "mask-services",
    "proto",
    "tests",
    "benches",
    "compose",
    "docs",
    "src",
    "..",
];
/// Pages of the book.
const BOOK: &str = "docs/src";

/// What one document says.
#[derive(Debug, Default, PartialEq)]
struct Document {
    links: Vec<String>,
    /// Anchors that its headings have.
    headings: BTreeSet<String>,
    code: Vec<String>,
    includes: Vec<String>,
}

impl Document {
    fn parse(text: &str) -> Self {
        let mut document = Document {
            includes: includes(text),
            ..Document::default()
        };
        let mut heading: Option<String> = None;
        let mut n_same = BTreeMap::<String, usize>::new();
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let n = n_same.entry(anchor.clone()).or_default();
                    let anchor = match *n {
                        0 => anchor,
                        n => format!("{anchor}-{n}"),
                    };
                    *n += 1;
                    document.headings.insert(anchor);
                }
                Event::Code(code) => {
                    heading.iter_mut().for_each(|heading| heading.push_str(&code));
                    document.code.push(code.into_string());
                }
                Event::Text(text) => heading.iter_mut().for_each(|heading| heading.push_str(&text)),
                _ => {}
            }
        }
        document
    }

    /// Links to other places of the repository.
    fn local_links(&self) -> impl Iterator<Item = &String> {
        let is_elsewhere = |link: &str| {
            ["http://", "https://"]
                .iter()
                .any(|scheme| link.starts_with(scheme))
        };
        self.links.iter().filter(move |link| !is_elsewhere(link))
    }
}

/// As GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.collect()
}

/// Files of `{{#include FILE}}`.
fn includes(text: &str) -> Vec<String> {
    let rest = text.split("{{#include ").skip(1);
    rest.filter_map(|rest| Some(rest.split_once("}}")?.0.to_owned()))
        .collect()
}

/// Whether a text in code font is a path of the repository: no placeholder, no command.
fn is_path(code: &str) -> bool {
    let first = code.split('/').next().unwrap_or_default();
    code.contains('/') && PLACES.contains(&first) && !code.contains(['*', '<', '>', ' ', '{', '…', '='])
}

/// Adds the Markdown files of a folder; what is built or hidden is not looked at.
fn read_folder(root: &Path, folder: &Path, documents: &mut BTreeMap<PathBuf, Document>) {
    const BUILT: &[&str] = &["target", "build", "demo", "venv", "shared", "node_modules"];
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = folder.join(&name);
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && !BUILT.contains(&name.as_str()) {
                read_folder(root, &path, documents);
            }
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            documents.insert(path, Document::parse(&text));
        }
    }
}

/// All Markdown files of the repository, by their path from its root.
struct Repository {
    root: PathBuf,
    documents: BTreeMap<PathBuf, Document>,
}

impl Repository {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        let mut documents = BTreeMap::new();
        read_folder(&root, Path::new(""), &mut documents);
        Repository { root, documents }
    }

    /// From the root, without `..`; `None` if the path leads out of the repository.
    fn resolve(&self, from: &Path, link: &str) -> Option<PathBuf> {
        let mut path = from.parent()?.to_owned();
        for part in link.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    if !path.pop() {
                        return None;
                    }
                }
                part => path.push(part),
            }
        }
        Some(path)
    }

    /// What is wrong with a link of `from`, if anything.
    fn fault_of_link(&self, from: &Path, link: &str) -> Option<String> {
        let (path, anchor) = match link.split_once('#') {
            Some((path, anchor)) => (path, Some(anchor)),
            None => (link, None),
        };
        let target = match path {
            "" => Some(from.to_owned()),
            path => self.resolve(from, path),
        };
        let target = target.filter(|target| self.root.join(target).exists());
        let Some(target) = target else {
            return Some(format!("{link} does not exist"));
        };
        if from.starts_with(BOOK) && !target.starts_with(BOOK) {
            return Some(format!("{link} is not part of the book"));
        }
        let anchor = anchor?;
        let headings = self.documents.get(&target).map(|document| &document.headings);
        match headings.is_some_and(|headings| headings.contains(anchor)) {
            true => None,
            false => Some(format!("{link}: there is no such heading")),
        }
    }

    /// Whether a path in code font exists, seen from the document's folder or one above it.
    fn has_path(&self, from: &Path, code: &str) -> bool {
        from.ancestors()
            .skip(1)
            .any(|folder| self.root.join(folder).join(code).exists())
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (path, document) in &self.documents {
            let mut fault = |what: String| faults.push(format!("{}: {what}", path.display()));
            document
                .local_links()
                .filter_map(|link| self.fault_of_link(path, link))
                .for_each(&mut fault);
            for code in document.code.iter().filter(|code| is_path(code)) {
                if !self.has_path(path, code) {
                    fault(format!("`{code}` does not exist"));
                }
            }
            for include in &document.includes {
                let included = self.resolve(path, include);
                let Some(text) = included.and_then(|file| fs::read_to_string(self.root.join(file)).ok())
                else {
                    fault(format!("{include}, which it includes, does not exist"));
                    continue;
                };
                if include.ends_with(".md") && Document::parse(&text).local_links().next().is_some() {
                    fault(format!(
                        "{include} has links, which lead elsewhere from the page that includes it"
                    ));
                }
            }
        }
        faults
    }
}

#[test]
fn what_documents_point_at_exists() {
    let repository = Repository::read();
    let documents = repository.documents.values();
    let n_links: usize = documents.clone().map(|document| document.links.len()).sum();
    let code = documents.flat_map(|document| &document.code);
    let n_paths = code.filter(|code| is_path(code)).count();
    assert!(n_links > 50 && n_paths > 50, "{n_links} links, {n_paths} paths");
    let faults = repository.faults();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_book_has_every_page_once() {
    let repository = Repository::read();
    let summary = Path::new(BOOK).join("SUMMARY.md");
    let listed = repository.documents[&summary].links.iter();
    let listed: Vec<PathBuf> = listed
        .map(|link| repository.resolve(&summary, link).unwrap())
        .collect();
    let pages = repository
        .documents
        .keys()
        .filter(|path| path.starts_with(BOOK) && **path != summary);
    let pages: BTreeSet<&PathBuf> = pages.collect();
    assert_eq!(listed.iter().collect::<BTreeSet<_>>(), pages);
    assert_eq!(listed.len(), pages.len(), "a page is listed twice");
}

#[test]
fn what_does_not_exist_is_found() {
    let mut repository = Repository::read();
    let text = "# A `b` C\n## Same\n## Same\n[1](#a-b-c) [2](#same-1) [3](README.md) [4](#same-2) [5](nowhere.md) ![6](../../out.png) \
                [7](https://example.org/x)\n`proto/README.md` `proto/nothing.rs` `tests/*.rs`\n{{#include nowhere.toml}}\n";
    let document = PathBuf::from("docs/src/introduction.md");
    repository.documents = BTreeMap::from([(document, Document::parse(text))]);
    let faults = repository.faults().join("\n");
    for found in [
        "README.md does",
        "#same-2",
        "nowhere.md does",
        "../../out.png",
        "`proto/nothing.rs`",
        "nowhere.toml",
    ] {
        assert!(faults.contains(found), "{found} was not found:\n{faults}");
    }
    assert_eq!(faults.lines().count(), 6, "{faults}");
}
