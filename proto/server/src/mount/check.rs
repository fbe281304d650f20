//! Asks other processes whether they see the same shared volume, by a file that only it can hold.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::fs::{Dir, OpenOptions};
use nephrite_proto::server_address;
use nephrite_proto::v1::CheckRequest;
use nephrite_proto::v1::mount_service_client::MountServiceClient;
use nephrite_root::{PathError, Root, remove_file_if_same};
use nephrite_types::{Coded, ErrorCode, FileIdentity, HiddenKind, HiddenName, with_causes};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::MAX_BYTES;
use crate::ServerError;

/// Before somebody is asked again who was not there.
const PAUSE: Duration = Duration::from_millis(200);

/// What another process sees of the shared volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFinding {
    /// What the configuration calls the process.
    pub name: String,
    /// Its address.
    pub url: String,
    /// The check file, as this process knows it. It is gone again.
    pub file: PathBuf,
    /// What the process saw.
    pub state: MountState,
}

/// See [`MountFinding`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountState {
    /// The file that this process wrote.
    Same,
    /// No such file, or another one: the volume is not mounted at the same path on both sides.
    Other {
        /// In its own words.
        reason: String,
    },
    /// It did not answer in time.
    Unreachable {
        /// What the transport said last.
        reason: String,
    },
    /// It has no `MountService`; plugins need not.
    NotOffered,
}

/// A sentence for a log or an error.
impl fmt::Display for MountFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MountFinding {
            name,
            url,
            file,
            state,
        } = self;
        let file = file.display();
        match state {
            MountState::Same => write!(f, "{name} ({url}) sees the same shared volume"),
            MountState::Other { reason } => write!(
                f,
                "{name} ({url}) does not see {file} that this process wrote: mount the shared volume at the same path in \
                 both (it says: {reason})"
            ),
            MountState::Unreachable { reason } => write!(
                f,
                "{name} ({url}) cannot be asked whether it sees the same shared volume: {reason}"
            ),
            MountState::NotOffered => write!(
                f,
                "{name} ({url}) does not offer to say whether it sees the same shared volume"
            ),
        }
    }
}

/// This process cannot ask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The folder cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The check file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// This process has no means to ask.
    #[error(transparent)]
    Server(#[from] ServerError),
}

impl Coded for MountError {
    fn code(&self) -> ErrorCode {
        match self {
            MountError::Path(error) => error.code(),
            MountError::Write { .. } => ErrorCode::Environment,
            MountError::Server(error) => error.code(),
        }
    }
}

/// Asks other processes, by name and address, whether they see a file that this one writes into `folder` beneath `root`,
/// at the same absolute path. All are asked at once; who is not there is asked again until `patience` is over. The file
/// is removed again. Blocks.
///
/// # Errors
/// [`MountError`] if the file cannot be written. What the others see is no error, but in the findings, which are in the
/// order of `endpoints`.
pub fn check_mounts(
    endpoints: &[(String, String)],
    root: &Root,
    folder: &Path,
    patience: Duration,
) -> Result<Vec<MountFinding>, MountError> {
    if endpoints.is_empty() {
        return Ok(Vec::new());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ServerError::System)?;
    let file = CheckFile::write(root, folder)?;
    let states = runtime.block_on(ask_all(endpoints, &file, patience));
    let findings = endpoints
        .iter()
        .zip(states)
        .map(|((name, url), state)| MountFinding {
            name: name.clone(),
            url: url.clone(),
            file: file.path.clone(),
            state,
        });
    Ok(findings.collect())
}

/// A file of random content, as long as this lives; locked, so that nobody sweeps it away.
struct CheckFile {
    folder: Dir,
    name: String,
    /// Absolute: as the others must know it.
    path: PathBuf,
    content: String,
    file: File,
}

