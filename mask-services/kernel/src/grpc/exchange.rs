//! Masks in messages: inside, or by path on the shared volume.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::Dir;
use nephrite_mask_codec::{EncodedMask, LabelTable, Mask};
use nephrite_proto::convert::{label_table, mask_labels, optional_path, path};
use nephrite_proto::v1::mask::Content;
use nephrite_proto::{ConvertError, v1};
use nephrite_root::remove_file_if_same;
use nephrite_types::{CancelToken, ErrorCode, FileIdentity, Limits, count};
use nephrite_volume::VolumeFiles;
use prost::Message as _;

use super::recent::message_of;
use crate::memory::{request_bytes, writing_bytes};
use crate::{MaskSize, OperationError, UnreadMask, write_mask};

/// Bytes of masks inside of one message; what is more goes by path.
pub const MAX_INLINE_BYTES: usize = 1 << 20;

/// The masks of one message on their way out: inside as long as they fit into [`MAX_INLINE_BYTES`] together, else in
/// files. The files are removed again unless [`Outgoing::sent`] is called.
#[derive(Debug)]
pub struct Outgoing<'a> {
    folder: Option<(&'a Dir, &'a Path)>,
    /// Begins the names of files.
    prefix: String,
    limits: &'a Limits,
    inline_bytes: usize,
    /// Names, and which files they were.
    written: Vec<(String, FileIdentity)>,
}

impl<'a> Outgoing<'a> {
    /// `folder` is open, with the path that the receiver knows it by; without one, each mask must fit into a message.
    /// Files are called `<prefix><number>.nii.gz`.
    pub fn new(folder: Option<(&'a Dir, &'a Path)>, prefix: String, limits: &'a Limits) -> Self {
        Outgoing {
            folder,
            prefix,
            limits,
            inline_bytes: 0,
            written: Vec::new(),
        }
    }

    /// One more mask, as the message states it.
    ///
    /// # Errors
    /// [`OperationError::Limit`] if it is too large for a message and there is no folder; what writing a file says.
    pub fn mask(&mut self, mask: &Arc<Mask>) -> Result<v1::Mask, OperationError> {
        self.mask_in(mask, |_| Ok::<_, OperationError>(()))
    }

    /// The same in a process with a bound on its memory: for a mask that goes to a file, `room` makes room for so many bytes,
    /// and what it gives is dropped once the file is written.
    ///
    /// # Errors
    /// As [`Outgoing::mask`], and what `room` says.
    pub fn mask_in<R, E: From<OperationError>>(
        &mut self,
        mask: &Arc<Mask>,
        room: impl FnOnce(u64) -> Result<R, E>,
    ) -> Result<v1::Mask, E> {
        let encoded = message_of(mask, MAX_INLINE_BYTES).map_err(OperationError::from)?;
        let bytes = encoded.encoded_len();
        // Without a folder, each may have the size of a message of its own; the receiver bounds the sum.
        let taken = if self.folder.is_some() {
            self.inline_bytes
        } else {
            0
        };
        let (content, labels) = match self.folder {
            _ if taken + bytes <= MAX_INLINE_BYTES => {
                self.inline_bytes += bytes;
                (Content::Encoded(Arc::unwrap_or_clone(encoded)), Vec::new())
            }
            Some((folder, path)) => {
                drop(encoded);
                let _room = room(writing_bytes(&MaskSize::of(mask)))?;
                let file = format!("{}{}.nii.gz", self.prefix, self.written.len());
                let written = write_mask(folder, &file, mask, self.limits)?;
                let path = path.join(&file).to_string_lossy().into_owned();
                self.written.push((file, written.header)); // one file, by its name
                (Content::Path(path), mask_labels(mask))
            }
            None => {
                let error = OperationError::Limit {
                    what: "a mask inside of a message (there is no exchange folder)",
                    found: bytes as u64,
                    limit: MAX_INLINE_BYTES as u64,
                };
                return Err(error.into());
            }
        };
        Ok(v1::Mask {
            content: Some(content),
            labels,
            grid: String::new(),
        })
    }

