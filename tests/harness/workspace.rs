//! Where things lie.

use std::path::PathBuf;

/// The folder of the root `Cargo.toml`.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `tests/golden`.
pub fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Real scans, models and masks that may lie beside the project; `None`, said on the terminal, if they do not.
pub fn shared_data() -> Option<PathBuf> {
    let folder = root().join("../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    #[allow(clippy::print_stdout)] // a skipped test says so
    {
        println!("skipped: {} is not there", folder.display());
    }
    None
}
