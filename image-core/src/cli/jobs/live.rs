//! `nephrite jobs list --watch`: the table, again and again.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use nephrite_proto::{Client, v1};

use super::filter::each_job;
use super::list::{ListArguments, as_json, table};
use super::patience::Patience;
use super::screen::{Screen, size_or_usual};
use super::stream;
use super::words::now_unix_ms;
use crate::cli::failure::Failure;
use crate::cli::signals;
use crate::cli::wait::wait;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// Shows the table until Ctrl-C, which is how it ends.
pub(super) fn run(arguments: &ListArguments) -> Result<(), Failure> {
    let cancel = signals::cancelled_by_signals();
    wait(&cancel, refresh(arguments))?.unwrap_or(Ok(()))
}

async fn refresh(arguments: &ListArguments) -> Result<(), Failure> {
    let client = Client::connect(&arguments.server.server).await?; // connects again by itself
    let (filter, limit) = (arguments.filter(), arguments.limit());
    let mut patience = Patience::default();
    let mut view = View::new(arguments.json);
    loop {
        let mut jobs = Vec::new();
        let listed = each_job(&client, &filter, limit, |job| jobs.push(job)).await;
        let pause = match listed {
            Ok(()) => {
                patience.renew();
                if !view.show(jobs) {
                    return Ok(());
                }
                EVERY
            }
            Err(error) => {
                let why = error.message.clone();
                let pause = patience.pause(error, Instant::now())?;
                view.connection_lost(&why);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// What stands on standard output.
struct View {
    is_json: bool,
    /// On a terminal.
    screen: Option<Screen>,
    jobs: Option<Vec<v1::Job>>,
    is_lost: bool,
}

impl View {
    fn new(is_json: bool) -> Self {
        let is_live = !is_json && std::io::stdout().is_terminal();
        View {
            is_json,
            screen: is_live.then(Screen::default),
            jobs: None,
            is_lost: false,
        }
    }

    /// Shows these jobs; false if nobody reads that.
    fn show(&mut self, jobs: Vec<v1::Job>) -> bool {
        self.is_lost = false;
        let is_news = self.jobs.as_ref() != Some(&jobs);
        let jobs = self.jobs.insert(jobs);
        if self.screen.is_some() {
            self.draw(None) // ages change each second
        } else if is_news && self.is_json {
            stream::print(&format!("{}\n", as_json(jobs)))
        } else if is_news {
            stream::print(&table(jobs, now_unix_ms()).to_text(None))
        } else {
            true
        }
    }

    /// Says once that the server is away.
    fn connection_lost(&mut self, why: &str) {
        let is_news = !std::mem::replace(&mut self.is_lost, true);
        if is_news {
            let line = format!("connection lost: {why}; trying again");
            if self.screen.is_some() {
                self.draw(Some(&line));
            } else {
                eprintln!("{line}");
            }
        }
    }

    /// Puts the table, and perhaps a line above it, on the terminal; false if that is gone.
    fn draw(&mut self, note: Option<&str>) -> bool {
        let Some(screen) = &mut self.screen else {
            return true;
        };
        let size = size_or_usual();
        let table = table(self.jobs.as_deref().unwrap_or_default(), now_unix_ms());
        let mut lines: Vec<String> = note.map(super::table::plain).into_iter().collect();
        lines.extend(table.lines(Some(size.columns)));
        stream::print(&screen.frame(&lines, size.rows))
    }
}
