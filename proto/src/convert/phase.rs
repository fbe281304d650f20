//! Contrast phases, from a message and back.

use nephrite_types::Phase;

use super::choice;
use crate::{ConvertError, v1};

impl From<Phase> for v1::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::NonContrast => v1::Phase::NonContrast,
            Phase::Arterial => v1::Phase::Arterial,
            Phase::PortalVenous => v1::Phase::PortalVenous,
            Phase::Delayed => v1::Phase::Delayed,
        }
    }
}

/// The phase that an optional field holds.
///
/// # Errors
/// [`ConvertError::NoChoice`]
pub fn optional_phase(field: &'static str, number: Option<i32>) -> Result<Option<Phase>, ConvertError> {
    let wire = choice::<v1::Phase>(field, number)?;
    Ok(wire.and_then(|wire| {
        Phase::ALL
            .into_iter()
            .find(|phase| v1::Phase::from(*phase) == wire)
    }))
}

/// The phase that a required field holds.
///
/// # Errors
/// [`ConvertError::Missing`] for the zero value, [`ConvertError::NoChoice`] for an unknown number.
pub fn phase(field: &'static str, number: i32) -> Result<Phase, ConvertError> {
    let given = (number != 0).then_some(number);
    optional_phase(field, given)?.ok_or(ConvertError::Missing { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_comes_back_and_what_is_none_is_refused() {
        for known in Phase::ALL {
            assert_eq!(phase("phase", v1::Phase::from(known).into()), Ok(known));
        }
        assert_eq!(phase("phase", 0), Err(ConvertError::Missing { field: "phase" }));
        assert!(v1::Phase::try_from(5).is_err(), "a new phase needs a conversion");
        assert!(phase("phase", 5).is_err() && phase("phase", -1).is_err());
        assert_eq!(optional_phase("phase", None), Ok(None));
        assert!(optional_phase("phase", Some(0)).is_err());
    }
}
