//! Answers other processes that ask what a check file on the shared volume holds.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use nephrite_proto::convert::path;
use nephrite_proto::v1::mount_service_server::{MountService, MountServiceServer};
use nephrite_proto::v1::{CheckRequest, CheckResponse};
use nephrite_proto::{ConvertError, status};
use nephrite_root::{PathError, Root};
use nephrite_types::{Coded, ErrorCode, HiddenName};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::MAX_BYTES;

/// Files that are read at once; a file system that hangs holds no more threads than these.
const MAX_AT_ONCE: usize = 4;

/// The service that tells others what lies in check files beneath `root`. It answers while the server still warms up:
/// others start at the same time, and ask.
pub fn mount_service(root: Root) -> MountServiceServer<impl MountService> {
    MountServiceServer::new(Mounts {
        root: Arc::new(root),
        turns: Arc::new(Semaphore::new(MAX_AT_ONCE)),
    })
}

struct Mounts {
    root: Arc<Root>,
    turns: Arc<Semaphore>,
}

#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("{}: no check file", path.display())]
    NoCheckFile { path: PathBuf },
}

impl Coded for CheckError {
    fn code(&self) -> ErrorCode {
        match self {
            CheckError::Convert(error) => error.code(),
            CheckError::Path(error) => error.code(),
            CheckError::NoCheckFile { .. } => ErrorCode::PermissionDenied,
        }
    }
}

#[tonic::async_trait]
impl MountService for Mounts {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let turn = self.turns.clone().acquire_owned().await;
        let root = self.root.clone();
        let read = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            read(&root, &request.into_inner().path)
        });
        let content = read.await.map_err(|_| Status::internal("a bug in nephrite"))?;
        let content = content.map_err(|error| status::to_status(error.code(), &error.to_string()))?;
        Ok(Response::new(CheckResponse { content }))
    }
}

/// What a check file holds. A larger file is none, whatever it is called.
fn read(root: &Root, text: &str) -> Result<Vec<u8>, CheckError> {
    let path = path("path", text)?;
    let no_check_file = || CheckError::NoCheckFile { path: path.clone() };
    let name = path.file_name().unwrap_or_default();
    if !name
        .as_encoded_bytes()
        .starts_with(HiddenName::CHECK_PREFIX.as_bytes())
    {
        return Err(no_check_file());
    }
    let mut content = Vec::new();
    let file = root.open_file(&path)?;
    let read = file.take(MAX_BYTES as u64 + 1).read_to_end(&mut content);
    read.map_err(|source| PathError::Io {
        path: path.clone(),
        source,
    })?;
    if content.len() > MAX_BYTES {
        return Err(no_check_file());
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_files_are_read_and_nothing_else_is() {
        let temp = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| std::fs::write(temp.path().join(name), content).unwrap();
        write(".nephrite-check-1", b"content");
        write(".nephrite-check-long", &[7; 65]);
        write("scan.nii.gz", b"scan");
        std::fs::create_dir(temp.path().join(".nephrite-check-folder")).unwrap();
        let inner = temp.path().join("root");
        std::fs::create_dir(&inner).unwrap();
        std::os::unix::fs::symlink("../.nephrite-check-1", inner.join(".nephrite-check-link")).unwrap();
        let root = Root::beneath(temp.path()).unwrap();
        let code = |name: &str| read(&root, name).map_err(|error| error.code());
        assert_eq!(code(".nephrite-check-1"), Ok(b"content".to_vec()));
        let absolute = temp.path().join(".nephrite-check-1");
        assert_eq!(code(absolute.to_str().unwrap()), Ok(b"content".to_vec()));
        for (name, expected) in [
            ("", ErrorCode::InvalidArgument),
            (".nephrite-check-\0", ErrorCode::InvalidArgument),
            ("scan.nii.gz", ErrorCode::PermissionDenied),
            (".nephrite-check-1/..", ErrorCode::PermissionDenied),
            (".nephrite-check-long", ErrorCode::PermissionDenied),
            (".nephrite-check-folder", ErrorCode::InvalidInput),
            (".nephrite-check-none", ErrorCode::NotFound),
            ("/etc/.nephrite-check-1", ErrorCode::PermissionDenied),
            ("../.nephrite-check-1", ErrorCode::PermissionDenied),
        ] {
            assert_eq!(code(name), Err(expected), "{name}");
        }
        let inner = Root::beneath(&inner).unwrap();
        let escaped = read(&inner, ".nephrite-check-link").unwrap_err();
        assert_eq!(escaped.code(), ErrorCode::PermissionDenied);
    }
}
