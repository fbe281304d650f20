//! The libraries that a card is used through: whether they are there, which versions, and whether they fit.

use std::path::{Path, PathBuf};

use cudarc::cudnn::sys as dnn;
use cudarc::driver::sys;
use cudarc::nvrtc::sys as nvrtc;
use libloading::os::unix::Library;

use crate::CudaError;

/// Versions of the libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) cuda: String,
    pub(super) cudnn: String,
    pub(super) nvrtc: String,
}

const DRIVER: &str = "libcuda (the NVIDIA driver)";
const CUDNN: &str = "libcudnn";
const NVRTC: &str = "libnvrtc";

/// The graph interface that convolutions are run through is complete from here on.
const OLDEST_CUDNN: usize = 90000;

/// Checks that all are there and fit.
///
/// `folders` are looked through first, for those who have the libraries in wheels.
pub(super) fn check(folders: &[PathBuf]) -> Result<Versions, CudaError> {
    load_from(folders);
    let versions = Versions {
        cuda: driver_version()?,
        cudnn: cudnn_version()?,
        nvrtc: nvrtc_version()?,
    };
    fits(CUDNN, cudart_of_cudnn(), &versions.cuda)?;
    fits(NVRTC, major_of(&versions.nvrtc), &versions.cuda)?;
    Ok(versions)
}

/// A driver runs what was made for its own version of CUDA or an older one, as far as the first number says.
fn fits(library: &'static str, made_for: usize, driver: &str) -> Result<(), CudaError> {
    if made_for <= major_of(driver) {
        return Ok(());
    }
    let reason = format!("it is made for CUDA {made_for}, and the driver supports {driver}");
    Err(CudaError::Library { library, reason })
}

/// 13 of `13.0`.
fn major_of(version: &str) -> usize {
    let first = version.split('.').next();
    first.and_then(|first| first.parse().ok()).unwrap_or(0)
}

/// The version of CUDA that cuDNN is made for, its first number.
fn cudart_of_cudnn() -> usize {
    (unsafe { dnn::cudnnGetCudartVersion() }) / 1000
}

fn missing(library: &'static str) -> CudaError {
    let reason = "it is neither in the system's folders nor in those that were named".to_owned();
    CudaError::Library { library, reason }
}

fn driver_version() -> Result<String, CudaError> {
    if !unsafe { sys::is_culib_present() } {
        return Err(missing(DRIVER));
    }
    let reason = |error: cudarc::driver::DriverError| CudaError::Library {
        library: DRIVER,
        reason: format!("it says {:?}", error.0),
    };
    cudarc::driver::result::init().map_err(reason)?;
    let mut version = 0;
    unsafe { sys::cuDriverGetVersion(&mut version) }
        .result()
        .map_err(reason)?;
    Ok(format!("{}.{}", version / 1000, version % 1000 / 10))
}

fn cudnn_version() -> Result<String, CudaError> {
    if !unsafe { dnn::is_culib_present() } {
        return Err(missing(CUDNN));
    }
    let version = unsafe { dnn::cudnnGetVersion() };
    let name = format!("{}.{}.{}", version / 10000, version % 10000 / 100, version % 100);
    if version < OLDEST_CUDNN {
        let reason = format!("its version is {version}, and 9.0 or later is needed");
        return Err(CudaError::Library {
            library: CUDNN,
            reason,
        });
    }
    Ok(name)
}

pub(super) fn nvrtc_version() -> Result<String, CudaError> {
    if !unsafe { nvrtc::is_culib_present() } {
        return Err(missing(NVRTC));
    }
    let (mut major, mut minor) = (0, 0);
    match unsafe { nvrtc::nvrtcVersion(&mut major, &mut minor) } {
        nvrtc::nvrtcResult::NVRTC_SUCCESS => Ok(format!("{major}.{minor}")),
        other => Err(CudaError::Library {
            library: NVRTC,
            reason: format!("it says {other:?}"),
        }),
    }
}

/// Version of the kernel driver.
pub(super) fn kernel_driver() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    driver_in(&text)
}

/// The version in a text such as `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue …`.
fn driver_in(text: &str) -> Option<String> {
    let is_version = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.lines()
        .next()?
        .split_whitespace()
        .find(is_version)
        .map(str::to_owned)
}

/// Loads libraries by their full names: whoever asks for one by its short name gets what is loaded.
pub(super) fn load_from(folders: &[PathBuf]) {
    let mut files: Vec<PathBuf> = folders.iter().flat_map(|folder| shared_objects(folder)).collect();
    // Some need others: those that cannot be loaded yet are tried again.
    for _ in 0..3 {
        files.retain(
            |file| match unsafe { Library::open(Some(file), RTLD_NOW_GLOBAL) } {
                Ok(library) => {
                    std::mem::forget(library); // stays as long as the process
                    false
                }
                Err(_) => true,
            },
        );
    }
    for file in files {
        tracing::warn!(file = %file.display(), "a library cannot be loaded");
    }
}

const RTLD_NOW_GLOBAL: std::ffi::c_int = 0x102;

/// Those of a folder that convolutions and the compiler need.
fn shared_objects(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_needed = |path: &PathBuf| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        ["libnvrtc", "libcudnn", "libcublas", "libnvJitLink"]
            .iter()
            .any(|start| name.starts_with(start))
            && name.contains(".so")
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_needed)
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_driver_is_found_in_what_it_says() {
        let text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\nGCC version: 12.3.0";
        assert_eq!(driver_in(text).unwrap(), "580.159.04");
        assert_eq!(driver_in(""), None);
    }

    #[test]
    fn libraries_of_a_later_cuda_than_the_driver_s_are_refused() {
        let error = fits(NVRTC, 13, "12.4").unwrap_err().to_string();
        assert_eq!(
            error,
            "libnvrtc cannot be used: it is made for CUDA 13, and the driver supports 12.4"
        );
        assert!(fits(NVRTC, 12, "13.0").is_ok() && fits(CUDNN, 13, "13.2").is_ok());
    }

    #[test]
    fn without_a_driver_the_error_names_it() {
        if unsafe { sys::is_culib_present() } {
            return; // this machine has one
        }
        let error = check(&[]).unwrap_err().to_string();
        assert!(
            error.starts_with("libcuda (the NVIDIA driver) cannot be used"),
            "{error}"
        );
    }
}
