//! What a case is: a name, a promise, where it can be run, and after which others.

use crate::kit::Kit;
use crate::stop::Stop;

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One operation, wherever it runs.
    Operation,
    /// What only a service can be sent: messages and paths.
    Service,
}

/// One thing that every operation must keep.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// As it stands in reports.
    pub name: &'static str,
    /// What it checks, in one sentence.
    pub checks: &'static str,
    /// Where it can be run.
    pub scope: Scope,
    /// Cases without which this one says nothing.
    pub(crate) needs: &'static [&'static str],
    pub(crate) run: fn(&Kit) -> Result<(), Stop>,
}

impl Case {
    pub(crate) const fn of_operation(
        name: &'static str,
        checks: &'static str,
        needs: &'static [&'static str],
        run: fn(&Kit) -> Result<(), Stop>,
    ) -> Case {
        Case {
            name,
            checks,
            scope: Scope::Operation,
            needs,
            run,
        }
    }

    pub(crate) const fn of_service(
        name: &'static str,
        checks: &'static str,
        needs: &'static [&'static str],
        run: fn(&Kit) -> Result<(), Stop>,
    ) -> Case {
        Case {
            name,
            checks,
            scope: Scope::Service,
            needs,
            run,
        }
    }
}
