//! Files as the body of one request, read while it is sent.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use nephrite_root::Root;

use crate::http::Activity;
use crate::stow_file::StowFile;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
const PART_TYPE: &str = "Content-Type: application/dicom";

/// The name of the file that broke a body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Broken(Arc<Mutex<Option<String>>>);

impl Broken {
    fn set(&self, file: &StowFile) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(file.path.display().to_string());
    }

    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The pieces of a body. Marks the activity with each, since a slow server takes them slowly.
#[derive(Debug)]
pub(crate) struct StowBody {
    root: Arc<Root>,
    boundary: String,
    waiting: std::vec::IntoIter<StowFile>,
    open: Option<(StowFile, File, u64)>,
    is_closed: bool,
    activity: Activity,
    broken: Broken,
}

/// Bytes of the body.
pub(crate) fn length(files: &[StowFile], boundary: &str) -> u64 {
    let parts = files
        .iter()
        .map(|file| part(boundary).len() as u64 + file.size() + 2);
    parts.sum::<u64>() + end(boundary).len() as u64
}

impl StowBody {
    pub(crate) fn new(
        root: Arc<Root>,
        files: Vec<StowFile>,
        boundary: &str,
        activity: Activity,
        broken: Broken,
    ) -> Self {
        StowBody {
            root,
            boundary: boundary.to_owned(),
            waiting: files.into_iter(),
            open: None,
            is_closed: false,
            activity,
            broken,
        }
    }

    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        if let Some((file, content, left)) = self.open.take() {
            if left == 0 {
                self.check(&file, file.is_unchanged(&content))?;
                return Ok(Some(Bytes::from_static(b"\r\n")));
            }
            let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
            let mut content = content;
            let read = content.read_exact(&mut piece);
            self.check(&file, read.is_ok())?;
            let left = left - piece.len() as u64;
            self.open = Some((file, content, left));
            return Ok(Some(piece.into()));
        }
        if let Some(file) = self.waiting.next() {
            let opened = file.open(&self.root).ok().flatten();
            self.check(&file, opened.is_some())?;
            self.open = opened.map(|content| (file.clone(), content, file.size()));
            return Ok(Some(part(&self.boundary).into()));
        }
        let is_last = !std::mem::replace(&mut self.is_closed, true);
        Ok(is_last.then(|| end(&self.boundary).into()))
    }

    /// Ends the body in its middle if a file is not as it was: the server cannot take that for a whole one.
    fn check(&self, file: &StowFile, is_unchanged: bool) -> io::Result<()> {
        if is_unchanged {
            return Ok(());
        }
        self.broken.set(file);
        Err(io::Error::other("a file changed while it was sent"))
    }
}

impl Iterator for StowBody {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        self.activity.mark();
        self.piece().transpose()
    }
}

fn part(boundary: &str) -> String {
    format!("--{boundary}\r\n{PART_TYPE}\r\n\r\n")
}

fn end(boundary: &str) -> String {
    format!("--{boundary}--\r\n")
}
