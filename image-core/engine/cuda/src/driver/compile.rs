//! The kernels: compiled for the card, kept for the next start, loaded.

use std::ffi::{CStr, CString, c_char};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cudarc::driver::{result, sys};
use cudarc::nvrtc::sys as nvrtc;
use sha2::{Digest, Sha256};

use super::queue::Queue;
use crate::CudaError;
use crate::precision::Element;

const SOURCES: [&str; 6] = [
    include_str!("../../kernels/element.cu"),
    include_str!("../../kernels/norm.cu"),
    include_str!("../../kernels/matrix.cu"),
    include_str!("../../kernels/simple.cu"),
    include_str!("../../kernels/head.cu"),
    include_str!("../../kernels/export.cu"),
];

/// Machine code of the kernels for a compute capability, from `cache` if it is there.
pub(super) fn compile(
    capability: (i32, i32),
    element: Element,
    nvrtc: &str,
    cache: Option<&Path>,
) -> Result<Vec<u8>, CudaError> {
    let source = SOURCES.concat();
    let options = options(capability, element);
    let kept = cache.map(|folder| folder.join(kept_name(&source, &options, nvrtc)));
    if let Some(code) = kept.as_deref().and_then(kept_code) {
        return Ok(code);
    }
    let code = compile_now(&source, &options)?;
    if let Some(kept) = kept
        && let Err(error) = keep(&kept, &code)
    {
        tracing::warn!(path = %kept.display(), %error, "compiled kernels cannot be kept: the next start compiles them again");
    }
    Ok(code)
}

fn options((major, minor): (i32, i32), element: Element) -> [String; 4] {
    [
        format!("--gpu-architecture=sm_{major}{minor}"),
        format!("-DHALF={}", i32::from(element == Element::Half)),
        "--std=c++17".to_owned(),
        "-default-device".to_owned(),
    ]
}

/// Changes with all that the code depends on.
fn kept_name(source: &str, options: &[String], nvrtc: &str) -> String {
    let mut hash = Sha256::new();
    for part in [source, &options.join(" "), nvrtc] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut name = "kernels-".to_owned();
    for byte in &hash.finalize()[..16] {
        let _ = write!(name, "{byte:02x}");
    }
    name + ".cubin"
}

/// A file that was kept: its hash, then the code. Anything else is as good as nothing.
fn kept_code(path: &Path) -> Option<Vec<u8>> {
    let kept = std::fs::read(path).ok()?;
    let (hash, code) = kept.split_first_chunk::<32>()?;
    (Sha256::digest(code)[..] == hash[..]).then(|| code.to_vec())
}

/// Under its name when it is complete.
fn keep(path: &Path, code: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let hidden = PathBuf::from(format!("{}.{}.partial", path.display(), std::process::id()));
    let mut kept = Sha256::digest(code).to_vec();
    kept.extend(code);
    std::fs::write(&hidden, kept)?;
    std::fs::rename(&hidden, path).inspect_err(|_| drop(std::fs::remove_file(&hidden)))
}

fn compile_now(source: &str, options: &[String]) -> Result<Vec<u8>, CudaError> {
    let c_string = |text: &str| CString::new(text).expect("no zero in what is compiled");
    let source = c_string(source);
    let options: Vec<CString> = options.iter().map(|option| c_string(option)).collect();
    let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
    let none = std::ptr::null();
    unsafe {
        let mut program = std::ptr::null_mut();
        check(nvrtc::nvrtcCreateProgram(
            &mut program,
            source.as_ptr(),
            c"kernels.cu".as_ptr(),
            0,
            none,
            none,
        ))?;
        let compiled = check(nvrtc::nvrtcCompileProgram(
            program,
            pointers.len() as i32,
            pointers.as_ptr(),
        ));
        let code = match compiled {
            Ok(()) => code_of(program),
            Err(error) => Err(log_of(program).map_or(error, |log| CudaError::Compile { log })),
        };
        nvrtc::nvrtcDestroyProgram(&mut program);
        code
    }
}

/// # Safety
/// The program is one of NVRTC's.
unsafe fn code_of(program: nvrtc::nvrtcProgram) -> Result<Vec<u8>, CudaError> {
    let mut len = 0;
    check(unsafe { nvrtc::nvrtcGetCUBINSize(program, &mut len) })?;
    let mut code = vec![0u8; len];
    check(unsafe { nvrtc::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()) })?;
    Ok(code)
}

/// # Safety
/// The program is one of NVRTC's.
unsafe fn log_of(program: nvrtc::nvrtcProgram) -> Option<String> {
    let mut len = 0;
    check(unsafe { nvrtc::nvrtcGetProgramLogSize(program, &mut len) }).ok()?;
    let mut log = vec![0u8; len + 1];
    check(unsafe { nvrtc::nvrtcGetProgramLog(program, log.as_mut_ptr().cast()) }).ok()?;
    let log = CStr::from_bytes_until_nul(&log)
        .ok()?
        .to_string_lossy()
        .trim()
        .to_owned();
    (!log.is_empty()).then_some(log)
}

