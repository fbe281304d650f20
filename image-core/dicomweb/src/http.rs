//! Requests and answers: credentials, busy servers, statuses, timeouts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use nephrite_types::with_causes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use tokio::time::Instant;

use crate::at::At;
use crate::error::DicomWebError;
use crate::media_type::MediaType;
use crate::retry;
use crate::secret::authorized;
use crate::settings::ServerSettings;
use crate::tls::client_config;

/// A server, as requests reach it.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    pub(crate) settings: ServerSettings,
}

/// When something last happened to a request whose body is sent.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    pub(crate) fn now() -> Activity {
        Activity(Arc::new(Mutex::new(Instant::now())))
    }

    /// Something happened.
    pub(crate) fn mark(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Http {
    /// # Errors
    /// [`DicomWebError::File`], [`DicomWebError::System`].
    pub(crate) fn new(settings: ServerSettings, at: &At) -> Result<Http, DicomWebError> {
        let builder = Client::builder()
            .tls_backend_preconfigured(client_config(&settings, at)?)
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(settings.timeout)
            .user_agent(concat!("nephrite/", env!("CARGO_PKG_VERSION")));
        let client = builder.build().map_err(|error| DicomWebError::System {
            at: at.clone(),
            reason: causes(error),
        })?;
        Ok(Http { client, settings })
    }

    /// Asks for something below the URL of the server; the answer has status 200 or 204.
    ///
    /// # Errors
    /// One for each kind of status; [`DicomWebError::Unreachable`], [`DicomWebError::TimedOut`], [`DicomWebError::Cut`].
    pub(crate) async fn get(
        &self,
        at: &At,
        path: &str,
        query: &[(&str, String)],
        accept: &str,
    ) -> Result<Answer, DicomWebError> {
        let request = || {
            let request = self.request(Method::GET, path, query).header(ACCEPT, accept);
            Ok((request, Activity::now()))
        };
        let answer = self.send(at, request).await?;
        match answer.response.status() {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(answer),
            _ => Err(answer.refusal()),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str, query: &[(&str, String)]) -> RequestBuilder {
        let request = self.client.request(method, self.settings.url.below(path, query));
        request.header(ACCEPT_ENCODING, "identity")
    }

    /// Sends a request, again while the server is busy and a try is left; `make` makes it anew for each try.
    ///
    /// # Errors
    /// [`DicomWebError::Busy`], [`DicomWebError::ComeBackLater`]; as [`Http::get`], but for other statuses.
    pub(crate) async fn send(
        &self,
        at: &At,
        mut make: impl FnMut() -> Result<(RequestBuilder, Activity), DicomWebError>,
    ) -> Result<Answer, DicomWebError> {
        let settings = &self.settings;
        let mut tries = 0;
        loop {
            tries += 1;
            let (request, activity) = make()?;
            let request = authorized(request, settings.credentials.as_ref(), at)?;
            let sent = within(at, settings.timeout, &activity, "no answer came", request.send()).await?;
            let response = sent.map_err(|error| failure(at, settings.timeout, error))?;
            let status = response.status();
            if !matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            ) {
                return Ok(Answer {
                    response,
                    at: at.clone(),
                    timeout: settings.timeout,
                });
            }
            let (at, status) = (at.clone(), status.as_u16());
            let told = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok());
            let wait = retry::wait(told, tries, SystemTime::now());
            if tries >= settings.max_tries {
                return Err(DicomWebError::Busy { at, status, tries });
            }
            if wait > settings.max_retry_wait {
                return Err(DicomWebError::ComeBackLater { at, status, wait });
            }
            tracing::info!(server = settings.name, status, ?wait, "the server is busy");
            drop(response);
            tokio::time::sleep(wait).await;
        }
    }
}

