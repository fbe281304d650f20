//! [`ErrorCode`] ⇄ gRPC status, both ways and without loss.
//!
//! gRPC has one code where nephrite has two (a broken scan and a wrong option are both INVALID_ARGUMENT), so the name
//! of ours travels beside it in the metadata entry [`ERROR_CODE_KEY`]. A status without that entry, from a proxy or
//! from the transport, maps to the nearest code.

use nephrite_types::ErrorCode;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Metadata entry that names the [`ErrorCode`].
pub const ERROR_CODE_KEY: &str = "nephrite-error-code";

/// Bytes of a message that cross; clients bound the size of headers.
const MAX_MESSAGE_BYTES: usize = 2048;

/// The gRPC code that a generic client acts on.
pub fn grpc_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::InvalidArgument | ErrorCode::InvalidInput => Code::InvalidArgument,
        ErrorCode::NotFound => Code::NotFound,
        // The caller cannot mend these by changing the request, and a retry does not help.
        ErrorCode::InvalidModel | ErrorCode::Environment => Code::FailedPrecondition,
        // Not RESOURCE_EXHAUSTED: clients take that as a reason to try again later.
        ErrorCode::LimitExceeded => Code::OutOfRange,
        ErrorCode::PermissionDenied => Code::PermissionDenied,
        ErrorCode::AlreadyExists => Code::AlreadyExists,
        ErrorCode::Overloaded => Code::ResourceExhausted,
        ErrorCode::Cancelled => Code::Cancelled,
        ErrorCode::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::Internal => Code::Internal,
    }
}

/// The status of an error; the message is cut to 2 KiB. It is never empty, and never ends in white space: some clients show
/// nothing of one that does.
pub fn to_status(code: ErrorCode, message: &str) -> Status {
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES);
    let message = match message[..end].trim_end() {
        "" => code.name(),
        message => message,
    };
    let mut status = Status::new(grpc_code(code), message);
    let name = MetadataValue::from_static(code.name());
    status.metadata_mut().insert(ERROR_CODE_KEY, name);
    status
}

/// The code that [`to_status`] put in, or the nearest one to a foreign status.
pub fn error_code(status: &Status) -> ErrorCode {
    let name = status.metadata().get(ERROR_CODE_KEY);
    let named = name
        .and_then(|name| name.to_str().ok())
        .and_then(ErrorCode::from_name);
    named.unwrap_or_else(|| nearest(status.code()))
}

/// The code nearest to that of a foreign status, such as one that the transport makes itself.
pub fn nearest(code: Code) -> ErrorCode {
    match code {
        // A method that is not there is one that the request names wrongly.
        Code::InvalidArgument | Code::Unimplemented => ErrorCode::InvalidArgument,
        Code::NotFound => ErrorCode::NotFound,
        Code::FailedPrecondition => ErrorCode::Environment,
        Code::OutOfRange => ErrorCode::LimitExceeded,
        Code::PermissionDenied | Code::Unauthenticated => ErrorCode::PermissionDenied,
        Code::AlreadyExists => ErrorCode::AlreadyExists,
        Code::ResourceExhausted => ErrorCode::Overloaded,
        Code::Cancelled => ErrorCode::Cancelled,
        Code::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        Code::Unavailable => ErrorCode::Unavailable,
        _ => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_and_so_does_its_message() {
        for code in ErrorCode::ALL {
            let status = to_status(code, "naïve: a message");
            assert_eq!(status.code(), grpc_code(code));
            assert_eq!(error_code(&status), code);
            assert_eq!(status.message(), "naïve: a message");
            // The same over the wire: a status travels as HTTP headers.
            let response = status.into_http::<String>();
            let received = Status::from_header_map(response.headers()).unwrap();
            assert_eq!(error_code(&received), code);
            assert_eq!(received.message(), "naïve: a message");
        }
    }

    #[test]
    fn a_foreign_status_maps_to_a_code_with_the_same_grpc_code() {
        for code in ErrorCode::ALL {
            let foreign = Status::new(grpc_code(code), "");
            assert_eq!(grpc_code(error_code(&foreign)), grpc_code(code));
        }
        let mut status = Status::not_found("");
        let unknown = MetadataValue::from_static("no such code");
        status.metadata_mut().insert(ERROR_CODE_KEY, unknown);
        assert_eq!(error_code(&status), ErrorCode::NotFound);
        assert_eq!(error_code(&Status::data_loss("")), ErrorCode::Internal);
        assert_eq!(error_code(&Status::unimplemented("")), ErrorCode::InvalidArgument);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let status = to_status(ErrorCode::Internal, &"€".repeat(1000));
        assert_eq!(status.message().len(), 2046);
    }

    #[test]
    fn a_message_says_something_and_does_not_end_in_white_space() {
        let message = |text: &str| to_status(ErrorCode::InvalidInput, text).message().to_owned();
        assert_eq!(message("two\nlines \n"), "two\nlines");
        assert_eq!(message(&format!("{} x", "a".repeat(2047))), "a".repeat(2047));
        assert_eq!(message(" \n"), "invalid_input");
        assert_eq!(message(""), "invalid_input");
    }

    #[test]
    fn the_table_of_the_readme_is_this_mapping() {
        let readme = include_str!("../README.md");
        for code in ErrorCode::ALL {
            let mut grpc = String::new();
            for letter in format!("{:?}", grpc_code(code)).chars() {
                if letter.is_uppercase() && !grpc.is_empty() {
                    grpc.push('_');
                }
                grpc.extend(letter.to_uppercase());
            }
            let row = format!("| `{code}` | {grpc} |");
            assert!(readme.contains(&row), "{row}");
        }
    }
}
