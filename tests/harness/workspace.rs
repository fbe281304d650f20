//! Where things lie.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

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

/// What cargo says of the workspace and of all that comes in.
///
/// # Panics
/// If cargo fails.
pub fn metadata() -> Value {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            // what other systems need is not downloaded, and not looked at
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
            "--manifest-path",
            manifest,
        ])
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}
