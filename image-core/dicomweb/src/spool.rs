//! Instances on their way into a folder: each a file of its own, named by its UID once it is whole.

use std::collections::BTreeSet;
use std::io::{self, Seek as _, Write as _};

use cap_std::fs::{Dir, File, OpenOptions};

use crate::at::At;
use crate::error::DicomWebError;
use crate::instance_file::InstanceFile;
use crate::settings::TransferLimits;
use crate::uid::Uid;

/// The name of a part that is not whole.
const PARTIAL: &str = "part";
const PARTS: &str = "the answer";

/// The files of one series.
#[derive(Debug)]
pub(crate) struct Spool<'a> {
    at: &'a At,
    folder: &'a Dir,
    limits: &'a TransferLimits,
    /// Those that may come.
    listed: &'a BTreeSet<Uid>,
    /// Bytes that may still come in this call.
    left: u64,
    open: Option<Part>,
    came: BTreeSet<Uid>,
    bytes: u64,
}

#[derive(Debug)]
struct Part {
    file: File,
    bytes: u64,
}

impl<'a> Spool<'a> {
    /// Takes at most `left` bytes.
    pub(crate) fn new(
        at: &'a At,
        folder: &'a Dir,
        limits: &'a TransferLimits,
        listed: &'a BTreeSet<Uid>,
        left: u64,
    ) -> Self {
        Spool {
            at,
            folder,
            limits,
            listed,
            left,
            open: None,
            came: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Whole instances so far, and their bytes.
    pub(crate) fn came(&self) -> (&BTreeSet<Uid>, u64) {
        (&self.came, self.bytes)
    }

    /// Bytes that may still come.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Makes the names of the instances durable; their content is already.
    ///
    /// # Errors
    /// [`DicomWebError::Disk`]
    pub(crate) fn sync(&self) -> Result<(), DicomWebError> {
        match self.folder.open(".").and_then(|folder| folder.sync_all()) {
            // Some network file systems do not sync folders.
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => {
                Err(disk("the folder of a series", error))
            }
            _ => Ok(()),
        }
    }

    /// A part begins, which says that it has so many bytes.
    ///
    /// # Errors
    /// [`DicomWebError::TooLarge`], [`DicomWebError::Disk`].
    pub(crate) fn begin(&mut self, declared: Option<u64>) -> Result<(), DicomWebError> {
        self.check_size(declared.unwrap_or(0))?;
        if self.came.len() >= self.limits.max_instances {
            return Err(self.too_large(
                "instances of a series",
                self.limits.max_instances as u64,
                "max_instances",
            ));
        }
        let file = self.folder.open_with(
            PARTIAL,
            OpenOptions::new().read(true).write(true).create_new(true),
        );
        self.open = Some(Part {
            file: file.map_err(|source| disk(PARTIAL, source))?,
            bytes: 0,
        });
        Ok(())
    }

    /// More of it.
    ///
    /// # Errors
    /// As [`Spool::begin`].
    pub(crate) fn data(&mut self, data: &[u8]) -> Result<(), DicomWebError> {
        let bytes = self.open.as_ref().map_or(0, |part| part.bytes) + data.len() as u64;
        self.check_size(bytes)?;
        let part = self.open.as_mut().expect("a part begins before it goes on");
        part.bytes = bytes;
        part.file.write_all(data).map_err(|source| disk(PARTIAL, source))
    }

    /// It is whole, and gets its name.
    ///
    /// # Errors
    /// [`DicomWebError::NotTheInstance`], [`DicomWebError::Extra`], [`DicomWebError::Double`], [`DicomWebError::Disk`].
    pub(crate) fn end(&mut self) -> Result<(), DicomWebError> {
        let part = self.open.take().expect("a part begins before it ends");
        let mut file = part.file.into_std();
        file.rewind().map_err(|source| disk(PARTIAL, source))?;
        let read = InstanceFile::read(&file, self.limits.max_instance_bytes);
        let read = read.and_then(|read| match self.is_asked_for(&read) {
            true => Ok(read.instance),
            false => Err(format!("instance {} is of another series", read.instance)),
        });
        let uid = read.map_err(|reason| DicomWebError::NotTheInstance {
            at: self.at.clone(),
            what: format!("part {} of the answer", self.came.len() + 1),
            reason,
        })?;
        let (at, source_of_list) = (self.at.clone(), PARTS);
        if !self.listed.contains(&uid) {
            return Err(DicomWebError::Extra {
                at,
                uid,
                source_of_list,
            });
        }
        if self.came.contains(&uid) {
            return Err(DicomWebError::Double {
                at,
                uid,
                source_of_list,
            });
        }
        let name = file_name(&uid);
        file.sync_data().map_err(|source| disk(&name, source))?;
        let renamed = self.folder.rename(PARTIAL, self.folder, &name);
        renamed.map_err(|source| disk(&name, source))?;
        self.bytes += part.bytes;
        self.left -= part.bytes;
        self.came.insert(uid);
        Ok(())
    }

    fn is_asked_for(&self, file: &InstanceFile) -> bool {
        self.at.study_uid() == Some(&file.study) && self.at.series_uid() == Some(&file.series)
    }

    fn check_size(&self, bytes: u64) -> Result<(), DicomWebError> {
        if bytes > self.limits.max_instance_bytes {
            return Err(self.too_large(
                "bytes of an instance",
                self.limits.max_instance_bytes,
                "max_instance_bytes",
            ));
        }
        if bytes > self.left {
            return Err(self.too_large("bytes of one call", self.limits.max_bytes, "max_bytes"));
        }
        Ok(())
    }

    fn too_large(&self, what: &'static str, limit: u64, key: &'static str) -> DicomWebError {
        DicomWebError::TooLarge {
            at: self.at.clone(),
            what,
            limit,
            key,
        }
    }
}

/// The name of an instance's file.
pub(crate) fn file_name(uid: &Uid) -> String {
    format!("{uid}.dcm")
}

pub(crate) fn disk(what: &str, source: io::Error) -> DicomWebError {
    DicomWebError::Disk {
        what: what.to_owned(),
        source,
    }
}
