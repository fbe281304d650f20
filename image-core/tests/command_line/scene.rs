//! A folder with a model, a scan and an empty output folder, and the program to run on them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nephrite_cpu::{CpuOptions, Precision};

use crate::nifti_file::NiftiFile;

/// One channel (CT), patch 16×20×16, labels kidney and tumor, folds 0, 1 and all.
pub(crate) const ONE_CHANNEL: &str = "Dataset901_Iso/nnUNetTrainer__nnUNetPlans__3d_fullres";
/// Two channels.
pub(crate) const TWO_CHANNELS: &str = "Dataset903_TwoChannel/nnUNetTrainer__nnUNetPlans__3d_fullres";

/// Removed when dropped.
pub(crate) struct Scene {
    temp: tempfile::TempDir,
}

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Scene {
    /// `scan.nii.gz` of 24×20×18 voxels and the folder `out`.
    pub(crate) fn new() -> Self {
        let scene = Scene {
            temp: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(scene.path("out")).unwrap();
        scene.write(
            "scan.nii.gz",
            &NiftiFile::scan([24, 20, 18], [1.5, 1.5, 1.8]).gzip(),
        );
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Names in a folder, sorted; hidden ones too.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A copy of a golden model that a test may break, as `model`.
    pub(crate) fn copy_model(&self, name: &str) {
        copy_folder(&golden_model(name), &self.path("model"));
    }

    /// Changes a JSON file of the copied model.
    pub(crate) fn edit_json(&self, file: &str, edit: impl FnOnce(&mut serde_json::Value)) {
        let mut json = serde_json::from_slice(&self.read(file)).unwrap();
        edit(&mut json);
        self.write(file, json.to_string().as_bytes());
    }

    /// Runs `nephrite` in this folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(arguments).output().unwrap())
    }

    /// The same, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nephrite"));
        command.current_dir(self.temp.path()).args(arguments);
        command
    }

    /// `segment` with the one-channel model, fold 0, without mirroring, into `out/mask.nii.gz`; `more` is appended.
    pub(crate) fn segment(&self, model: &Path, more: &[&str]) -> Outcome {
        let model = model.to_str().unwrap();
        let arguments = [
            "segment",
            "--model",
            model,
            "--folds",
            "0",
            "--no-mirroring",
            "--quiet",
        ];
        self.run(&[&arguments, more].concat())
    }
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Self {
        Outcome {
            exit: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It worked.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.exit, Some(0), "{self:?}");
        self
    }

    /// It ended with this exit code and a one-line message that says all of this.
    #[track_caller]
    pub(crate) fn refused(self, exit: i32, says: &[&str]) {
        assert_eq!(self.exit, Some(exit), "{self:?}");
        for text in says {
            assert!(self.stderr.contains(text), "{text:?} is not in: {}", self.stderr);
        }
        assert!(self.stdout.is_empty(), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }
}

/// Whether this processor has precision bf16.
pub(crate) fn has_bf16() -> bool {
    let options = CpuOptions {
        precision: Precision::Bf16,
        ..CpuOptions::best()
    };
    nephrite_cpu::check(options).is_ok()
}

/// A model of `tests/golden` at the root of the workspace.
pub(crate) fn golden_model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/models")
        .join(name)
}

/// A file of a golden case.
pub(crate) fn golden_case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/cases")
        .join(name)
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != OsStr::new("fold_all") {
                copy_folder(&entry.path(), &target);
            }
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
