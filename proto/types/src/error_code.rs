//! The few kinds of failure that a caller can act on, with their names and exit codes.

/// The closed set of things that can go wrong, as a caller can act on them.
///
/// Every error enum of every crate maps to one of these ([`Coded`](crate::Coded)); the mapping to gRPC status codes
/// is in `nephrite-proto`, the mapping to exit codes is [`ErrorCode::exit_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request or command line itself is wrong (unknown option, contradictory parameters).
    InvalidArgument,
    /// A file or folder that the request names does not exist.
    NotFound,
    /// An input file is broken, or is not what the model needs (no volume, truncated, wrong shape).
    InvalidInput,
    /// A model folder is broken or not supported (malformed plans, missing tensor, unknown network).
    InvalidModel,
    /// A size is over a configured limit.
    LimitExceeded,
    /// A path leaves the configured root.
    PermissionDenied,
    /// What the request wants to make is there already.
    AlreadyExists,
    /// Too many requests run and wait already.
    Overloaded,
    /// What the request needs is not there now (provider does not load, disk full, folder not writable).
    Environment,
    /// The caller cancelled or went away.
    Cancelled,
    /// The caller's deadline passed.
    DeadlineExceeded,
    /// The server is shutting down or not ready yet.
    Unavailable,
    /// A bug in nephrite.
    Internal,
}

impl ErrorCode {
    /// All codes, for tables and round-trip tests.
    pub const ALL: [ErrorCode; 13] = [
        ErrorCode::InvalidArgument,
        ErrorCode::NotFound,
        ErrorCode::InvalidInput,
        ErrorCode::InvalidModel,
        ErrorCode::LimitExceeded,
        ErrorCode::PermissionDenied,
        ErrorCode::AlreadyExists,
        ErrorCode::Overloaded,
        ErrorCode::Environment,
        ErrorCode::Cancelled,
        ErrorCode::DeadlineExceeded,
        ErrorCode::Unavailable,
        ErrorCode::Internal,
    ];

    /// The name used in logs, reports and gRPC status details.
    pub fn name(self) -> &'static str {
        match self {
            ErrorCode::InvalidArgument => "invalid_argument",
            ErrorCode::NotFound => "not_found",
            ErrorCode::InvalidInput => "invalid_input",
            ErrorCode::InvalidModel => "invalid_model",
            ErrorCode::LimitExceeded => "limit_exceeded",
            ErrorCode::PermissionDenied => "permission_denied",
            ErrorCode::AlreadyExists => "already_exists",
            ErrorCode::Overloaded => "overloaded",
            ErrorCode::Environment => "environment",
            ErrorCode::Cancelled => "cancelled",
            ErrorCode::DeadlineExceeded => "deadline_exceeded",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Internal => "internal",
        }
    }

    /// The code with this name, if there is one.
    pub fn from_name(name: &str) -> Option<ErrorCode> {
        ErrorCode::ALL.into_iter().find(|code| code.name() == name)
    }

    /// The exit code of the command line: 2 command line wrong, 3 bad input, 4 bad model, 5 over a limit,
    /// 6 the environment failed, 130 cancelled.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorCode::InvalidArgument | ErrorCode::AlreadyExists => 2,
            ErrorCode::NotFound | ErrorCode::InvalidInput | ErrorCode::PermissionDenied => 3,
            ErrorCode::InvalidModel => 4,
            ErrorCode::LimitExceeded | ErrorCode::Overloaded => 5,
            ErrorCode::Environment | ErrorCode::Unavailable | ErrorCode::Internal => 6,
            ErrorCode::DeadlineExceeded => 6,
            ErrorCode::Cancelled => 130,
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
