//! Which step after which.

use std::collections::BTreeMap;

use crate::fault::{Fault, PipelineFault};
use crate::step::Step;

/// Every step after those that it needs, otherwise in the order given. Unknown steps and cycles are faults; of the steps
/// on a cycle, none is in the result. `lines` says where each step stands.
pub(crate) fn sorted(
    steps: Vec<(Step, usize)>,
    lines: &BTreeMap<String, usize>,
    faults: &mut Vec<Fault>,
) -> Vec<Step> {
    for (step, line) in &steps {
        for needed in step.needs() {
            if !lines.contains_key(needed) {
                faults.push(Fault {
                    line: *line,
                    fault: PipelineFault::UnknownStep {
                        key: format!("step {}", step.id()),
                        step: needed.to_owned(),
                    },
                });
            }
        }
    }
    let mut left: Vec<(Step, usize)> = steps;
    let mut done: Vec<Step> = Vec::with_capacity(left.len());
    loop {
        // What is not there is a fault already, and keeps nobody waiting.
        let ready = left.iter().position(|(step, _)| {
            let waits = |id: &str| left.iter().any(|(other, _)| other.id() == id);
            !step.needs().into_iter().any(waits)
        });
        match ready {
            Some(idx) => done.push(left.remove(idx).0),
            None => break,
        }
    }
    if let Some((first, _)) = left.first() {
        let steps = cycle(&left, first.id());
        let line = steps.first().and_then(|id| lines.get(id)).copied().unwrap_or(1);
        faults.push(Fault {
            line,
            fault: PipelineFault::Cycle { steps },
        });
    }
    done
}

/// From any step that waits, the needs of those that wait lead into a cycle.
fn cycle(left: &[(Step, usize)], from: &str) -> Vec<String> {
    let mut path: Vec<&str> = vec![from];
    loop {
        let last = path[path.len() - 1];
        let step = left.iter().find(|(step, _)| step.id() == last);
        let needs = step.map(|(step, _)| step.needs()).unwrap_or_default();
        let next = needs
            .into_iter()
            .find(|id| left.iter().any(|(step, _)| step.id() == *id));
        let Some(next) = next else {
            return path.into_iter().map(str::to_owned).collect();
        };
        if let Some(start) = path.iter().position(|id| *id == next) {
            path.push(next);
            return path[start..].iter().map(|id| (*id).to_owned()).collect();
        }
        path.push(next);
    }
}