    /// Masks that went into files so far.
    pub fn n_files(&self) -> usize {
        self.written.len()
    }

    /// Keeps the files: the message that names them is complete.
    pub fn sent(mut self) {
        self.written.clear();
    }
}

impl Drop for Outgoing<'_> {
    fn drop(&mut self) {
        if let Some((folder, _)) = self.folder {
            for (file, written) in &self.written {
                let _ = remove_file_if_same(folder, file, written); // the error at hand says more
            }
        }
    }
}

/// A mask under a name.
pub(super) fn named(name: &str, mask: v1::Mask) -> v1::NamedMask {
    v1::NamedMask {
        name: name.to_owned(),
        mask: Some(mask),
    }
}

/// Whether a mask lies in a file beside its message.
pub fn is_in_file(wire: &v1::Mask) -> bool {
    matches!(wire.content, Some(Content::Path(_)))
}

/// A mask that came, not decoded yet.
pub(super) enum Incoming {
    Inline(Box<EncodedMask>),
    File(NamedFile),
}

/// A mask that a message names a file for.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What its ids mean.
    pub labels: LabelTable,
    /// The scan on whose voxels a DICOM object is read.
    pub grid: Option<PathBuf>,
}

impl NamedFile {
    /// Of a message; `None` for a mask inside of it.
    ///
    /// # Errors
    /// [`ConvertError`] for a message that says what none may say.
    pub fn of(wire: &v1::Mask) -> Result<Option<NamedFile>, ConvertError> {
        match &wire.content {
            Some(Content::Path(text)) => Ok(Some(NamedFile {
                path: path("mask.path", text)?,
                labels: label_table(&wire.labels)?,
                grid: optional_path("mask.grid", &wire.grid)?,
            })),
            _ => Ok(None),
        }
    }

    /// Refuses a grid beside a label map.
    ///
    /// # Errors
    /// [`OperationError::Other`]
    fn check_label_map(&self) -> Result<(), OperationError> {
        match &self.grid {
            None => Ok(()),
            Some(grid) => Err(OperationError::Other {
                code: ErrorCode::InvalidArgument,
                message: format!(
                    "mask.grid is {}, expected none: the label map {} has a grid of its own, and DICOM objects are read by an image core",
                    grid.display(),
                    self.path.display()
                ),
            }),
        }
    }
}

impl TryFrom<v1::Mask> for Incoming {
    type Error = ConvertError;

    fn try_from(wire: v1::Mask) -> Result<Self, ConvertError> {
        match wire.content {
            None => Err(ConvertError::Missing {
                field: "mask.content",
            }),
            Some(Content::Encoded(_)) if !wire.labels.is_empty() => Err(ConvertError::Value {
                field: "mask.labels",
                expected: "none beside an encoded mask, which has its own",
                found: count(wire.labels.len(), "label"),
            }),
            Some(Content::Encoded(_)) if !wire.grid.is_empty() => Err(ConvertError::Value {
                field: "mask.grid",
                expected: "none beside an encoded mask, which has its own",
                found: wire.grid.chars().take(64).collect(),
            }),
            Some(Content::Encoded(encoded)) => Ok(Incoming::Inline(Box::new(encoded.try_into()?))),
            Some(Content::Path(_)) => {
                let named = NamedFile::of(&wire)?;
                named.map(Incoming::File).ok_or(ConvertError::Missing {
                    field: "mask.content",
                })
            }
        }
    }
}

impl Incoming {
    /// Looks how large it is, in the message or in the header of its file; `open` opens a path where the sender may name
    /// one.
    pub(super) fn look(
        &self,
        open: impl FnOnce(&Path) -> Result<VolumeFiles, OperationError>,
        limits: &Limits,
    ) -> Result<Seen<'_>, OperationError> {
        Ok(match self {
            Incoming::Inline(encoded) => Seen::Inline(encoded),
            Incoming::File(file) => {
                file.check_label_map()?;
                let (path, labels) = (&file.path, &file.labels);
                Seen::File {
                    path,
                    labels,
                    unread: Box::new(UnreadMask::of(&open(path)?, &path.to_string_lossy(), limits)?),
                }
            }
        })
    }
}

