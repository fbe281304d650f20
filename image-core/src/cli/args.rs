//! The command line as a whole.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::config::ConfigArguments;
use super::demo::DemoArguments;
use super::dicom::DicomCommand;
use super::dicomweb::{PullArguments, PushArguments};
use super::jobs::JobsCommand;
use super::mask::MaskArguments;
use super::models::ModelsCommand;
use super::pipeline::PipelineCommand;
use super::plugin::PluginCommand;
use super::resize::ResizeArguments;
use super::run::RunArguments;
use super::segment::SegmentArguments;
use super::submit::SubmitArguments;
use super::verify::VerifyArguments;

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
    /// Hand a case in at a server that keeps jobs, and print the id of its job; paths are as the server sees them
    Submit(Box<SubmitArguments>),
    /// Look at jobs of a server: list, show, watch, cancel, retry, purge
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Run a case again from its record, and compare every file byte by byte; exit code 0 if all are equal
    Verify(VerifyArguments),
    /// Bring a scan or a label map to another grid
    Resize(ResizeArguments),
    /// Run an operation on masks: merge, cleanup, sample, compare, or that of a plugin
    Mask(Box<MaskArguments>),
    /// Look at the DICOM series of a folder, or write one as a volume
    #[command(subcommand)]
    Dicom(DicomCommand),
    /// Fetch a study or a series from a DICOMweb server into a folder, whole or not at all
    Pull(PullArguments),
    /// Store DICOM files at a DICOMweb server, and say what became of each
    Push(PushArguments),
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
    /// Do jobs that servers take in, until SIGTERM: a machine of its own for `[jobs]` with engine = "nats"
    Worker {
        /// Configuration file (TOML), as that of a server
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Ask a running server or worker for its health; exit code 0 if it serves
    Health {
        /// Configuration file of the server or worker
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Draw a synthetic patient, segment it with three small nnU-Nets, and show the result
    #[cfg_attr(not(feature = "demo"), command(hide = true))]
    Demo(DemoArguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
