//! Finds and loads ONNX Runtime's shared library, and says where it looked if it is not there.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use crate::{EngineError, Provider};

/// The library of this process. ONNX Runtime can be loaded once and must outlive every session, so it is never unloaded.
static LOADED: Mutex<Option<OnnxRuntime>> = Mutex::new(None);

/// How far above the executable a build folder is looked for: `target/release/deps/program` is three folders deep.
const MAX_FOLDERS_UP: usize = 5;

/// Where to look for the ONNX Runtime library.
///
/// A place that the user named (`explicit`, then `env`) is the only one tried: were it broken, going on to another
/// would run a library that nobody asked for. Otherwise the folder of the executable is tried, then the build folder.
#[derive(Debug, Clone)]
pub struct LibrarySearch {
    /// `--onnxruntime`: the library file, or the folder that holds it.
    pub explicit: Option<PathBuf>,
    /// The value of `ORT_DYLIB_PATH`, as the program read it: the library file, or its folder.
    pub env: Option<PathBuf>,
    /// Folder of the running executable.
    pub executable_folder: Option<PathBuf>,
    /// What `make onnxruntime` fills: holds one folder per build of ONNX Runtime, `cpu` and `openvino`.
    pub build_folder: Option<PathBuf>,
    /// What the networks are to run on; picks the folder in `build_folder`.
    pub provider: Provider,
}

/// The loaded ONNX Runtime. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OnnxRuntime {
    library: PathBuf,
    environment: Environment,
}

/// One place to try, in words for the user and as a path.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    named_by: &'static str,
    path: PathBuf,
}

impl LibrarySearch {
    /// The search as the programs do it: beside the running executable, then in `build/onnxruntime` of the nearest
    /// folder above it that has one.
    pub fn standard(explicit: Option<PathBuf>, env: Option<PathBuf>, provider: Provider) -> Self {
        let executable = std::env::current_exe().ok();
        let executable_folder = executable
            .as_deref()
            .and_then(Path::parent)
            .map(Path::to_path_buf);
        let build_folder = executable_folder.as_deref().and_then(build_folder_above);
        LibrarySearch {
            explicit,
            env,
            executable_folder,
            build_folder,
            provider,
        }
    }

    /// The places to try, in order.
    fn candidates(&self) -> Vec<Candidate> {
        let named = [("--onnxruntime", &self.explicit), ("ORT_DYLIB_PATH", &self.env)];
        for (named_by, path) in named {
            if let Some(path) = path.as_deref().filter(|path| !path.as_os_str().is_empty()) {
                let path = if path.is_dir() {
                    path.join(library_file())
                } else {
                    path.to_path_buf()
                };
                return vec![Candidate { named_by, path }];
            }
        }
        let beside = self.executable_folder.iter().map(|folder| Candidate {
            named_by: "beside the program",
            path: folder.join(library_file()),
        });
        let built = self.build_folder.iter().map(|folder| Candidate {
            named_by: "build folder",
            path: folder.join(self.provider.name()).join(library_file()),
        });
        beside.chain(built).collect()
    }
}

impl OnnxRuntime {
    /// Finds ONNX Runtime (1.24 or newer) and loads it into this process.
    ///
    /// A process loads one library. Later calls give the same one.
    ///
    /// # Errors
    /// [`EngineError::LibraryNotFound`] says everywhere it looked and why each place did not do;
    /// [`EngineError::LibraryAlreadyLoaded`] if the search leads to another library than the one in use.
    pub fn load(search: &LibrarySearch) -> Result<Self, EngineError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looked_at = Vec::new();
        for Candidate { named_by, path } in search.candidates() {
            let outcome = match path.canonicalize() {
                Err(error) => Err(error.to_string()),
                Ok(path) => match loaded.as_ref() {
                    Some(runtime) if runtime.library == path => return Ok(runtime.clone()),
                    Some(runtime) => {
                        return Err(EngineError::LibraryAlreadyLoaded {
                            loaded: runtime.library.clone(),
                            wanted: path,
                        });
                    }
                    None => open(&path),
                },
            };
            match outcome {
                Ok(runtime) => {
                    tracing::info!(library = %runtime.library.display(), "ONNX Runtime is loaded");
                    return Ok(loaded.insert(runtime).clone());
                }
                Err(reason) => looked_at.push(format!("{} ({named_by}: {reason})", path.display())),
            }
        }
        Err(EngineError::LibraryNotFound { looked_at })
    }

    /// The file that was loaded, links resolved.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Version, commit and compiler flags, as ONNX Runtime tells them, for the record.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// Loads the library and starts its environment; the error is a sentence for the user.
