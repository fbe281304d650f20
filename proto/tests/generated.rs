//! The generated code in `src/generated` and the book's page of services are what the .proto files give.

#![allow(clippy::unwrap_used)] // helpers of a test

#[path = "generated/contract.rs"]
mod contract;
#[path = "generated/page.rs"]
mod page;

use std::path::{Path, PathBuf};

use prost_types::FileDescriptorSet;
use tonic_prost_build::Config;

/// Set to anything, the test writes the files instead of comparing them.
const UPDATE: &str = "NEPHRITE_UPDATE_GENERATED";
/// The page of the book's reference.
const PAGE: &str = "rpc.md";

#[test]
fn generated_code_is_current() {
    let crate_folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().unwrap();
    generate(&crate_folder, fresh.path());
    let mut n_compared = 0;
    for entry in fresh.path().read_dir().unwrap() {
        let name = entry.unwrap().file_name();
        let new = std::fs::read(fresh.path().join(&name)).unwrap();
        let folder = match name == PAGE {
            true => "../docs/src/reference",
            false => "src/generated",
        };
        let path = crate_folder.join(folder).join(&name);
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &new).unwrap();
        }
        let old = std::fs::read(&path).unwrap_or_default();
        assert!(
            old == new,
            "{} is not what the .proto files give: run the test once with {UPDATE}=1",
            path.display()
        );
        n_compared += 1;
    }
    assert_eq!(n_compared, 3, "code, descriptors and page");
}

/// Every service, method, message, field and value is documented; no text stands where an enum exists; every number has a
/// unit.
#[test]
fn every_part_of_the_contract_says_what_it_is() {
    let files = with_comments(Path::new(env!("CARGO_MANIFEST_DIR")));
    let faults = contract::faults(&files, "nephrite.v1");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The standard service, as clients that start from the .proto files need it.
#[test]
fn the_health_service_lies_beside_ours() {
    let mut compiler = protox::Compiler::new([env!("CARGO_MANIFEST_DIR")]).unwrap();
    compiler.open_file("grpc/health/v1/health.proto").unwrap();
    let files: FileDescriptorSet = compiler.file_descriptor_set();
    let service = &files.file[0].service[0];
    let methods: Vec<&str> = service.method.iter().map(|method| method.name()).collect();
    assert_eq!(
        (files.file[0].package(), service.name()),
        ("grpc.health.v1", "Health")
    );
    assert_eq!(methods, ["Check", "Watch"]);
}

fn with_comments(crate_folder: &Path) -> FileDescriptorSet {
    let files = [
        "segmentation",
        "volume",
        "model",
        "mask",
        "case",
        "job",
        "step",
        "mount",
    ]
    .map(|name| format!("nephrite/v1/{name}.proto"));
    let mut compiler = protox::Compiler::new([crate_folder]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files).unwrap();
    compiler.file_descriptor_set()
}

fn generate(crate_folder: &Path, out: &Path) {
    let with_comments = with_comments(crate_folder);
    tonic_prost_build::configure()
        .out_dir(out)
        .compile_fds_with_config(with_comments.clone(), Config::new())
        .unwrap();
    std::fs::write(out.join(PAGE), page::page(&with_comments, "nephrite.v1")).unwrap();
    // Reflection answers questions about shapes; comments are in the .proto files.
    let mut descriptors = with_comments;
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    std::fs::write(
        out.join("nephrite.v1.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )
    .unwrap();
}