impl CheckFile {
    fn write(root: &Root, folder: &Path) -> Result<CheckFile, MountError> {
        let open = root.open_writable_folder(folder)?;
        let name = HiddenName {
            kind: HiddenKind::Check,
            id: random(),
        };
        let name = name.to_string();
        let path = root.absolute(folder)?.join(&name);
        let failed = |source| MountError::Write {
            path: path.clone(),
            source,
        };
        let created = open.open_with(&name, OpenOptions::new().write(true).create_new(true));
        let mut file = CheckFile {
            file: created.map_err(failed)?.into_std(),
            path: path.clone(),
            folder: open,
            name,
            content: format!("{:016x}{:016x}", random(), random()),
        };
        let _ = file.file.try_lock(); // refused by some file systems
        // Removed if it was written in part, too.
        file.file.write_all(file.content.as_bytes()).map_err(failed)?;
        Ok(file)
    }

    /// Removes it, if its name still leads to it.
    fn remove(&self) -> io::Result<()> {
        let written = FileIdentity::of(&self.file)?;
        remove_file_if_same(&self.folder, &self.name, &written)?;
        Ok(())
    }
}

impl Drop for CheckFile {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(file = %self.path.display(), %error, "a check file could not be removed");
        }
    }
}

/// Not for secrets: the standard library seeds its hash maps with it.
fn random() -> u64 {
    RandomState::new().hash_one(file!())
}

async fn ask_all(endpoints: &[(String, String)], file: &CheckFile, patience: Duration) -> Vec<MountState> {
    let deadline = Instant::now() + patience;
    let mut asked = JoinSet::new();
    for (idx, (_, url)) in endpoints.iter().enumerate() {
        let (url, path) = (url.clone(), file.path.to_string_lossy().into_owned());
        let content = file.content.clone();
        asked.spawn(async move { (idx, ask(url, &path, &content, deadline).await) });
    }
    let mut states = asked.join_all().await;
    states.sort_by_key(|(idx, _)| *idx);
    states.into_iter().map(|(_, state)| state).collect()
}

async fn ask(url: String, path: &str, content: &str, deadline: Instant) -> MountState {
    let uri = match server_address(&url) {
        Ok(uri) => uri,
        Err(fault) => return unreachable(&fault),
    };
    let channel = Endpoint::from(uri).connect_lazy();
    let mut last = "no answer in time".to_owned();
    loop {
        match timeout_at(deadline, call(channel.clone(), path)).await {
            Ok(Ok(found)) if found == content.as_bytes() => return MountState::Same,
            Ok(Ok(_)) => {
                return MountState::Other {
                    reason: "another file is there".to_owned(),
                };
            }
            Ok(Err(status)) => match status.code() {
                Code::Unimplemented => return MountState::NotOffered,
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted => {
                    last = words(&status);
                }
                // The transport of this side: no HTTP/2 there, or the connection broke.
                _ if status.source().is_some() => last = words(&status),
                _ => {
                    return MountState::Other {
                        reason: words(&status),
                    };
                }
            },
            Err(_) => return MountState::Unreachable { reason: last },
        }
        if Instant::now() + PAUSE >= deadline {
            return MountState::Unreachable { reason: last };
        }
        sleep(PAUSE).await;
    }
}

async fn call(channel: Channel, path: &str) -> Result<Vec<u8>, Status> {
    let request = CheckRequest {
        path: path.to_owned(),
    };
    let client = MountServiceClient::new(channel).max_decoding_message_size(4 * MAX_BYTES);
    let answer = { client }.check(request).await?;
    Ok(answer.into_inner().content)
}

fn unreachable(error: &dyn Error) -> MountState {
    MountState::Unreachable {
        reason: bounded(with_causes(error.to_string(), error.source())),
    }
}

/// The message and its causes, bounded: it comes from outside.
fn words(status: &Status) -> String {
    bounded(with_causes(status.message().to_owned(), status.source()))
}