fn open(path: &Path) -> Result<OnnxRuntime, String> {
    // `ort` reports most unfit libraries as errors, but asserts that a library's entry points give something.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let builder = ort::init_from(path).map_err(load_reason)?;
        builder
            .with_name("nephrite")
            .with_telemetry(false)
            .build()
            .map_err(|error| error.to_string())
    }));
    let environment = outcome.unwrap_or_else(|_| Err("is not a working ONNX Runtime".to_owned()))?;
    Ok(OnnxRuntime {
        library: path.to_path_buf(),
        environment,
    })
}

/// Why a library was refused. What the dynamic linker said is in the error's source.
fn load_reason(error: ort::LoadDynamicError) -> String {
    match &error {
        ort::LoadDynamicError::Dlopen { error: dlopen, .. } => dlopen
            .source()
            .map_or_else(|| dlopen.to_string(), ToString::to_string),
        _ => error.to_string(),
    }
}

/// `libonnxruntime.so` on Linux.
fn library_file() -> String {
    format!(
        "{}onnxruntime{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    )
}

fn build_folder_above(folder: &Path) -> Option<PathBuf> {
    let candidates = folder
        .ancestors()
        .take(MAX_FOLDERS_UP)
        .map(|above| above.join("build").join("onnxruntime"));
    candidates.into_iter().find(|candidate| candidate.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(explicit: Option<&str>, env: Option<&str>) -> LibrarySearch {
        LibrarySearch {
            explicit: explicit.map(PathBuf::from),
            env: env.map(PathBuf::from),
            executable_folder: Some("/program".into()),
            build_folder: Some("/build".into()),
            provider: Provider::OpenVino,
        }
    }

    #[track_caller]
    fn check(search: LibrarySearch, expected: &[(&str, &str)]) {
        let found = search.candidates();
        let found: Vec<_> = found
            .iter()
            .map(|c| (c.named_by, c.path.to_str().unwrap()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_named_library_is_the_only_one_tried() {
        check(
            search(Some("/a/x.so"), Some("/b/y.so")),
            &[("--onnxruntime", "/a/x.so")],
        );
        check(search(None, Some("/b/y.so")), &[("ORT_DYLIB_PATH", "/b/y.so")]);
    }

    #[test]
    fn an_empty_name_counts_as_none_and_the_program_comes_before_the_build_folder() {
        check(
            search(None, Some("")),
            &[
                ("beside the program", "/program/libonnxruntime.so"),
                ("build folder", "/build/openvino/libonnxruntime.so"),
            ],
        );
    }

    #[test]
    fn a_folder_stands_for_the_library_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let found = search(folder.path().to_str(), None).candidates();
        assert_eq!(found[0].path, folder.path().join("libonnxruntime.so"));
    }

    #[test]
    fn the_build_folder_is_found_above_the_program() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("target/release/deps");
        let build = root.path().join("build/onnxruntime");
        std::fs::create_dir_all(&program).unwrap();
        assert_eq!(build_folder_above(&program), None);
        std::fs::create_dir_all(&build).unwrap();
        assert_eq!(build_folder_above(&program), Some(build));
    }
}
