//! The whole `main` of a service.

use nephrite_types::Coded;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use nephrite_server::{leave, log_to_stderr, pool_threads, probe, run_process};

use super::{Service, ServiceConfig, ServiceError, serve_all};
use crate::{MaskOperation, Registry};

/// How long a probe waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A service of mask operations for nephrite: gRPC, nephrite.v1.MaskService.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: Option<Config>,
    /// Print the keys of the configuration file: type, range, default, what each is for
    #[arg(long, exclusive = true)]
    explain: bool,
}

#[derive(Debug, Args)]
struct Config {
    /// Configuration file (TOML)
    #[arg(long)]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a running service for its health; exit code 0 if it serves
    Health(Config),
    /// Print the operations that this program has
    Operations,
}

/// Serves one operation until SIGTERM: what a plugin's `main` returns. The service is named like the operation. A service
/// that has served ends the process itself, without destructors: an operation may still run.
///
/// The command line is `--config FILE`, `--explain`, `health --config FILE` or `operations`.
pub fn serve(operation: impl MaskOperation + 'static) -> ExitCode {
    let description = operation.description();
    let (name, version) = (description.name.clone(), description.version.clone());
    let mut operations = Registry::new();
    match operations.register(Arc::new(operation)) {
        Ok(()) => serve_program(Service {
            name,
            version,
            operations,
        }),
        Err(error) => exit_code(Err(error.into())),
    }
}

/// Serves the operations that the configuration names until SIGTERM. Command line as [`serve`].
pub fn serve_program(service: Service) -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.explain {
        return exit_code(print(&ServiceConfig::reference().to_string()));
    }
    exit_code(match (arguments.command, arguments.config) {
        (Some(Command::Operations), _) => print(&operations(&service)),
        (Some(Command::Health(Config { config })), _) => health(&config),
        (None, Some(Config { config })) => run(service, &config),
        (None, None) => Ok(()), // clap has shown the help
    })
}

fn exit_code(outcome: Result<(), ServiceError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(error.code().exit_code())
        }
    }
}

fn print(text: &str) -> Result<(), ServiceError> {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()); // nobody need listen
    Ok(())
}

fn operations(service: &Service) -> String {
    let lines = service.operations.descriptions().into_iter().map(|operation| {
        let (name, version, help) = (operation.name, operation.version, operation.help);
        format!("{name}\t{version}\t{help}\n")
    });
    lines.collect()
}

fn health(config: &Path) -> Result<(), ServiceError> {
    let config = ServiceConfig::read(config)?;
    Ok(probe(config.listen, PATIENCE)?)
}

fn run(service: Service, config: &Path) -> Result<(), ServiceError> {
    let config = ServiceConfig::read(config)?;
    log_to_stderr(config.log_format);
    if let Some(threads) = pool_threads(config.threads) {
        // Fails only if a pool is there already, which nothing before this makes.
        let _ = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global();
    }
    let announce = |address| {
        let _ = print(&format!("listening on http://{address}\n"));
    };
    let outcome = run_process(config.listen, announce, |listener, stopped| {
        serve_all(service, config, listener, stopped)
    });
    match outcome {
        Ok(()) => leave(0), // an operation that took no notice may still run
        Err(error) => Err(error),
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use clap::CommandFactory as _;
    use clap_markdown::{MarkdownOptions, help_markdown_command_custom};

    use super::Arguments;
    use crate::test_util::assert_reference_page;

    #[test]
    fn the_reference_page_shows_the_commands_of_a_service() {
        let options = MarkdownOptions::new()
            .title("Commands of mask services".to_owned())
            .show_footer(false)
            .show_table_of_contents(false);
        let command = Arguments::command().name("mask-services");
        let page = help_markdown_command_custom(&command, &options);
        assert_reference_page("service-commands.md", &page);
    }
}
