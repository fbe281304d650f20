//! The connection, and what its errors mean.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use nephrite_jobs::JobError;
use tokio::sync::watch;

use crate::settings::{NatsSettings, address, unescaped};

/// An answer that takes longer does not come.
pub(crate) const ANSWER: Duration = Duration::from_secs(4);
/// How long a call waits for a connection that is away.
const AWAY: Duration = Duration::from_secs(3);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest pause before a lost connection is tried again.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// A connection over which nothing comes is tried so often.
const PING: Duration = Duration::from_secs(5);

/// The connection.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) context: Context,
    /// As it may be shown.
    pub(crate) address: String,
    /// Counts connections.
    pub(crate) connected: watch::Receiver<u64>,
}

impl Link {
    /// Connects; tries for a while if nobody answers.
    ///
    /// # Errors
    /// [`JobError::NotAllowed`], [`JobError::Unavailable`], [`JobError::OtherConfiguration`].
    pub(crate) async fn open(settings: &NatsSettings) -> Result<Link, JobError> {
        let servers = settings
            .servers()
            .map_err(|reason| JobError::OtherConfiguration {
                what: "jobs kept by NATS".to_owned(),
                reason,
            })?;
        let address = address(&servers);
        let (count, connected) = watch::channel(0);
        let began = Instant::now();
        loop {
            let left = settings.connect_timeout.saturating_sub(began.elapsed());
            let options = options(settings, &servers, &address, count.clone()).await?;
            let options = options.connection_timeout(left.clamp(PAUSE, ANSWER));
            let error = match options.connect(&servers).await {
                Ok(client) => {
                    let mut context = jetstream::new(client.clone());
                    context.set_timeout(ANSWER);
                    return Ok(Link {
                        client,
                        context,
                        address,
                        connected,
                    });
                }
                Err(error) => error,
            };
            let reason = error.to_string();
            match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    return Err(JobError::NotAllowed { address, reason });
                }
                _ if began.elapsed() + PAUSE >= settings.connect_timeout => {
                    return Err(JobError::Unavailable { address, reason });
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Waits a while for a connection that is away.
    ///
    /// # Errors
    /// [`JobError::Unavailable`]
    pub(crate) async fn wait(&self) -> Result<(), JobError> {
        let began = Instant::now();
        while self.client.connection_state() != State::Connected {
            if began.elapsed() >= AWAY {
                return Err(self.away("not connected"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Nobody answers.
    pub(crate) fn away(&self, reason: impl Display) -> JobError {
        JobError::Unavailable {
            address: self.address.clone(),
            reason: reason.to_string(),
        }
    }

    /// What the server refused about a stream.
    pub(crate) fn refused(&self, stream: &str, error: &jetstream::Error) -> JobError {
        if error.code() == 503 {
            return self.away(error); // no leader now
        }
        JobError::Store {
            path: PathBuf::from(format!("{}/{stream}", self.address)),
            reason: error.to_string(),
        }
    }

    /// An error with one of the server's in it, or none.
    pub(crate) fn fault<E: std::error::Error>(&self, stream: &str, error: &E) -> JobError {
        match server_error(error) {
            Some(said) => self.refused(stream, said),
            None => self.away(error),
        }
    }
}

/// What the server said, if the error comes from there.
pub(crate) fn server_error<'a>(error: &'a dyn std::error::Error) -> Option<&'a jetstream::Error> {
    let source: &'a (dyn std::error::Error + 'static) = error.source()?;
    source.downcast_ref()
}

async fn options(
    settings: &NatsSettings,
    servers: &[ServerAddr],
    address: &str,
    count: watch::Sender<u64>,
) -> Result<ConnectOptions, JobError> {
    let mut options = ConnectOptions::new()
        .name("nephrite")
        .request_timeout(Some(ANSWER))
        .ping_interval(PING)
        .reconnect_delay_callback(|tries| {
            let doubled = 1_u32 << tries.min(10);
            MAX_PAUSE.min(Duration::from_millis(5) * doubled)
        })
        .event_callback(move |event| {
            match event {
                Event::Connected => {
                    tracing::info!("connected to NATS");
                    count.send_modify(|count| *count += 1);
                }
                Event::Disconnected => tracing::warn!("the connection to NATS is lost"),
                other => tracing::debug!(%other, "NATS"),
            }
            std::future::ready(())
        });
    let user = servers.iter().find(|server| server.has_user_pass());
    if let Some((server, user)) = user.and_then(|server| server.username().map(|user| (server, user))) {
        options = match server.password() {
            Some(password) => options.user_and_password(unescaped(user), unescaped(password)),
            None => options.token(unescaped(user)),
        };
    }
    if let Some(file) = &settings.ca_file {
        readable(file, address)?;
        options = options.add_root_certificates(file.clone());
    }
    if let Some(file) = &settings.credentials {
        let read = options.credentials_file(file).await;
        options = read.map_err(|error| unreadable(file, address, &error))?;
    }
    Ok(options)
}

/// A file that is not there would be said without its name otherwise.
fn readable(file: &Path, address: &str) -> Result<(), JobError> {
    let opened = std::fs::File::open(file);
    opened
        .map(drop)
        .map_err(|error| unreadable(file, address, &error))
}

fn unreadable(file: &Path, address: &str, error: &std::io::Error) -> JobError {
    JobError::NotAllowed {
        address: address.to_owned(),
        reason: format!("{}: {error}", file.display()),
    }
}
