//! What happened to every job, as those who did it saw it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::numbers::{percentile, rounded};

/// All jobs of a run. Times are seconds since it was made.
#[derive(Debug)]
pub(crate) struct Tally {
    began: Instant,
    jobs: Mutex<BTreeMap<String, Seen>>,
    gone: Mutex<BTreeMap<String, (f64, Parting)>>,
    calls: Mutex<BTreeMap<&'static str, Vec<f64>>>,
}

/// How a worker goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Nothing more is heard of it.
    Killed,
    /// It gives back what it has.
    Left,
}

/// What happened to a job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// When somebody began to submit it.
    pub(crate) submitted: f64,
    pub(crate) runs: Vec<Run>,
    /// When the engine took a result.
    pub(crate) completed: Vec<f64>,
}

/// One execution.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) worker: String,
    pub(crate) start: f64,
    /// When it stopped, or its worker was killed.
    pub(crate) end: Option<f64>,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            began: Instant::now(),
            jobs: Mutex::new(BTreeMap::new()),
            gone: Mutex::new(BTreeMap::new()),
            calls: Mutex::new(BTreeMap::new()),
        }
    }

    pub(crate) fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub(crate) fn submitted(&self, key: &str) {
        let now = self.now();
        self.jobs().entry(key.to_owned()).or_default().submitted = now;
    }

    pub(crate) fn started(&self, key: &str, worker: &str) {
        let start = self.now();
        let run = Run {
            worker: worker.to_owned(),
            start,
            end: None,
        };
        self.jobs().entry(key.to_owned()).or_default().runs.push(run);
    }

    pub(crate) fn stopped(&self, key: &str, worker: &str) {
        let now = self.now();
        if let Some(seen) = self.jobs().get_mut(key) {
            seen.close(worker, now);
        }
    }

    pub(crate) fn completed(&self, key: &str) {
        let now = self.now();
        self.jobs().entry(key.to_owned()).or_default().completed.push(now);
    }

    /// A worker goes. If it was killed, what it does from now on does not count.
    pub(crate) fn gone(&self, worker: &str, how: Parting) {
        let now = self.now();
        if how == Parting::Killed {
            self.jobs().values_mut().for_each(|seen| seen.close(worker, now));
        }
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.insert(worker.to_owned(), (now, how));
    }

    /// Who went, when and how.
    pub(crate) fn all_gone(&self) -> BTreeMap<String, (f64, Parting)> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a call of an engine; how long it takes is kept if `counts` says so.
    pub(crate) fn timed<T>(
        &self,
        what: &'static str,
        call: impl FnOnce() -> T,
        counts: impl FnOnce(&T) -> bool,
    ) -> T {
        let began = Instant::now();
        let answer = call();
        let ms = began.elapsed().as_secs_f64() * 1e3;
        if counts(&answer) {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.entry(what).or_default().push(ms);
        }
        answer
    }

    /// Milliseconds that calls took: how many there were, and percentiles.
    pub(crate) fn calls(&self) -> Value {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |ms: &[f64], part| rounded(percentile(ms, part), 2);
        let row = |(what, ms): (&&str, &Vec<f64>)| {
            let numbers = json!({"n": ms.len(), "p50": of(ms, 0.5), "p99": of(ms, 0.99), "max": of(ms, 1.0)});
            ((*what).to_owned(), numbers)
        };
        Value::Object(calls.iter().map(row).collect())
    }

    pub(crate) fn n_completed(&self) -> usize {
        let jobs = self.jobs();
        jobs.values().filter(|seen| !seen.completed.is_empty()).count()
    }

    /// All of it so far.
    pub(crate) fn all(&self) -> BTreeMap<String, Seen> {
        self.jobs().clone()
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn close(&mut self, worker: &str, now: f64) {
        let mut open = self.runs.iter_mut().rev();
        if let Some(run) = open.find(|run| run.worker == worker && run.end.is_none()) {
            run.end = Some(now);
        }
    }

    /// From submission to the first start.
    pub(crate) fn wait(&self) -> Option<f64> {
        self.runs.first().map(|run| run.start - self.submitted)
    }

    /// Whether two workers had it at the same time.
    pub(crate) fn overlaps(&self) -> bool {
        self.runs
            .windows(2)
            .any(|pair| pair[0].end.is_none_or(|end| end > pair[1].start))
    }
}

/// When each worker started its first job.
pub(crate) fn first_starts(jobs: &BTreeMap<String, Seen>) -> Vec<f64> {
    let mut first: BTreeMap<&str, f64> = BTreeMap::new();
    for run in jobs.values().flat_map(|seen| &seen.runs) {
        let start = first.entry(&run.worker).or_insert(run.start);
        *start = start.min(run.start);
    }
    first.into_values().collect()
}

/// Between the end of a job and the start of the next one, of each worker.
pub(crate) fn gaps(jobs: &BTreeMap<String, Seen>) -> Vec<f64> {
    let mut of: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for run in jobs.values().flat_map(|seen| &seen.runs) {
        if let Some(end) = run.end {
            of.entry(&run.worker).or_default().push((run.start, end));
        }
    }
    let gaps_of = |runs: &mut Vec<(f64, f64)>| -> Vec<f64> {
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        runs.windows(2).map(|pair| pair[1].0 - pair[0].1).collect()
    };
    of.values_mut().flat_map(gaps_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(worker: &str, start: f64, end: f64) -> Run {
        Run {
            worker: worker.to_owned(),
            start,
            end: Some(end),
        }
    }

    #[test]
    fn gaps_are_of_one_worker() {
        let seen = |runs: Vec<Run>| Seen {
            runs,
            ..Seen::default()
        };
        let jobs = BTreeMap::from([
            ("a".to_owned(), seen(vec![run("v", 0.0, 1.0)])),
            ("b".to_owned(), seen(vec![run("w", 0.0, 2.0), run("v", 1.5, 3.0)])),
        ]);
        assert_eq!(gaps(&jobs), [0.5]);
        assert_eq!(first_starts(&jobs), [0.0, 0.0]);
        assert!(jobs["b"].overlaps() && !jobs["a"].overlaps());
    }

    #[test]
    fn what_a_worker_does_after_it_was_killed_does_not_count() {
        let tally = Tally::new();
        tally.submitted("a");
        tally.started("a", "w");
        tally.gone("w", Parting::Killed);
        let end = tally.all()["a"].runs[0].end;
        assert!(end.is_some());
        tally.stopped("a", "w");
        assert_eq!(tally.all()["a"].runs[0].end, end);
        assert_eq!(tally.all_gone()["w"].1, Parting::Killed);
        assert_eq!(tally.n_completed(), 0);
    }
}
