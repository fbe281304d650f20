//! A client of one server.

use nephrite_types::CancelToken;

use crate::at::At;
use crate::caller::Caller;
use crate::error::DicomWebError;
use crate::http::Http;
use crate::settings::ServerSettings;

/// A client of one server. Its calls block, and are not for the threads of an async runtime.
#[derive(Debug)]
pub struct DicomWeb {
    http: Http,
    caller: Caller,
}

impl DicomWeb {
    /// Reads certificates; connects when something is asked for.
    ///
    /// # Errors
    /// [`DicomWebError::File`], [`DicomWebError::System`].
    pub fn new(settings: ServerSettings) -> Result<DicomWeb, DicomWebError> {
        let at = At::server(&settings.name);
        let is_private = settings.url.is_encrypted() || settings.url.is_loopback();
        if settings.credentials.is_some() && !is_private {
            tracing::warn!(
                server = settings.name,
                "credentials are sent over a connection that is not encrypted"
            );
        }
        Ok(DicomWeb {
            caller: Caller::new(&at)?,
            http: Http::new(settings, &at)?,
        })
    }

    pub(crate) fn at(&self) -> At {
        At::server(&self.http.settings.name)
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// Waits for a call, no longer than calls may take.
    ///
    /// # Errors
    /// Those of the call; [`DicomWebError::Cancelled`], [`DicomWebError::TimedOut`].
    pub(crate) fn block<T>(
        &self,
        at: &At,
        cancel: &CancelToken,
        call: impl Future<Output = Result<T, DicomWebError>>,
    ) -> Result<T, DicomWebError> {
        let longest = self.http.settings.transfer_timeout;
        self.caller.block(at, longest, cancel, call)
    }
}