fn bounded(text: String) -> String {
    text.chars().take(1024).collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;
    use tonic::transport::Server;
    use tonic::transport::server::TcpIncoming;

    use super::*;
    use crate::mount_service;

    const PATIENCE: Duration = Duration::from_secs(5);

    async fn listen() -> (SocketAddr, TcpIncoming) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (listener.local_addr().unwrap(), TcpIncoming::from(listener))
    }

    /// A process that sees `folder` as its shared volume.
    async fn process(folder: &Path) -> String {
        let (address, incoming) = listen().await;
        let service = mount_service(Root::beneath(folder).unwrap());
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        format!("http://{address}")
    }

    /// One that offers something else.
    async fn plugin() -> String {
        let (address, incoming) = listen().await;
        let (_, service) = tonic_health::server::health_reporter();
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        format!("http://{address}")
    }

    async fn check(urls: &[&str], root: &Path, patience: Duration) -> Vec<MountFinding> {
        let endpoints: Vec<_> = urls
            .iter()
            .map(|url| ("kidney".to_owned(), (*url).to_owned()))
            .collect();
        let root = root.to_owned();
        let check = move || {
            let open = Root::beneath(&root).unwrap();
            let found = check_mounts(&endpoints, &open, Path::new("exchange"), patience).unwrap();
            assert_eq!(std::fs::read_dir(root.join("exchange")).unwrap().count(), 0);
            found
        };
        tokio::task::spawn_blocking(check).await.unwrap()
    }

    fn volume() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("exchange")).unwrap();
        folder
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_process_is_told_apart() {
        let (here, there) = (volume(), volume());
        let same = process(here.path()).await;
        let other = process(there.path()).await;
        let plugin = plugin().await;
        let urls = [same.as_str(), &other, &plugin, "http://127.0.0.1:1", "no address"];
        let began = Instant::now();
        let found = check(&urls, here.path(), Duration::from_secs(1)).await;
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        assert_eq!(found[0].state, MountState::Same);
        assert!(matches!(found[1].state, MountState::Other { .. }), "{}", found[1]);
        assert_eq!(found[2].state, MountState::NotOffered);
        for gone in &found[3..] {
            assert!(matches!(gone.state, MountState::Unreachable { .. }), "{gone}");
        }
        let text = found[1].to_string();
        let file = here.path().join("exchange/.nephrite-check-");
        let begin = format!("kidney ({other}) does not see {}", file.display());
        assert!(text.starts_with(&begin), "{text}");
        assert!(
            text.contains("mount the shared volume at the same path in both"),
            "{text}"
        );
        assert!(found[3].to_string().contains("cannot be asked"), "{}", found[3]);
    }

    /// The same path, but not the same file: a copy of the volume.
    #[tokio::test(flavor = "multi_thread")]
    async fn another_file_at_the_same_path_is_another_volume() {
        struct Copy;
        #[tonic::async_trait]
        impl nephrite_proto::v1::mount_service_server::MountService for Copy {
            async fn check(
                &self,
                _: tonic::Request<CheckRequest>,
            ) -> Result<tonic::Response<nephrite_proto::v1::CheckResponse>, Status> {
                let content = b"0123456789".to_vec();
                Ok(tonic::Response::new(nephrite_proto::v1::CheckResponse {
                    content,
                }))
            }
        }
        let (address, incoming) = listen().await;
        let service = nephrite_proto::v1::mount_service_server::MountServiceServer::new(Copy);
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        let here = volume();
        let found = check(&[&format!("http://{address}")], here.path(), PATIENCE).await;
        assert!(matches!(found[0].state, MountState::Other { .. }), "{}", found[0]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_that_comes_late_is_asked_again_and_one_that_hangs_is_given_up() {
        let here = volume();
        let (address, incoming) = listen().await;
        drop(incoming);
        let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = here.path().to_owned();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let incoming = TcpIncoming::bind(address).unwrap();
            let service = mount_service(Root::beneath(&folder).unwrap());
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
        });
        let urls = [
            format!("http://{address}"),
            format!("http://{}", hanging.local_addr().unwrap()),
        ];
        let found = check(&[&urls[0], &urls[1]], here.path(), Duration::from_secs(3)).await;
        assert_eq!(found[0].state, MountState::Same, "{}", found[0]);
        assert!(
            matches!(found[1].state, MountState::Unreachable { .. }),
            "{}",
            found[1]
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_of_this_process() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::beneath(folder.path()).unwrap();
        let endpoints = [("a".to_owned(), "http://127.0.0.1:1".to_owned())];
        let error = check_mounts(&endpoints, &root, Path::new("exchange"), PATIENCE).unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
    }
}
