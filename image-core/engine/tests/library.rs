//! Libraries that cannot be loaded. In a process of its own: none of these may leave anything behind that keeps the
//! right library from loading, which comes last.

#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::path::{Path, PathBuf};
use std::process::Command;

use nephrite_engine::{EngineError, LibrarySearch, OnnxRuntime, Provider};
use nephrite_types::{Coded, ErrorCode};

fn named(path: &Path) -> LibrarySearch {
    LibrarySearch {
        explicit: Some(path.to_path_buf()),
        env: None,
        executable_folder: None,
        build_folder: None,
        provider: Provider::Cpu,
    }
}

#[track_caller]
fn check_refused(search: &LibrarySearch, words: &[&str]) {
    let error = OnnxRuntime::load(search).unwrap_err();
    assert!(matches!(error, EngineError::LibraryNotFound { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::Environment);
    for word in words
        .iter()
        .chain(&["make onnxruntime", "--onnxruntime", "ORT_DYLIB_PATH"])
    {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

/// Compiles a shared library from C, with the compiler that Rust links with.
fn compile(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (c_file, library) = (
        folder.join(name).with_extension("c"),
        folder.join(name).with_extension("so"),
    );
    std::fs::write(&c_file, source).unwrap();
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &c_file])
        .status()
        .unwrap();
    assert!(status.success());
    library
}

#[test]
fn libraries_that_do_not_do_are_refused_with_place_and_reason_and_the_right_one_still_loads() {
    let folder = tempfile::tempdir().unwrap();

    check_refused(
        &named(&folder.path().join("missing.so")),
        &["missing.so", "--onnxruntime: No such file"],
    );
    check_refused(&named(folder.path()), &["libonnxruntime.so", "No such file"]);

    let text = folder.path().join("text.so");
    std::fs::write(&text, "no library").unwrap();
    check_refused(&named(&text), &["text.so", "file too short"]);

    let other = compile(folder.path(), "other", "int answer(void) { return 42; }");
    check_refused(&named(&other), &["other.so", "OrtGetApiBase"]);

    let old = "struct base { const void *(*api)(unsigned); const char *(*version)(void); };
        static const void *api(unsigned v) { return 0; }
        static const char *version(void) { return \"1.17.3\"; }
        static const struct base base = { api, version };
        const struct base *OrtGetApiBase(void) { return &base; }";
    let old = compile(folder.path(), "old", old);
    check_refused(&named(&old), &["old.so", "1.17.3", "1.24"]);

    let empty = compile(
        folder.path(),
        "empty",
        "const void *OrtGetApiBase(void) { return 0; }",
    );
    check_refused(&named(&empty), &["empty.so", "not a working ONNX Runtime"]);

    // With nothing named, every place is told.
    let search = LibrarySearch {
        explicit: None,
        env: None,
        executable_folder: Some(folder.path().join("bin")),
        build_folder: Some(folder.path().join("build")),
        provider: Provider::Cpu,
    };
    check_refused(
        &search,
        &[
            "bin/libonnxruntime.so (beside the program",
            "build/cpu/libonnxruntime.so (build folder",
        ],
    );
    check_refused(
        &LibrarySearch {
            executable_folder: None,
            build_folder: None,
            ..search
        },
        &["no place at all"],
    );

    // Links are followed, and a folder will do.
    let right = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/onnxruntime/cpu");
    let runtime =
        OnnxRuntime::load(&named(&right)).expect("this test needs ONNX Runtime: run `make onnxruntime`");
    assert!(runtime.library().starts_with(right.canonicalize().unwrap()));
}
