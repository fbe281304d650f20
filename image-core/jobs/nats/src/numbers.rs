//! Numbers of jobs.

/// Low bits of a number that say which process gave it.
const PROCESS_BITS: u32 = 10;

/// Gives numbers that grow, and that no other process gives.
#[derive(Debug)]
pub(crate) struct Numbers {
    process: u64,
    last: u64,
}

impl Numbers {
    /// Of the process with that number; those of 1024 processes that follow each other never give the same.
    pub(crate) fn new(process: u64) -> Numbers {
        Numbers {
            process: process % (1 << PROCESS_BITS),
            last: 0,
        }
    }

    /// A number that is larger than `others` and all that were given; as close to the time as that allows.
    pub(crate) fn next(&mut self, others: u64, now_unix_us: u64) -> u64 {
        let above = self.last.max(others);
        let stamp = |at: u64| (at >> PROCESS_BITS << PROCESS_BITS) | self.process;
        let mut number = stamp(now_unix_us);
        if number <= above {
            number = stamp(above);
        }
        if number <= above {
            number += 1 << PROCESS_BITS;
        }
        self.last = number;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_and_are_of_one_process() {
        let (mut a, mut b) = (Numbers::new(3), Numbers::new(1024 + 4));
        let mut all = Vec::new();
        let mut others = 0;
        for now in [5_000_000, 5_000_000, 4_000_000, 5_000_001, 9_000_000, 0] {
            for numbers in [&mut a, &mut b] {
                let number = numbers.next(others, now);
                assert!(number > others);
                others = number;
                all.push(number);
            }
        }
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        assert!(all.iter().step_by(2).all(|number| number % 1024 == 3));
        let near = Numbers::new(1).next(0, 5_000_000);
        assert!(near.abs_diff(5_000_000) <= 1024);
    }
}