/// An answer that comes in.
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response,
    at: At,
    timeout: Duration,
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// True if it says that there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.status() == StatusCode::NO_CONTENT
    }

    /// How many bytes it says that it has.
    pub(crate) fn declared_bytes(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Its type, which must have this name.
    ///
    /// # Errors
    /// [`DicomWebError::ContentType`], also if it is compressed, which was not asked for.
    pub(crate) fn media_type(&self, expected: &'static str) -> Result<MediaType, DicomWebError> {
        let headers = self.response.headers();
        let wrong = |found: String| DicomWebError::ContentType {
            at: self.at.clone(),
            found,
            expected,
        };
        let encoding = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes());
        if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
            return Err(wrong("compressed".to_owned()));
        }
        let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let found = text
            .and_then(MediaType::parse)
            .ok_or_else(|| wrong("of no type".to_owned()))?;
        match found.name == expected {
            true => Ok(found),
            false => Err(wrong(found.name.chars().take(64).collect())),
        }
    }

    /// The next piece.
    ///
    /// # Errors
    /// [`DicomWebError::TimedOut`], [`DicomWebError::Cut`].
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, DicomWebError> {
        let (at, timeout, now) = (&self.at, self.timeout, Activity::now());
        let next = within(
            at,
            timeout,
            &now,
            "the answer did not go on",
            self.response.chunk(),
        );
        next.await?.map_err(|error| failure(at, timeout, error))
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`Answer::piece`]; [`DicomWebError::TooLarge`].
    pub(crate) async fn all(
        mut self,
        max_bytes: usize,
        what: &'static str,
    ) -> Result<Vec<u8>, DicomWebError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            if bytes.len() + piece.len() > max_bytes {
                return Err(DicomWebError::TooLarge {
                    at: self.at,
                    what,
                    limit: max_bytes as u64,
                    key: "max_json_bytes",
                });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// What its status means, if that is none of those that were hoped for.
    pub(crate) fn refusal(&self) -> DicomWebError {
        let (at, status) = (self.at.clone(), self.status().as_u16());
        match status {
            401 => DicomWebError::Unauthorized { at },
            403 => DicomWebError::Forbidden { at },
            404 | 410 => DicomWebError::NotFound { at },
            300..=399 => DicomWebError::Redirected {
                host: self.location().unwrap_or_else(|| "nowhere".to_owned()),
                at,
                status,
            },
            500..=599 => DicomWebError::ServerFailed { at, status },
            _ => DicomWebError::Refused { at, status },
        }
    }

    /// The host that a redirect names.
    fn location(&self) -> Option<String> {
        let text = self.response.headers().get(LOCATION)?.to_str().ok()?;
        let target = self.response.url().join(text).ok()?;
        Some(target.host_str()?.chars().take(255).collect())
    }
}

/// Waits for something to end, as long as something happens now and then.
async fn within<T>(
    at: &At,
    timeout: Duration,
    activity: &Activity,
    what: &'static str,
    work: impl Future<Output = T>,
) -> Result<T, DicomWebError> {
    let mut work = std::pin::pin!(work);
    loop {
        let until = activity.last() + timeout;
        match tokio::time::timeout_at(until, &mut work).await {
            Ok(done) => return Ok(done),
            Err(_) if activity.last() + timeout > until => {}
            Err(_) => {
                return Err(DicomWebError::TimedOut {
                    at: at.clone(),
                    what,
                    after: timeout,
                });
            }
        }
    }
}

fn failure(at: &At, timeout: Duration, error: reqwest::Error) -> DicomWebError {
    let at = at.clone();
    if error.is_timeout() {
        return DicomWebError::TimedOut {
            at,
            what: "there was no connection",
            after: timeout,
        };
    }
    let is_connect = error.is_connect();
    let reason = causes(error);
    match is_connect {
        true => DicomWebError::Unreachable { at, reason },
        false => DicomWebError::Cut { at, reason },
    }
}

/// What it says and why, without the URL.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    with_causes(error.to_string(), std::error::Error::source(&error))
}
