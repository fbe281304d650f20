//! Where a server listens, as people write it.

use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::{InvalidUri, Scheme};

/// Why a text is not the address of a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    /// It has characters or parts that no address has.
    #[error(transparent)]
    Malformed(#[from] InvalidUri),
    /// It is not of the form that all servers of ours have; they speak plain HTTP/2, and leave TLS to what stands before them.
    #[error("expected http://HOST:PORT")]
    NotAServer,
}

/// Reads `http://HOST:PORT`; a path may follow, which is for the caller to take or to refuse.
///
/// # Errors
/// [`AddressFault`] for anything without `http`, without a host, or with a user's name.
pub fn server_address(text: &str) -> Result<Uri, AddressFault> {
    let uri: Uri = text.parse()?;
    let has_host = (uri.authority())
        .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    if uri.scheme() == Some(&Scheme::HTTP) && has_host {
        Ok(uri)
    } else {
        Err(AddressFault::NotAServer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_http_and_a_host() {
        for good in [
            "http://a:1",
            "http://127.0.0.1:7443/",
            "http://[::1]:1/b",
            "http://core",
        ] {
            assert!(server_address(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "a:1",
            "/a",
            "https://a:1",
            "unix:///a",
            "http://",
            "http://:1",
            "http://u@a:1",
            "http://a b:1",
        ] {
            assert!(server_address(bad).is_err(), "{bad}");
        }
    }
}
