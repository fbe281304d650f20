//! Arguments that several commands have.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use nephrite_cpu::Level;
use nephrite_engine::Provider;
use nephrite_image_core::{CpuSettings, CudaSettings, Device};
use nephrite_nnunet::{HalfCheck, Otherwise};
use nephrite_nnunet_folder::FoldName;
use nephrite_types::Precision;

use super::series_arguments::SeriesArguments;

#[derive(Debug, Args)]
pub(crate) struct RuntimeArguments {
    /// What runs the network; never replaced by another provider
    #[arg(long, default_value = "cpu", value_name = "cpu|cuda|openvino")]
    pub(crate) provider: Provider,
    /// CPU threads of the network and of what is around it [default: what the control group grants]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// In what the network computes: f32 or bf16 on the CPU, half, tf32 or f32 on NVIDIA cards [default: f32, on cards half]
    #[arg(long, value_name = "f32|bf16|tf32|half")]
    pub(crate) precision: Option<Precision>,
    #[command(flatten)]
    pub(crate) cpu: CpuArguments,
    #[command(flatten)]
    pub(crate) cuda: CudaArguments,
    #[command(flatten)]
    pub(crate) series: SeriesArguments,
    #[command(flatten)]
    pub(crate) memory: MemoryArguments,
    /// ONNX Runtime's shared library, or the folder that holds it; needed for exported networks, and with provider openvino [default: ORT_DYLIB_PATH, then beside the program, then the build folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) onnxruntime: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct CpuArguments {
    /// Instructions that the network uses on provider cpu, for tests and comparisons [default: the best of this processor]
    #[arg(long, value_name = "avx512|avx2|neon|portable")]
    pub(crate) instructions: Option<Level>,
    /// Keep each thread of the network on one core of those that the process may use; provider cpu only
    #[arg(long)]
    pub(crate) pin_threads: bool,
}

