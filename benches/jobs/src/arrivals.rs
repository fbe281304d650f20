//! Jobs that come at their times.

use std::time::{Duration, Instant};

use nephrite_jobs::NewJob;

use crate::crew::submit;
use crate::numbers::Random;
use crate::place::Process;
use crate::tally::Tally;

/// When so many come, if so many come per second at random.
pub(crate) fn poisson(random: &mut Random, rate: f64, jobs: usize) -> Vec<f64> {
    let mut at = 0.0;
    let next = |_| {
        at += random.pause(rate);
        at
    };
    (0..jobs).map(next).collect()
}

/// Submits each job when it comes, seconds from now; one after another. The largest delay.
pub(crate) fn submit_at_their_times(
    process: &Process,
    tally: &Tally,
    jobs: impl IntoIterator<Item = (f64, NewJob)>,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut late = 0.0_f64;
    for (at, job) in jobs {
        let due = began + Duration::from_secs_f64(at);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        late = late.max(due.elapsed().as_secs_f64());
        submit(process, tally, job)?;
    }
    Ok(late)
}
