//! Seeds of fuzz targets, for the tests that replay them.

use std::path::Path;

/// The seeds of a fuzz target, `fuzz/seeds/TARGET` beneath the folder of its crate, each with its name.
///
/// # Panics
/// If a seed cannot be read, or if there are fewer than `at_least`.
pub fn seeds(package: &str, target: &str, at_least: usize) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(package).join("fuzz/seeds").join(target);
    let files = std::fs::read_dir(&folder).expect("the folder of seeds is there");
    let seeds: Vec<_> = files
        .map(|file| {
            let file = file.expect("the folder can be listed");
            let bytes = std::fs::read(file.path()).expect("a seed can be read");
            (file.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    assert!(
        seeds.len() >= at_least,
        "{} seeds in {}",
        seeds.len(),
        folder.display()
    );
    seeds
}