impl CpuArguments {
    /// The library's name for what was typed.
    pub(crate) fn settings(self) -> CpuSettings {
        let CpuArguments {
            instructions,
            pin_threads,
        } = self;
        CpuSettings {
            instructions,
            pin_threads,
        }
    }
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CudaArguments {
    /// NVIDIA cards that run networks, with provider cuda [default: cuda:0]
    #[arg(long, value_name = "cuda:0,cuda:1", value_delimiter = ',')]
    pub(crate) devices: Vec<Device>,
    /// What becomes of a network that labels voxels otherwise in half precision than in f32, as it shows when it is loaded: it runs in
    /// f32, is refused, or nobody looks [default: f32]
    #[arg(long, value_enum, value_name = "f32|refuse|off")]
    pub(crate) half_check: Option<HalfCheckArgument>,
    /// Share of the voxels of fixed tiles that a network in half precision must label as in f32, 0 to 1 [default: 0.9998]
    #[arg(long, value_name = "SHARE")]
    pub(crate) half_agreement: Option<f64>,
    /// Bytes that may be taken on each card [default: most of what is free]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_card_bytes: Option<u64>,
    /// Folders that hold cuDNN and NVRTC, if they are not where the system looks for libraries [default: those that
    /// NEPHRITE_CUDA_LIBRARIES names]
    #[arg(long, value_name = "DIR", value_delimiter = ',')]
    pub(crate) cuda_libraries: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum HalfCheckArgument {
    /// It runs in f32
    F32,
    /// It is refused
    Refuse,
    /// Nobody looks
    Off,
}

impl CudaArguments {
    /// The library's name for what was typed; `libraries` and `cache` are for what was not.
    pub(crate) fn settings(self, libraries: Vec<PathBuf>, cache: Option<PathBuf>) -> CudaSettings {
        let default = CudaSettings::default();
        let min_agreement = self.half_agreement.unwrap_or(HalfCheck::default().min_agreement);
        let check = |otherwise| {
            Some(HalfCheck {
                min_agreement,
                otherwise,
            })
        };
        CudaSettings {
            devices: match self.devices.is_empty() {
                true => default.devices,
                false => self.devices,
            },
            half_check: match self.half_check {
                None | Some(HalfCheckArgument::F32) => check(Otherwise::Single),
                Some(HalfCheckArgument::Refuse) => check(Otherwise::Refuse),
                Some(HalfCheckArgument::Off) => None,
            },
            max_memory_bytes: self.max_card_bytes,
            libraries: match self.cuda_libraries.is_empty() {
                true => libraries,
                false => self.cuda_libraries,
            },
            cache,
            ..default
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct MemoryArguments {
    /// Bytes that the program may hold; what expects to need more is refused [default: what the machine and its control
    /// group allow, minus a tenth]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_memory_bytes: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct ModelArguments {
    /// Folds whose logits are averaged, such as 0,1; `all` is the model trained on all data [default: every fold_N
    /// that is there]
    #[arg(long, value_name = "0,1|all", value_delimiter = ',')]
    pub(crate) folds: Vec<FoldName>,
    /// Which checkpoint of each fold
    #[arg(long, value_enum, default_value = "final")]
    pub(crate) checkpoint: CheckpointArgument,
}

#[derive(Debug, Args)]
pub(crate) struct CasePlaceArguments {
    /// Run steps where this configuration of a server says
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder that all files lie beneath, and that the paths of models in a pipeline start at [default: that of
    /// --config; without it, the folder where the command runs, and files may lie anywhere]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PlaceArguments {
    /// Run at this service, such as http://127.0.0.1:7444 [default: in this process]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Run where the `operations` table of a server's configuration says
    #[arg(long, value_name = "FILE", conflicts_with = "endpoint")]
    pub(crate) config: Option<PathBuf>,
    /// Folder that the service sees under the same path, for masks of more than 1 MiB
    #[arg(long, value_name = "DIR")]
    pub(crate) exchange: Option<PathBuf>,
    /// Seconds that a call of a service may take
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<f64>,
}

/// A file, and perhaps the name that it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedPath {
    pub(crate) name: Option<String>,
    pub(crate) path: PathBuf,
}

impl FromStr for NamedPath {
    type Err = std::convert::Infallible;

    /// What comes ahead of the first `=` is a name if it looks like one; write `./a=b.nii` for such a file.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
        };
        Ok(match text.split_once('=').filter(|(name, _)| is_name(name)) {
            Some((name, path)) => NamedPath {
                name: Some(name.to_owned()),
                path: path.into(),
            },
            None => NamedPath {
                name: None,
                path: text.into(),
            },
        })
    }
}

/// `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair(pub(crate) String, pub(crate) String);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Pair(name.to_owned(), value.to_owned())),
            _ => Err("expected NAME=VALUE".to_owned()),
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CheckpointArgument {
    /// The end of training
    Final,
    /// The best validation score
    Best,
}

/// Three numbers, one per axis, as `X,Y,Z`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Triple<T>(pub(crate) [T; 3]);

impl<T: FromStr> FromStr for Triple<T>
where
    T::Err: std::fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text
            .split(',')
            .map(|part| {
                part.trim()
                    .parse::<T>()
                    .map_err(|error| format!("{part:?}: {error}"))
            })
            .collect::<Result<Vec<T>, String>>()?;
        let n = numbers.len();
        let triple = <[T; 3]>::try_from(numbers).map_err(|_| format!("{n} numbers, expected 3: X,Y,Z"))?;
        Ok(Triple(triple))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_may_carry_a_name() {
        let of = |text: &str| {
            let NamedPath { name, path } = text.parse().unwrap();
            (name, path.to_string_lossy().into_owned())
        };
        assert_eq!(of("a.nii"), (None, "a.nii".into()));
        assert_eq!(of("masks=a=b.nii"), (Some("masks".into()), "a=b.nii".into()));
        assert_eq!(of("./a=b.nii"), (None, "./a=b.nii".into()));
        assert_eq!("a=".parse(), Ok(Pair("a".into(), String::new())));
        assert!("=a".parse::<Pair>().is_err() && "a".parse::<Pair>().is_err());
    }

    #[test]
    fn triples_are_exactly_three_numbers() {
        assert_eq!("1, 2,2.5".parse(), Ok(Triple([1.0, 2.0, 2.5])));
        for text in ["", "1,2", "1,2,3,4", "1,2,x"] {
            assert!(text.parse::<Triple<f64>>().is_err(), "{text}");
        }
        assert!("1,2,-3".parse::<Triple<usize>>().is_err());
    }
}
