//! What workers without any overhead would do with the same jobs.

/// How long each job waits if so many workers take jobs in the order in which they come. Both slices are of the same jobs, by
/// their arrival.
pub(crate) fn waits(arrivals: &[f64], services: &[f64], workers: usize) -> Vec<f64> {
    let mut free = vec![0.0_f64; workers];
    let wait = |(arrival, service): (&f64, &f64)| {
        let Some(first) = free.iter_mut().min_by(|a, b| a.total_cmp(b)) else {
            return f64::INFINITY;
        };
        let start = arrival.max(*first);
        *first = start + service;
        start - arrival
    };
    arrivals.iter().zip(services).map(wait).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_wait_for_the_first_that_is_free() {
        assert_eq!(waits(&[0.0, 0.0, 0.5], &[1.0, 2.0, 1.0], 2), [0.0, 0.0, 0.5]);
        assert_eq!(waits(&[0.0, 5.0], &[1.0, 1.0], 1), [0.0, 0.0]);
    }
}
