//! `nephrite jobs watch`: a job until it has ended.

use clap::Args;
use nephrite_proto::Client;
use nephrite_types::{CancelToken, ErrorCode};

use super::call::{DEFAULT_SERVER, ServerArguments};
use super::display::Display;
use super::follow::{News, follow};
use super::{event_json, outcome, stream};
use crate::cli::failure::Failure;
use crate::cli::signals;
use crate::cli::wait::wait;

#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// Id of the job
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Begin after this event of the job, by its number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) after: u64,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// Print events as JSON, an object on each line
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors and warnings
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What of a job is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Events on standard output.
    pub(crate) json: bool,
    /// Nothing but errors and warnings on standard error.
    pub(crate) quiet: bool,
}

pub(super) fn run(arguments: &WatchArguments) -> Result<(), Failure> {
    let style = Style {
        json: arguments.json,
        quiet: arguments.quiet,
    };
    let cancel = signals::cancelled_by_signals();
    watch(&arguments.server, &arguments.id, arguments.after, style, &cancel)
}

/// Watches a job until it has ended, and ends as the job did.
pub(crate) fn watch(
    server: &ServerArguments,
    id: &str,
    after_sequence: u64,
    style: Style,
    cancel: &CancelToken,
) -> Result<(), Failure> {
    let mut display = Display::new(style.quiet);
    let watched = wait(cancel, async {
        let client = Client::connect(&server.server).await?;
        follow(&client, id, after_sequence, |news| {
            show(news, style, &mut display)
        })
        .await
    })?;
    drop(display); // takes the bars off the terminal
    match watched {
        None => Err(Failure {
            code: ErrorCode::Cancelled,
            message: stopped(id, &server.server),
        }),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(None)) => Ok(()), // who read the events went away
        Some(Ok(Some(job))) => outcome::of(&job),
    }
}

/// Shows what there is to tell; false if nobody reads it.
fn show(news: News, style: Style, display: &mut Display) -> bool {
    match news {
        News::Event(event) if style.json => return stream::print(&event_json::line(&event)),
        News::Event(event) => display.event(*event),
        News::Lost(why) => display.line(&format!("connection lost: {why}; trying again")),
        News::Back => display.line("connected again"),
    }
    true
}

fn stopped(id: &str, server: &str) -> String {
    let at = match server {
        DEFAULT_SERVER => String::new(),
        server => format!(" --server {server}"),
    };
    format!("stopped watching; the job goes on, and `nephrite jobs cancel {id}{at}` cancels it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_watching_is_told_how_to_cancel() {
        let message = stopped("17", DEFAULT_SERVER);
        assert!(message.contains("`nephrite jobs cancel 17`"), "{message}");
        let message = stopped("17", "http://core:7443");
        assert!(
            message.contains("`nephrite jobs cancel 17 --server http://core:7443`"),
            "{message}"
        );
    }
}
