//! Times one tile of a network on the CPU: `serve` answers line by line, as `line_server.py` says, so that rounds can alternate
//! with the peers without loading anything again; `roofline` tells what the machine could do at most. `run.py` calls both.

mod machine;
mod model;
mod serve;

use std::io::Write as _;
use std::path::PathBuf;
use std::thread::available_parallelism;

use clap::{Parser, Subcommand};
use nephrite_cpu::{CpuError, CpuOptions, Level, Precision, Threads};

/// Times one tile of a network on the CPU.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the network of a model folder, then does what standard input says: `run INPUT OUTPUT`, `layers N`, `memory`.
    Serve {
        /// A trained model folder; its first fold is taken.
        #[arg(long)]
        model: PathBuf,
        /// The instruction set: avx512, avx2, neon, or portable; the best of this machine if not given.
        #[arg(long)]
        level: Option<Level>,
        /// In what factors are held: f32 or bf16.
        #[arg(long, default_value_t = Precision::F32)]
        precision: Precision,
        #[command(flatten)]
        threads: ThreadOptions,
    },
    /// What the machine could do at most: multiply-adds in registers, and copies of blocks that fit each cache.
    Roofline {
        #[command(flatten)]
        threads: ThreadOptions,
    },
}

#[derive(Debug, clap::Args)]
struct ThreadOptions {
    /// As many as cores if not given.
    #[arg(long)]
    threads: Option<usize>,
    /// Every thread stays on a core of its own.
    #[arg(long)]
    pin: bool,
}

impl ThreadOptions {
    fn start(&self) -> Result<Threads, CpuError> {
        let n_threads = self
            .threads
            .unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
        Threads::new(n_threads, self.pin)
    }
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Serve {
            model,
            level,
            precision,
            threads,
        } => {
            let options = CpuOptions {
                level: level.unwrap_or_else(Level::best),
                precision,
            };
            serve::serve(&model, options, &threads.start()?)
        }
        Command::Roofline { threads } => {
            let found = machine::roofline(&threads.start()?)?;
            writeln!(std::io::stdout(), "{found}")?;
            Ok(())
        }
    }
}
