//! `nephrite jobs`: what became of cases that were handed in, and what to do about them.

pub(super) mod call;
mod change;
mod display;
mod event_json;
mod failures;
mod filter;
mod follow;
mod fsck;
pub(super) mod json;
mod list;
mod live;
mod outcome;
mod patience;
pub(super) mod priority;
mod purge;
#[cfg(test)]
mod sample;
mod screen;
mod show;
mod stream;
mod table;
pub(super) mod watch;
mod words;
mod workers;

use clap::Subcommand;

use super::failure::Failure;
use change::{Change, ChangeArguments};
use fsck::FsckArguments;
use list::ListArguments;
use purge::PurgeArguments;
use show::ShowArguments;
use watch::WatchArguments;
use workers::WorkersArguments;

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, the youngest first
    List(ListArguments),
    /// Say everything about a job
    Show(ShowArguments),
    /// Watch a job until it has ended; the exit code is that of the job: 0 only if it succeeded, 130 if it was cancelled. Ctrl-C
    /// stops watching, not the job
    Watch(WatchArguments),
    /// Take jobs from the queue, or stop them
    Cancel(ChangeArguments),
    /// Put jobs that did not succeed into the queue again
    Retry(ChangeArguments),
    /// Forget jobs that have ended
    Purge(PurgeArguments),
    /// Look for result folders without a job, and for jobs whose result folder is gone; removes nothing. Exit code 0 if there
    /// are none, 3 if there are some, 5 if the folder has more entries than were looked at
    Fsck(FsckArguments),
    /// List the workers that were heard of not long ago
    Workers(WorkersArguments),
}

pub(crate) fn run(command: &JobsCommand) -> Result<(), Failure> {
    match command {
        JobsCommand::List(arguments) if arguments.watch => live::run(arguments),
        JobsCommand::List(arguments) => list::run(arguments),
        JobsCommand::Show(arguments) => show::run(arguments),
        JobsCommand::Watch(arguments) => watch::run(arguments),
        JobsCommand::Cancel(arguments) => change::run(Change::Cancel, arguments),
        JobsCommand::Retry(arguments) => change::run(Change::Retry, arguments),
        JobsCommand::Purge(arguments) => purge::run(arguments),
        JobsCommand::Fsck(arguments) => fsck::run(arguments),
        JobsCommand::Workers(arguments) => workers::run(arguments),
    }
}
