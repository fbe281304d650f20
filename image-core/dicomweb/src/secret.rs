//! Files that hold a token, or a user and a password.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use reqwest::RequestBuilder;

use crate::at::At;
use crate::error::DicomWebError;
use crate::settings::Credentials;

/// Most bytes of such a file.
const MAX_BYTES: u64 = 16 << 10;
/// Most bytes of a file of certificates.
const MAX_CERTIFICATES: u64 = 4 << 20;

/// A request that says who asks.
///
/// # Errors
/// [`DicomWebError::File`], which tells nothing of what a file holds.
pub(crate) fn authorized(
    request: RequestBuilder,
    credentials: Option<&Credentials>,
    at: &At,
) -> Result<RequestBuilder, DicomWebError> {
    Ok(match credentials {
        None => request,
        Some(Credentials::TokenFile(path)) => request.bearer_auth(line(path, at)?),
        Some(Credentials::BasicFile(path)) => {
            let pair = line(path, at)?;
            let pair = pair.split_once(':');
            let (user, password) = pair.ok_or_else(|| unusable(path, at, "expected user:password"))?;
            request.basic_auth(user, Some(password))
        }
    })
}

/// A file of certificates, which is read once.
///
/// # Errors
/// [`DicomWebError::File`]
pub(crate) fn certificates(path: &Path, at: &At) -> Result<Vec<u8>, DicomWebError> {
    read(path, at, MAX_CERTIFICATES)
}

/// Its only line.
fn line(path: &Path, at: &At) -> Result<String, DicomWebError> {
    let bytes = read(path, at, MAX_BYTES)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    if text.is_empty() || text.contains(char::is_control) {
        return Err(unusable(path, at, "expected one line of text"));
    }
    Ok(text.to_owned())
}

fn read(path: &Path, at: &At, max_bytes: u64) -> Result<Vec<u8>, DicomWebError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unusable(path, at, &error.to_string()))?;
    let read = file.take(max_bytes + 1).read_to_end(&mut bytes);
    read.map_err(|error| unusable(path, at, &error.to_string()))?;
    if bytes.len() as u64 > max_bytes {
        return Err(unusable(path, at, "it is too large"));
    }
    Ok(bytes)
}

pub(crate) fn unusable(path: &Path, at: &At, reason: &str) -> DicomWebError {
    DicomWebError::File {
        at: at.clone(),
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(make: fn(std::path::PathBuf) -> Credentials, content: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let request = reqwest::Client::new().get("http://a");
        let request = authorized(request, Some(&make(path)), &At::server("pacs"));
        let request = request.map_err(|error| error.to_string())?.build().unwrap();
        let value = &request.headers()["authorization"];
        assert!(value.is_sensitive());
        Ok(String::from_utf8(value.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn secrets_become_headers() {
        assert_eq!(header(Credentials::TokenFile, b"ab.c\n").unwrap(), "Bearer ab.c");
        // RFC 7617, 2 and 2.1
        let basic = header(Credentials::BasicFile, b"Aladdin:open sesame\n").unwrap();
        assert_eq!(basic, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let basic = header(Credentials::BasicFile, "test:123£".as_bytes()).unwrap();
        assert_eq!(basic, "Basic dGVzdDoxMjPCow==");
    }

    #[test]
    fn what_is_no_secret_is_refused_without_showing_it() {
        let large = vec![b'a'; 20_000];
        let cases: [(&[u8], &str); 4] = [
            (b"", "one line"),
            (b"hush\nhush", "one line"),
            (b"\xff\xfe", "one line"),
            (&large, "too large"),
        ];
        for (content, reason) in cases {
            let error = header(Credentials::TokenFile, content).unwrap_err();
            assert!(
                error.contains(reason) && error.contains("pacs") && !error.contains("hush"),
                "{error}"
            );
        }
        let error = header(Credentials::BasicFile, b"hush").unwrap_err();
        assert!(
            error.contains("user:password") && !error.contains("hush"),
            "{error}"
        );
    }
}
