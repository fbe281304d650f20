//! Faults on their way to whoever wrote the file: so many that they can be read.

use crate::{Fault, FaultKind};

/// Faults that are told; of a file with more, the rest is counted.
const MAX_FAULTS: usize = 100;

#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    told: Vec<Fault>,
    left_out: usize,
}

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        if self.told.len() < MAX_FAULTS {
            self.told.push(fault);
        } else {
            self.left_out += 1;
        }
    }

    /// In the order of the file; what was left out is the last.
    pub(crate) fn in_order(mut self) -> Vec<Fault> {
        self.told.sort_by_key(|fault| (fault.line, fault.column));
        if let (1.., Some(last)) = (self.left_out, self.told.last()) {
            let (line, column) = (last.line, last.column);
            let kind = FaultKind::More { count: self.left_out };
            self.told.push(Fault { line, column, kind });
        }
        self.told
    }
}