/// A mask that came, its size known. A file is opened again when its turn comes.
pub(super) enum Seen<'a> {
    Inline(&'a EncodedMask),
    File {
        path: &'a Path,
        labels: &'a LabelTable,
        unread: Box<UnreadMask>,
    },
    /// Read by whoever reads files that are no label maps.
    Read(Box<Mask>),
}

impl Seen<'_> {
    pub(super) fn size(&self) -> MaskSize {
        match self {
            Seen::Inline(encoded) => MaskSize::of_encoded(encoded),
            Seen::File { unread, .. } => unread.size(),
            Seen::Read(mask) => MaskSize::of(mask),
        }
    }

    /// Decodes. Needs at most `budget` bytes in run form, which it takes from it. `room` hears how large a mask in a file
    /// turned out, before it is kept.
    pub(super) fn read<E: From<OperationError>>(
        self,
        open: impl FnOnce(&Path) -> Result<VolumeFiles, OperationError>,
        limits: &Limits,
        budget: &mut u64,
        cancel: &CancelToken,
        room: impl FnOnce(MaskSize) -> Result<(), E>,
    ) -> Result<Mask, E> {
        cancel.check().map_err(OperationError::from)?;
        let mask = match self {
            Seen::Inline(encoded) => {
                // A run has two boundaries at most, so it takes this much at least; what was decoded is counted below.
                let [nz, ny, _] = encoded.geometry.shape.zyx();
                let rows = (nz as u64).saturating_mul(ny as u64).saturating_mul(4);
                check_budget(rows.saturating_add(encoded.n_runs.saturating_mul(6)), *budget)?;
                encoded.decode(limits).map_err(OperationError::from)?
            }
            Seen::File { path, labels, unread } => {
                let files = open(path)?;
                let name = path.to_string_lossy();
                unread.read(files, &name, labels, limits, cancel, |size| {
                    check_budget(size.run_bytes(), *budget)?;
                    room(size)
                })?
            }
            Seen::Read(mask) => *mask,
        };
        let bytes = MaskSize::of(&mask).run_bytes();
        check_budget(bytes, *budget)?;
        *budget -= bytes;
        Ok(mask)
    }
}

/// A mask of a message, checked as what comes from outside must be; `open` opens a path where the sender may name one.
///
/// # Errors
/// [`OperationError`] if the message states no mask, if the mask is not what it states or too large, and what `open`
/// says.
pub fn receive_mask(
    wire: v1::Mask,
    open: impl Fn(&Path) -> Result<VolumeFiles, OperationError>,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Mask, OperationError> {
    receive_mask_in(wire, open, limits, cancel, |_| Ok::<_, OperationError>(()))
}

/// The same in a process with a bound on its memory: `room` makes sure that there is room for so many bytes in all. It is
/// asked before the mask is read, and once more for a mask in a file when its runs are counted.
///
/// # Errors
/// As [`receive_mask`], and what `room` says.
pub fn receive_mask_in<E: From<OperationError>>(
    wire: v1::Mask,
    open: impl Fn(&Path) -> Result<VolumeFiles, OperationError>,
    limits: &Limits,
    cancel: &CancelToken,
    mut room: impl FnMut(u64) -> Result<(), E>,
) -> Result<Mask, E> {
    let incoming = Incoming::try_from(wire).map_err(OperationError::other)?;
    let mut budget = limits.max_payload_bytes;
    let seen = incoming.look(&open, limits)?;
    room(request_bytes(&[seen.size()], 0))?;
    let larger = |size: MaskSize| room(request_bytes(&[size], 0));
    seen.read(open, limits, &mut budget, cancel, larger)
}

fn check_budget(found: u64, limit: u64) -> Result<(), OperationError> {
    if found > limit {
        return Err(OperationError::Limit {
            what: "the masks of a request, in run form,",
            found,
            limit,
        });
    }
    Ok(())
}
