//! Enums of messages, where 0 means that nobody chose.

use crate::ConvertError;

/// The choice that an optional enum field holds; `None` if it was left out.
///
/// # Errors
/// [`ConvertError::NoChoice`] for the zero value (`…_UNSPECIFIED`) and for unknown numbers.
pub fn choice<E>(field: &'static str, number: Option<i32>) -> Result<Option<E>, ConvertError>
where
    E: TryFrom<i32> + Default + PartialEq,
{
    let Some(number) = number else { return Ok(None) };
    match E::try_from(number) {
        Ok(value) if value != E::default() => Ok(Some(value)),
        _ => Err(ConvertError::NoChoice { field, number }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::Numerics;

    #[test]
    fn unspecified_and_unknown_numbers_are_refused() {
        let of = |number| choice::<Numerics>("numerics", number);
        assert_eq!(of(None), Ok(None));
        assert_eq!(of(Some(2)), Ok(Some(Numerics::Reference)));
        for number in [0, 3, -1, i32::MAX] {
            let refused = Err(ConvertError::NoChoice {
                field: "numerics",
                number,
            });
            assert_eq!(of(Some(number)), refused);
        }
    }
}
