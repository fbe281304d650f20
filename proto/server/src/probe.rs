//! The health check of a container that has neither shell nor curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nephrite_types::{Coded, ErrorCode};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::ServerError;

/// A server that does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Nobody answers.
    #[error("{address}: {source}")]
    Unreachable {
        /// Where it was asked.
        address: SocketAddr,
        /// What the transport said.
        source: tonic::transport::Error,
    },
    /// It answers with an error.
    #[error("{address}: {}", status.message())]
    Refused {
        /// Where it was asked.
        address: SocketAddr,
        /// The answer.
        status: Box<tonic::Status>,
    },
    /// It warms up or drains.
    #[error("{address}: not serving")]
    NotServing {
        /// Where it was asked.
        address: SocketAddr,
    },
    /// This process has no means to ask.
    #[error(transparent)]
    Server(#[from] ServerError),
}

impl Coded for ProbeError {
    fn code(&self) -> ErrorCode {
        match self {
            ProbeError::Server(error) => error.code(),
            _ => ErrorCode::Unavailable,
        }
    }
}

/// Asks the server that listens on `listen` for its health, as a container without a shell must.
///
/// # Errors
/// [`ProbeError`] unless it says SERVING within `patience`.
pub fn probe(listen: SocketAddr, patience: Duration) -> Result<(), ProbeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(ServerError::System)?
        .block_on(ask(reachable(listen), patience))
}

async fn ask(address: SocketAddr, patience: Duration) -> Result<(), ProbeError> {
    let unreachable = |source| ProbeError::Unreachable { address, source };
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(unreachable)?;
    let endpoint = endpoint.connect_timeout(patience).timeout(patience);
    let channel = endpoint.connect().await.map_err(unreachable)?;
    let answer = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    match answer {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Ok(()),
        Ok(_) => Err(ProbeError::NotServing { address }),
        Err(status) => Err(ProbeError::Refused {
            address,
            status: Box::new(status),
        }),
    }
}

/// Where a server that listens on all interfaces is reached from its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_interfaces_are_asked_on_this_machine() {
        for (listen, asked) in [
            ("0.0.0.0:5", "127.0.0.1:5"),
            ("[::]:5", "[::1]:5"),
            ("10.0.0.1:5", "10.0.0.1:5"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn nobody_there_is_unavailable() {
        let found = probe("127.0.0.1:1".parse().unwrap(), Duration::from_secs(1));
        assert_eq!(found.unwrap_err().code(), ErrorCode::Unavailable);
    }
}
