//! Times one tile of a network with random weights on an NVIDIA card: as a case runs it, the network alone, and step by step.
//! `README.md` says what is measured.

mod measure;
mod networks;
mod report;
mod weights;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use nephrite_cuda::{Card, CardOptions, Precision};

use crate::measure::Task;
use crate::networks::Name;

/// Times one tile of a network on an NVIDIA card.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which network.
    #[arg(long, default_value = "plain")]
    network: Name,
    /// Length of the patch along each axis: 64 or another multiple of 32; 8 or another multiple of 4 for `small`.
    #[arg(long, default_value_t = 128)]
    patch: usize,
    /// In what it computes.
    #[arg(long, default_value = "half")]
    precision: PrecisionName,
    /// Medians are taken over so many rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Tiles of a round.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    tiles: u16,
    /// The file that is written; standard output if not given.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Times every step, too.
    #[arg(long)]
    profile: bool,
    /// Where compiled kernels are kept; they are compiled anew if not given.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Folders of cuDNN and NVRTC, separated by colons, before those of the system.
    #[arg(long, env = "NEPHRITE_CUDA_LIBRARIES", value_delimiter = ':')]
    libraries: Vec<PathBuf>,
    /// Number of the card.
    #[arg(long, default_value_t = 0)]
    card: usize,
    /// Runs on the twin of a card: slowly, without a card, to try this program.
    #[arg(long)]
    twin: bool,
}

/// As [`Precision`].
#[derive(Debug, Clone, Copy, ValueEnum)]
enum PrecisionName {
    Half,
    Tf32,
    F32,
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::Half => Precision::Half,
            PrecisionName::Tf32 => Precision::Tf32,
            PrecisionName::F32 => Precision::Single,
        }
    }
}

/// Bytes that a twin may take at once.
const TWIN_BYTES: usize = 4 << 30;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let architecture = networks::architecture(arguments.network, arguments.patch)?;
    let options = CardOptions {
        cache: arguments.cache,
        libraries: arguments.libraries,
    };
    let (open_s, card) = measure::seconds(|| match arguments.twin {
        true => Ok(Card::twin(0, TWIN_BYTES)),
        false => Card::open(arguments.card, &options),
    });
    let card = card?;
    let task = Task {
        architecture: &architecture,
        precision: arguments.precision.into(),
        n_rounds: arguments.rounds.into(),
        n_tiles: arguments.tiles.into(),
        profile: arguments.profile,
    };
    let found = measure::measure(&card, &task)?;
    let mut text = report::report(arguments.network, &task, card.info(), open_s, &found).to_string();
    text.push('\n');
    match arguments.json {
        Some(path) => fs::write(&path, text).with_context(|| path.display().to_string()),
        None => Ok(std::io::Write::write_all(
            &mut std::io::stdout(),
            text.as_bytes(),
        )?),
    }
}
