//! How long a network takes: as a whole, and step by step.

use crate::device::Mark;
use crate::step_time::StepTime;
use crate::{CudaError, Network};

impl Network {
    /// Milliseconds that each of `n` runs of the layers took, one right after the other, on whatever lies in the card's memory: without
    /// the tile before and the head after them. They are counted by the card's clock; by the machine's for a twin.
    ///
    /// # Errors
    /// [`CudaError::Memory`]; what the driver says.
    pub fn time(&self, n: usize) -> Result<Vec<f64>, CudaError> {
        let _turn = self.card().turn();
        let arena = self.memory()?;
        self.queue_layers(&arena)?; // which records it if it was not
        self.times(n, |_| self.queue_layers(&arena))
    }

    /// The layers step by step, each with the median of its times in `n` runs. As [`Network::time`], but steps are queued one by one: their
    /// sum is more than what a recorded run takes.
    ///
    /// # Errors
    /// [`CudaError::Memory`]; what the driver says.
    pub fn profile(&self, n: usize) -> Result<Vec<StepTime>, CudaError> {
        let _turn = self.card().turn();
        let arena = self.memory()?;
        let work = self.layers(&arena);
        let run = |i: usize| self.card().run(self.precision(), &work[i % work.len()]);
        (0..work.len()).try_for_each(run)?; // which loads what libraries load when it is first used
        let times = self.times(n * work.len(), run)?;
        let step_time = |(at, step)| {
            let of_step = times.iter().skip(at).step_by(work.len()).copied();
            StepTime::new(step, self.precision().element(), median(of_step.collect()))
        };
        Ok(self.steps().iter().enumerate().map(step_time).collect())
    }

    /// Queues `n` things, and says how long each took.
    fn times(&self, n: usize, queue: impl Fn(usize) -> Result<(), CudaError>) -> Result<Vec<f64>, CudaError> {
        let mut marks = vec![self.card().mark()?];
        for i in 0..n {
            queue(i)?;
            marks.push(self.card().mark()?);
        }
        self.card().watch(marks[n].wait())?;
        let time = |pair: &[Mark]| pair[1].milliseconds_since(&pair[0]);
        self.card().watch(marks.windows(2).map(time).collect())
    }
}

/// 0 if there are none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n => f64::midpoint(values[half], values[(n - 1) / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
