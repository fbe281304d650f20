//! The arguments of every command.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use nephrite_engine::Provider;
use nephrite_nnunet_folder::FoldName;

use super::option_arguments::OptionArguments;

/// `-V` prints the first line.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nruns trained nnU-Nets (nnunetv2 model folders) on ONNX Runtime 1.24 or newer: cpu, cuda, openvino"
);

/// Segments CT and MR volumes with trained nnU-Nets.
#[derive(Debug, Parser)]
#[command(name = "nephrite", version, long_version = LONG_VERSION, propagate_version = true, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 done, 2 the command line is wrong, 3 bad input, 4 bad model, 5 over a limit, \
                        6 the environment failed (provider, disk), 130 cancelled.\n\
                        NEPHRITE_LOG=info shows what happens inside."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the mask of a scan with a trained nnU-Net
    Segment(Box<SegmentArguments>),
    /// Run a pipeline on the scans of one patient, or several models
    Run(Box<RunArguments>),
    /// Run a case again from its record, and compare every file byte by byte; exit code 0 if all are equal
    Verify(VerifyArguments),
    /// Bring a scan or a label map to another grid
    Resize(ResizeArguments),
    /// Run an operation on masks: merge, cleanup, sample, or that of a plugin
    Mask(Box<MaskArguments>),
    /// Look at mask operations and the services that offer them
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Look at pipeline files
    #[command(subcommand)]
    Pipeline(PipelineCommand),
    /// Look at model folders
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Explain the keys of configuration and pipeline files, or check the file of a server
    Config(ConfigArguments),
    /// Serve segmentation, volumes and models over gRPC until SIGTERM
    Serve {
        /// Configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Ask a running server for its health; exit code 0 if it serves
    Health {
        /// Configuration file of the server
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Draw a synthetic patient, segment it with three small nnU-Nets, and show the result
    #[cfg_attr(not(feature = "demo"), command(hide = true))]
    Demo(super::demo::DemoArguments),
}

#[derive(Debug, Args)]
pub(crate) struct RuntimeArguments {
    /// What runs the network; never replaced by another provider
    #[arg(long, default_value = "cpu", value_name = "cpu|cuda|openvino")]
    pub(crate) provider: Provider,
    /// CPU threads of the network and of what is around it [default: what the control group grants]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) memory: MemoryArguments,
    /// ONNX Runtime's shared library, or the folder that holds it [default: ORT_DYLIB_PATH, then beside the program,
    /// then the build folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) onnxruntime: Option<PathBuf>,
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
pub(crate) struct SegmentArguments {
    /// Folder of the trained model, named Trainer__Plans__Configuration
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) choice: ModelArguments,
    /// NIfTI file; once per channel of the model, in its order
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) input: Vec<PathBuf>,
    /// Mask of a cascade's previous stage, on the voxels of the input; axes may run another way [default: the previous stage is run first, if
    /// its folder lies beside the model's]
    #[arg(long, value_name = "FILE")]
    pub(crate) previous_stage: Option<PathBuf>,
    /// Where the mask goes, .nii.gz or .nii
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) options: OptionArguments,
    #[command(flatten)]
    pub(crate) runtime: RuntimeArguments,
    /// Write the class probabilities too: .npz with member `probabilities`, f32 [class, z, y, x]
    #[arg(long, value_name = "FILE")]
    pub(crate) save_probabilities: Option<PathBuf>,
    /// Apply the postprocessing of this postprocessing.json or .pkl, or without FILE the one in the model's folder
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(crate) postprocessing: Option<Option<PathBuf>>,
    /// Odd geometry is an error, not a warning: channels that do not lie where the first one lies, headers that contradict
    /// themselves
    #[arg(long)]
    pub(crate) strict_geometry: bool,
    /// Write what was done as JSON: seconds per stage, memory in bytes, tiles, labels with volumes in mL
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Print nothing but errors and warnings
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) what: WhatArguments,
    /// A scan and its contrast phase: non_contrast, arterial, portal_venous or delayed
    #[arg(long = "scan", value_name = "PHASE=FILE", required = true)]
    pub(crate) scans: Vec<Pair>,
    /// Result folder; it must not exist, the folder above must
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Only these steps, and those that they need
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub(crate) steps: Vec<String>,
    /// `quick` is for a first look: one fold, no mirroring, coarser tiles
    #[arg(long, value_enum, default_value = "full")]
    pub(crate) profile: ProfileArgument,
    /// Run a step on the scan of this phase [default: the first that it accepts]
    #[arg(long = "phase", value_name = "STEP=PHASE")]
    pub(crate) phases: Vec<Pair>,
    /// The same, even if the step does not accept that phase; goes into the record
    #[arg(long = "override-phase", value_name = "STEP=PHASE")]
    pub(crate) overrides: Vec<Pair>,
    /// Odd geometry is an error, not a warning: channels that do not lie where the first one lies, headers that contradict
    /// themselves
    #[arg(long)]
    pub(crate) strict_geometry: bool,
    /// Send the request to this server, such as http://127.0.0.1:7443; paths are then as the server sees them
    #[arg(
        long,
        value_name = "URL",
        conflicts_with_all = ["config", "root", "provider", "threads", "max_memory_bytes", "onnxruntime"]
    )]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) place: CasePlaceArguments,
    #[command(flatten)]
    pub(crate) runtime: RuntimeArguments,
    /// Print nothing but errors and warnings
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct WhatArguments {
    /// Pipeline file (TOML)
    #[arg(long, value_name = "FILE", conflicts_with = "models")]
    pub(crate) pipeline: Option<PathBuf>,
    /// Folder of a trained model, without a pipeline; several run beside each other. PHASE is needed if there are
    /// several scans
    #[arg(long = "model", id = "models", value_name = "[PHASE=]DIR")]
    pub(crate) models: Vec<NamedPath>,
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
pub(crate) struct VerifyArguments {
    /// `record.json` of a result folder
    #[arg(value_name = "RECORD")]
    pub(crate) record: PathBuf,
    #[command(flatten)]
    pub(crate) place: CasePlaceArguments,
    #[command(flatten)]
    pub(crate) runtime: RuntimeArguments,
    /// Print nothing but errors and warnings
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResizeArguments {
    /// NIfTI file
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Where the result goes, .nii.gz or .nii
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// How values between voxels are made [default: cubic; nearest with --label-map]
    #[arg(long, value_enum)]
    pub(crate) interpolation: Option<InterpolationArgument>,
    /// The input holds label ids; `linear` then interpolates every label by itself
    #[arg(long)]
    pub(crate) label_map: bool,
    #[command(flatten)]
    pub(crate) memory: MemoryArguments,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TargetArguments {
    /// Distance of voxel centers in mm, such as 1,1,2.5
    #[arg(long, value_name = "X,Y,Z")]
    pub(crate) spacing: Option<Triple<f64>>,
    /// Number of voxels, such as 256,256,120
    #[arg(long, value_name = "X,Y,Z")]
    pub(crate) shape: Option<Triple<usize>>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Say what a model folder is: channels, labels, spacing, patch, network, folds, mirroring, memory
    Inspect {
        /// Folder of the trained model
        #[arg(value_name = "DIR")]
        model: PathBuf,
        #[command(flatten)]
        choice: ModelArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the model folders beneath a folder
    List {
        /// Where to look, such as nnU-Net's results folder
        #[arg(value_name = "ROOT")]
        root: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct MaskArguments {
    /// Name of the operation; `nephrite plugin describe NAME` lists what it takes
    #[arg(value_name = "OPERATION")]
    pub(crate) operation: String,
    /// NIfTI file of label ids, for the operation's first input or for the one named
    #[arg(long, value_name = "[NAME=]FILE", required = true)]
    pub(crate) input: Vec<NamedPath>,
    /// What the ids mean: `kidney=1,vein=2`, or nnU-Net's dataset.json. Once for all inputs, or once per input, in their
    /// order [default: label_1, label_2 …]
    #[arg(long, value_name = "NAME=ID,…|FILE.json")]
    pub(crate) labels: Vec<String>,
    /// A parameter; lists are separated by commas
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<Pair>,
    /// Where the mask goes, .nii.gz or .nii; of several masks, the one named
    #[arg(long, value_name = "[NAME=]FILE")]
    pub(crate) output: Vec<NamedPath>,
    /// Folder for what else the operation makes (pictures, tables, meshes)
    #[arg(long, value_name = "DIR")]
    pub(crate) artefacts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
    #[command(flatten)]
    pub(crate) memory: MemoryArguments,
    /// Write what was done as JSON: labels with volumes in mL, measurements, files, seconds
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
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

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// List the operations: ours, and those of the services that are configured
    List {
        #[command(flatten)]
        place: PlaceArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what an operation takes and gives, or all operations of a service
    Describe {
        /// Name of an operation, or address of a service
        #[arg(value_name = "NAME|URL")]
        what: String,
        #[command(flatten)]
        place: PlaceArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try a service with everything that a plugin must stand
    Check(CheckArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineCommand {
    /// Say what a pipeline would run, and refuse one that cannot: unknown keys and steps, cycles, missing models
    Check {
        /// Pipeline file (TOML)
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Folder that the paths of models start at
        #[arg(long, value_name = "DIR", default_value = ".")]
        root: PathBuf,
        /// Only these steps, and those that they need
        #[arg(long, value_name = "ID,…", value_delimiter = ',')]
        steps: Vec<String>,
        /// A scan that time and memory are estimated for, such as arterial=art.nii.gz; its header is read only [default: a
        /// scan of 512×512×400 voxels of 0.8×0.8×1.0 mm for every phase]
        #[arg(long = "scan", value_name = "PHASE=FILE")]
        scans: Vec<String>,
        #[command(flatten)]
        place: PlaceArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("task").required(true))]
pub(crate) struct ConfigArguments {
    /// Print the keys of a kind of file: type, range, default, what each is for [default: server]
    #[arg(long, group = "task", value_enum, num_args = 0..=1, default_missing_value = "server")]
    pub(crate) explain: Option<FileArgument>,
    /// Check the configuration file of a server: all faults by line; exit code 3 if there are any
    #[arg(long, group = "task", value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
    /// Print the keys as a Markdown table
    #[arg(long, requires = "explain")]
    pub(crate) markdown: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Address, such as http://127.0.0.1:7445
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Only this operation [default: all of the service]
    #[arg(long, value_name = "NAME")]
    pub(crate) operation: Option<String>,
    /// Folder that the service sees under the same path; without it, masks by path and files are not tried
    #[arg(long, value_name = "DIR")]
    pub(crate) exchange: Option<PathBuf>,
    /// A parameter that the operation needs
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<Pair>,
    /// Seconds that one ordinary call may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) timeout: f64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
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

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FileArgument {
    /// What `nephrite serve` reads
    Server,
    /// What `mask-services` reads
    Services,
    /// What `nephrite run` reads
    Pipeline,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ProfileArgument {
    Full,
    Quick,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum InterpolationArgument {
    /// Cubic B-spline
    Cubic,
    Linear,
    Nearest,
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
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

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
