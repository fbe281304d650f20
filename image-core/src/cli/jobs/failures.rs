//! What went wrong with some of several things.

use crate::cli::failure::Failure;

/// What went wrong with some of several things: the first failure is how the command ends, the others are printed.
#[derive(Debug, Default)]
pub(super) struct Failures {
    first: Option<Failure>,
}

impl Failures {
    pub(super) fn add(&mut self, failure: Failure) {
        match self.first {
            None => self.first = Some(failure),
            Some(_) => eprintln!("error: {}", failure.message),
        }
    }

    /// One that was printed already: it only decides how the command ends.
    pub(super) fn add_told(&mut self, failure: Failure) {
        self.first.get_or_insert(failure);
    }

    /// How the command ends.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.first.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::ErrorCode;

    use super::*;

    #[test]
    fn the_first_decides() {
        assert!(Failures::default().end().is_ok());
        let failure = |code: ErrorCode| Failure {
            code,
            message: code.to_string(),
        };
        for add in [Failures::add, Failures::add_told] {
            let mut failures = Failures::default();
            add(&mut failures, failure(ErrorCode::NotFound));
            add(&mut failures, failure(ErrorCode::Internal));
            assert_eq!(failures.end().unwrap_err().code, ErrorCode::NotFound);
        }
    }
}