fn check(result: nvrtc::nvrtcResult) -> Result<(), CudaError> {
    match result {
        nvrtc::nvrtcResult::NVRTC_SUCCESS => Ok(()),
        other => Err(CudaError::Compile {
            log: format!("{other:?}"),
        }),
    }
}

/// The kernels for one element. They stay loaded as long as the card is open.
#[derive(Debug)]
pub(super) struct Kernels {
    pub(super) moments: sys::CUfunction,
    pub(super) finish: sys::CUfunction,
    pub(super) norm_few: sys::CUfunction,
    pub(super) activate: sys::CUfunction,
    pub(super) upsample: sys::CUfunction,
    pub(super) pool: sys::CUfunction,
    pub(super) tile: sys::CUfunction,
    pub(super) head: sys::CUfunction,
    pub(super) head_few: sys::CUfunction,
    pub(super) add_weights: sys::CUfunction,
    pub(super) labels_u8: sys::CUfunction,
    pub(super) labels_u16: sys::CUfunction,
    pub(super) labels_of_many_u8: sys::CUfunction,
    pub(super) labels_of_many_u16: sys::CUfunction,
    pub(super) logits_of: sys::CUfunction,
}

// Functions belong to the context, and are reached from any thread that has bound it.
unsafe impl Send for Kernels {}
unsafe impl Sync for Kernels {}

impl Kernels {
    pub(super) fn load(queue: &Queue, code: &[u8]) -> Result<Self, CudaError> {
        queue.bind()?;
        let module = unsafe { result::module::load_data(code.as_ptr().cast()) };
        let module = module.map_err(queue.doing("loading the kernels"))?;
        let function = |name: &CStr| {
            let function = unsafe { result::module::get_function(module, name.to_owned()) };
            function.map_err(queue.doing("finding a kernel"))
        };
        Ok(Kernels {
            moments: function(c"moments")?,
            finish: function(c"finish")?,
            norm_few: function(c"norm_few")?,
            activate: function(c"activate")?,
            upsample: function(c"upsample")?,
            pool: function(c"pool")?,
            tile: function(c"tile")?,
            head: function(c"head")?,
            head_few: function(c"head_few")?,
            add_weights: function(c"add_weights")?,
            labels_u8: function(c"labels_u8")?,
            labels_u16: function(c"labels_u16")?,
            labels_of_many_u8: function(c"labels_of_many_u8")?,
            labels_of_many_u16: function(c"labels_of_many_u16")?,
            logits_of: function(c"logits_of")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::libraries;
    use super::*;

    /// Folders that `NEPHRITE_CUDA_LIBRARIES` names; else that of `make nvrtc`, if it is there.
    fn named_or_fetched() -> Vec<PathBuf> {
        if let Some(folders) = std::env::var_os("NEPHRITE_CUDA_LIBRARIES") {
            return std::env::split_paths(&folders).collect();
        }
        let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../build/nvrtc");
        fetched.is_dir().then_some(fetched).into_iter().collect()
    }

    #[test]
    fn the_kernels_compile_for_every_kind_of_card() {
        let folders = named_or_fetched();
        libraries::load_from(&folders);
        if let Err(error) = libraries::nvrtc_version() {
            assert!(folders.is_empty(), "{error}");
            eprintln!("skipped: {error}; `make nvrtc` fetches it");
            return;
        }
        for capability in [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)] {
            for element in [Element::Half, Element::Single] {
                let code = compile(capability, element, "", None).unwrap();
                assert!(code.starts_with(b"\x7fELF"), "{capability:?} {element:?}");
            }
        }
    }

    #[test]
    fn a_kept_file_is_used_only_as_it_was_written() {
        let folder = std::env::temp_dir().join(format!("nephrite-kernels-{}", std::process::id()));
        let path = folder.join("kernels-test.cubin");
        assert_eq!(kept_code(&path), None);
        keep(&path, b"code").unwrap();
        assert_eq!(kept_code(&path).unwrap(), b"code");
        let mut kept = std::fs::read(&path).unwrap();
        *kept.last_mut().unwrap() ^= 1;
        std::fs::write(&path, kept).unwrap();
        assert_eq!(kept_code(&path), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_name_of_a_kept_file_changes_with_what_it_was_made_of() {
        let name = kept_name("a", &["b".to_owned()], "13.0");
        assert_eq!(name, kept_name("a", &["b".to_owned()], "13.0"));
        for other in [("ab", "b", "13.0"), ("a", "c", "13.0"), ("a", "b", "13.1")] {
            assert_ne!(name, kept_name(other.0, &[other.1.to_owned()], other.2));
        }
    }
}
