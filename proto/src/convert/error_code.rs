//! What can go wrong.

use nephrite_types::ErrorCode;

use crate::v1;

impl From<ErrorCode> for v1::ErrorCode {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InvalidArgument => v1::ErrorCode::InvalidArgument,
            ErrorCode::NotFound => v1::ErrorCode::NotFound,
            ErrorCode::InvalidInput => v1::ErrorCode::InvalidInput,
            ErrorCode::InvalidModel => v1::ErrorCode::InvalidModel,
            ErrorCode::LimitExceeded => v1::ErrorCode::LimitExceeded,
            ErrorCode::PermissionDenied => v1::ErrorCode::PermissionDenied,
            ErrorCode::AlreadyExists => v1::ErrorCode::AlreadyExists,
            ErrorCode::Overloaded => v1::ErrorCode::Overloaded,
            ErrorCode::Environment => v1::ErrorCode::Environment,
            ErrorCode::Cancelled => v1::ErrorCode::Cancelled,
            ErrorCode::DeadlineExceeded => v1::ErrorCode::DeadlineExceeded,
            ErrorCode::Unavailable => v1::ErrorCode::Unavailable,
            ErrorCode::Internal => v1::ErrorCode::Internal,
        }
    }
}

/// The code that a message has; `None` if this version does not know it.
pub fn error_code_of(value: i32) -> Option<ErrorCode> {
    let wire = v1::ErrorCode::try_from(value).ok()?;
    ErrorCode::ALL
        .into_iter()
        .find(|code| v1::ErrorCode::from(*code) == wire)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_under_its_name() {
        for code in ErrorCode::ALL {
            let wire = v1::ErrorCode::from(code);
            assert_eq!(error_code_of(wire.into()), Some(code));
            let name = format!("ERROR_CODE_{}", code.name().to_uppercase());
            assert_eq!(wire.as_str_name(), name);
        }
        assert_eq!(error_code_of(0), None);
        assert_eq!(error_code_of(99), None);
    }
}
