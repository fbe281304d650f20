//! Tables of keys in documents are what the declarations of the keys print.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::path::{Path, PathBuf};

use nephrite_image_core::server::ServeConfig;
use nephrite_kernel::grpc::ServiceConfig;
use nephrite_pipeline::Pipeline;
use nephrite_settings::page;

/// Set to anything, the test writes the documents instead of comparing them.
const UPDATE: &str = "NEPHRITE_UPDATE_GENERATED";

/// A table lies between these lines of a document.
const BEGIN: &str = "<!-- keys: written by image-core/tests/reference.rs -->\n";
const END: &str = "<!-- end of keys -->\n";

const ABOUT: &str = "All keys of the three kinds of TOML file, as `nephrite config --explain [server|services|pipeline]` prints them. \
                     Unknown keys are faults, and all faults of a file are told at once, by line; \
                     `nephrite config --check FILE` does so for the file of a server. A file has at most 1 MiB, 200 000 keys, values and \
                     signs, and 16 levels of brackets.";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `document` with everything between the two lines replaced.
fn with_table(document: &str, table: &str) -> String {
    let (before, rest) = document
        .split_once(BEGIN)
        .expect("the document has a place for the table");
    let (_, after) = rest.split_once(END).expect("the place for the table has an end");
    format!("{before}{BEGIN}{table}{END}{after}")
}

fn compare(path: &str, fresh: &str) {
    let file = workspace().join(path);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, fresh).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == fresh,
        "{path} is not what the declarations give: run the test once with {UPDATE}=1"
    );
}

#[test]
fn tables_of_keys_are_current() {
    for (path, reference) in [
        ("mask-services/README.md", ServiceConfig::reference()),
        ("image-core/pipeline/README.md", Pipeline::reference()),
    ] {
        let document = std::fs::read_to_string(workspace().join(path)).unwrap();
        compare(path, &with_table(&document, &reference.markdown()));
    }
    let all = [
        ServeConfig::reference(),
        ServiceConfig::reference(),
        Pipeline::reference(),
    ];
    compare(
        "docs/src/reference/configuration.md",
        &page("Configuration", ABOUT, &all),
    );
}

#[test]
fn every_key_has_a_default_and_a_line_of_help() {
    for reference in [
        ServeConfig::reference(),
        ServiceConfig::reference(),
        Pipeline::reference(),
    ] {
        let mut names: Vec<_> = reference
            .entries
            .iter()
            .map(|entry| (&entry.heading, &entry.key))
            .collect();
        assert!(names.len() > 12, "{names:?}");
        names.sort_unstable();
        let n_keys = names.len();
        names.dedup();
        assert_eq!(names.len(), n_keys, "a key is declared twice");
        for entry in reference.entries {
            assert!(entry.key.is_empty() || !entry.default.is_empty(), "{entry:?}");
            assert!(!entry.help.is_empty(), "{entry:?}");
        }
    }
}
