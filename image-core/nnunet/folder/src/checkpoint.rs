//! The weights of one fold: which tensors a `.pth` holds, read one by one when they are wanted.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use indexmap::IndexMap;
use indexmap::map::Entry;
use nephrite_types::{CancelToken, Limits};

use crate::archive::Archive;
use crate::checkpoint_file::{CheckpointFile, archive_error, read_error};
use crate::pickle::{Pickle, PickleFault, StorageType, Value, ValueId};
use crate::tensor::TensorView;
use crate::tensor_names::{canonical, strip_prefixes};
use crate::{FolderError, TensorFault};

/// A `checkpoint_*.pth`: the weights of one fold and a few facts about its training. Weights stay in the file until
/// they are asked for.
///
/// The file is a zip archive written by `torch.save`; its pickle is read by a machine that executes nothing. Accepted
/// are the opcodes and functions that `torch.save` of a trainer's state needs. A call of anything in Python's
/// standard library is [`FolderError::ForbiddenGlobal`]; other unknown classes become placeholders that only matter
/// if a needed value depends on one.
#[derive(Debug)]
pub struct Checkpoint<R = CheckpointFile> {
    file: String,
    archive: Archive<R>,
    root: String,
    configuration: String,
    trainer_name: Option<String>,
    mirroring_axes: Option<Vec<usize>>,
    /// By canonical name, in file order.
    tensors: IndexMap<String, Stored>,
}

/// What a state dict holds under one name.
#[derive(Debug)]
struct Stored {
    name: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Tensor(TensorView),
    /// Anything else; an error only if it is asked for.
    Other(String),
}

/// Facts about a tensor, from the pickle alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Elements per axis, slowest first.
    pub shape: Vec<usize>,
    /// As stored.
    pub dtype: StorageType,
    /// Number of elements.
    pub n_params: usize,
}

/// Entries of a state dict; the largest networks have some thousands, aliases included.
const MAX_TENSORS: usize = 100_000;
const WEIGHTS: &str = "network_weights";
const MIRRORING: &str = "inference_allowed_mirroring_axes";

impl Checkpoint {
    /// Opens a file; `name` names it in errors. `cancel` stops this, and every later reading of tensors.
    ///
    /// # Errors
    /// As [`Checkpoint::from_reader`].
    pub fn open(file: File, name: &str, limits: &Limits, cancel: &CancelToken) -> Result<Self, FolderError> {
        Checkpoint::from_reader(CheckpointFile::new(file, cancel), name, limits)
    }
}

impl<R: Read + Seek> Checkpoint<R> {
    /// Reads the directory and the pickle, no weights; `name` names the file in errors.
    ///
    /// # Errors
    /// [`FolderError`]: not a checkpoint, truncated, damaged, over a limit, forbidden global, needed key missing or of
    /// the wrong type, a tensor that does not fit its storage.
    pub fn from_reader(mut reader: R, name: &str, limits: &Limits) -> Result<Self, FolderError> {
        let io = |cause| read_error(name, cause);
        check_format(&mut reader, name)?;
        let n_bytes = reader.seek(SeekFrom::End(0)).map_err(io)?;
        too_large(name, "the file", n_bytes, limits.max_checkpoint_bytes)?;
        let broken = |fault| archive_error(name, fault);
        let mut archive = Archive::open(reader).map_err(broken)?;
        let root = root_of(&archive, name)?;
        check_byte_order(&mut archive, &root, name)?;

        let member = format!("{root}/data.pkl");
        let n_bytes = archive.size(&member).unwrap_or(0);
        too_large(name, "its pickle", n_bytes, limits.max_pickle_bytes)?;
        let bytes = archive.read(&member, 0..n_bytes).map_err(broken)?;
        let pickle = parse_pickle(bytes, name)?;
        let top = TopLevelDict {
            file: name,
            pickle: &pickle,
        };
        let checkpoint = Checkpoint {
            configuration: top.configuration()?,
            trainer_name: top.trainer_name(),
            mirroring_axes: top.mirroring_axes()?,
            tensors: top.tensors()?,
            file: name.to_owned(),
            archive,
            root,
        };
        checkpoint.check_storages(limits)?;
        Ok(checkpoint)
    }

    /// `init_args["configuration"]`: which configuration of the plans this fold was trained with.
    pub fn configuration(&self) -> &str {
        &self.configuration
    }

    /// `trainer_name`, if the file has one.
    pub fn trainer_name(&self) -> Option<&str> {
        self.trainer_name.as_deref()
    }

    /// `inference_allowed_mirroring_axes`: spatial axes in network order; `None` if absent or None, then there is no
    /// mirroring, whatever is asked for.
    pub fn mirroring_axes(&self) -> Option<&[usize]> {
        self.mirroring_axes.as_deref()
    }

    /// Canonical names in file order, each once: prefixes stripped, aliases resolved.
    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Shape and type of a tensor; `None` if there is none of this canonical name.
    pub fn tensor_info(&self, name: &str) -> Option<TensorInfo> {
        match &self.tensors.get(name)?.content {
            Content::Tensor(view) => Some(TensorInfo {
                shape: view.shape.clone(),
                dtype: view.dtype,
                n_params: view.n_elements(),
            }),
            Content::Other(_) => None,
        }
    }

    /// True if the network was trained with BatchNorm (trainer `nnUNetTrainerBN`), whatever the plans say.
    pub fn has_batch_norm_statistics(&self) -> bool {
        self.tensors.keys().any(|name| name.ends_with(".running_mean"))
    }

    /// Bytes taken from the file so far.
    pub fn bytes_read(&self) -> u64 {
        self.archive.bytes_read()
    }

    /// Bytes of memory at the peak while [`Checkpoint::read_tensor_f32`] reads the tensor that takes most, the values that it
    /// gives among them. Nothing of what was read is kept here.
    pub fn largest_read_bytes(&self) -> u64 {
        let contents = self.tensors.values().map(|stored| &stored.content);
        let reads = contents.map(|content| match content {
            Content::Tensor(view) => self.read_bytes(view),
            Content::Other(_) => 0,
        });
        reads.max().unwrap_or(0)
    }

    fn read_bytes(&self, view: &TensorView) -> u64 {
        if view.n_elements() == 0 {
            return 0;
        }
        let range = view.byte_range();
        let stored = self.archive.read_bytes(&member_of(&self.root, view), &range);
        if view.is_f32_in_order() {
            return stored;
        }
        // the bytes as they are in the file, and the values that they become
        let values = (view.n_elements() as u64).saturating_mul(4);
        stored.max((range.end - range.start).saturating_add(values))
    }

    /// Reads one tensor, and of the file only the bytes that hold it. Elements are in C order (last axis fastest),
    /// rounded to f32.
    ///
    /// # Errors
    /// [`FolderError::MissingTensor`], [`FolderError::UnsupportedObject`], [`FolderError::Archive`] if its bytes are
    /// damaged.
    pub fn read_tensor_f32(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f32>), FolderError> {
        let missing = || FolderError::MissingTensor {
            file: self.file.clone(),
            name: name.to_owned(),
        };
        let stored = self.tensors.get(name).ok_or_else(missing)?;
        let view = match &stored.content {
            Content::Tensor(view) => view,
            Content::Other(what) => {
                return Err(FolderError::UnsupportedObject {
                    file: self.file.clone(),
                    key: format!("{WEIGHTS}.{}", stored.name),
                    global: what.clone(),
                });
            }
        };
        if view.n_elements() == 0 {
            return Ok((view.shape.clone(), Vec::new()));
        }
        let member = member_of(&self.root, view);
        let broken = |fault| archive_error(&self.file, fault);
        let values = if view.is_f32_in_order() {
            // Weights, nearly always: read to where they stay.
            let bits: Vec<f32> = self.archive.read_as(&member, view.byte_range()).map_err(broken)?;
            from_little_endian(bits)
        } else {
            view.to_f32(&self.archive.read(&member, view.byte_range()).map_err(broken)?)
        };
        Ok((view.shape.clone(), values))
    }

    /// Every storage must be in the archive and as long as the pickle says; all tensors together stay within the
    /// limit.
    fn check_storages(&self, limits: &Limits) -> Result<(), FolderError> {
        let mut total = 0u64;
        for stored in self.tensors.values() {
            let Content::Tensor(view) = &stored.content else {
                continue;
            };
            if view.n_elements() == 0 {
                continue;
            }
            let invalid = |fault| self.invalid(&stored.name, fault);
            let member = member_of(&self.root, view);
            let Some(found) = self.archive.size(&member) else {
                return Err(invalid(TensorFault::MissingStorage { member }));
            };
            let expected = view.storage_len.saturating_mul(view.dtype.n_bytes());
            if found < expected {
                return Err(invalid(TensorFault::ShortStorage {
                    member,
                    expected,
                    found,
                }));
            }
            let cost = self
                .archive
                .cost(&member, &view.byte_range())
                .max(4 * view.n_elements() as u64);
            total = total.saturating_add(cost);
        }
        too_large(
            &self.file,
            "all tensors together",
            total,
            limits.max_checkpoint_bytes,
        )
    }

    fn invalid(&self, name: &str, fault: TensorFault) -> FolderError {
        FolderError::InvalidTensor {
            file: self.file.clone(),
            name: shorten(name),
            fault,
        }
    }
}

/// Values whose bytes are those of the file.
fn from_little_endian(mut values: Vec<f32>) -> Vec<f32> {
    if cfg!(target_endian = "big") {
        values
            .iter_mut()
            .for_each(|v| *v = f32::from_bits(v.to_bits().swap_bytes()));
    }
    values
}

fn member_of(root: &str, view: &TensorView) -> String {
    format!("{root}/data/{}", view.storage)
}

fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

fn too_large(file: &str, what: &'static str, found: u64, limit: u64) -> Result<(), FolderError> {
    match found > limit {
        true => Err(FolderError::TooLarge {
            file: file.to_owned(),
            what,
            limit,
            found,
        }),
        false => Ok(()),
    }
}

/// Runs the pickle machine, with errors that name the file.
pub(crate) fn parse_pickle(bytes: Vec<u8>, file: &str) -> Result<Pickle, FolderError> {
    Pickle::parse(bytes).map_err(|fault| match fault {
        PickleFault::ForbiddenGlobal { module, name } => FolderError::ForbiddenGlobal {
            file: file.to_owned(),
            module,
            name,
        },
        fault => FolderError::Pickle {
            file: file.to_owned(),
            fault,
        },
    })
}

/// Tells the formats before PyTorch 1.6 apart from a broken archive.
fn check_format<R: Read + Seek>(reader: &mut R, file: &str) -> Result<(), FolderError> {
    /// Pickle of the integer that begins a file of PyTorch 0.1 to 1.5.
    const LEGACY_MAGIC: &[u8] = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";
    let io = |cause| read_error(file, cause);
    reader.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut head = Vec::new();
    reader.take(512).read_to_end(&mut head).map_err(io)?;
    let found = if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(());
    } else if head.is_empty() {
        "is empty"
    } else if head.starts_with(&[0x80])
        && head[1..]
            .get(1..)
            .is_some_and(|rest| rest.starts_with(LEGACY_MAGIC))
    {
        "is in the format of PyTorch before 1.6 (save it again with a newer one)"
    } else if head.get(257..262) == Some(b"ustar") {
        "is a tar archive, as PyTorch before 0.1.10 wrote (save it again with a newer one)"
    } else if head.starts_with(b"\x80") {
        "is a bare pickle"
    } else {
        "is not a zip archive"
    };
    Err(FolderError::NotACheckpoint {
        file: file.to_owned(),
        found,
    })
}

/// The folder inside the archive that holds everything; its name is arbitrary.
fn root_of<R: Read + Seek>(archive: &Archive<R>, file: &str) -> Result<String, FolderError> {
    let roots = archive
        .names()
        .filter_map(|name| name.strip_suffix("/data.pkl"))
        .filter(|root| !root.contains('/'));
    let roots: Vec<&str> = roots.take(2).collect();
    let found = match roots.as_slice() {
        [root] => return Ok((*root).to_owned()),
        [] => "is a zip archive without data.pkl",
        _ => "is a zip archive with more than one data.pkl",
    };
    Err(FolderError::NotACheckpoint {
        file: file.to_owned(),
        found,
    })
}

fn check_byte_order<R: Read + Seek>(
    archive: &mut Archive<R>,
    root: &str,
    file: &str,
) -> Result<(), FolderError> {
    let member = format!("{root}/byteorder");
    let Some(n_bytes) = archive.size(&member) else {
        return Ok(());
    }; // older files have none and are little-endian
    let found = archive
        .read(&member, 0..n_bytes.min(16))
        .map_err(|fault| archive_error(file, fault))?;
    match found.trim_ascii() == b"little" {
        true => Ok(()),
        false => Err(FolderError::ByteOrder {
            file: file.to_owned(),
            found: String::from_utf8_lossy(&found).into_owned(),
        }),
    }
}

/// The outermost dict of a checkpoint, from which the rest is read.
struct TopLevelDict<'a> {
    file: &'a str,
    pickle: &'a Pickle,
}

impl TopLevelDict<'_> {
    fn invalid(&self, key: &str, expected: &str, found: ValueId) -> FolderError {
        match self.pickle.value(found) {
            Value::Inert { .. } => FolderError::UnsupportedObject {
                file: self.file.to_owned(),
                key: key.to_owned(),
                global: self.pickle.describe(found),
            },
            _ => FolderError::InvalidValue {
                file: self.file.to_owned(),
                key: key.to_owned(),
                expected: expected.to_owned(),
                found: self.pickle.describe(found),
            },
        }
    }

    /// The value under a key, looked for in a dict that must be one.
    fn get(&self, dict: ValueId, dict_name: &str, key: &str) -> Result<Option<ValueId>, FolderError> {
        match self.pickle.dict(dict) {
            Some(_) => Ok(self.pickle.get(dict, key)),
            None => Err(self.invalid(dict_name, "a dict", dict)),
        }
    }

    fn require(&self, dict: ValueId, dict_name: &str, key: &str) -> Result<ValueId, FolderError> {
        self.get(dict, dict_name, key)?
            .ok_or_else(|| FolderError::MissingKey {
                file: self.file.to_owned(),
                key: key.to_owned(),
            })
    }

    fn top(&self, key: &str) -> Result<Option<ValueId>, FolderError> {
        self.get(self.pickle.root(), "the checkpoint", key)
    }

    fn configuration(&self) -> Result<String, FolderError> {
        let init_args = self.require(self.pickle.root(), "the checkpoint", "init_args")?;
        let configuration = self.require(init_args, "init_args", "configuration")?;
        match self.pickle.name(configuration) {
            Some(name) => Ok(name.to_owned()),
            None => Err(self.invalid("init_args.configuration", "a string", configuration)),
        }
    }

    fn trainer_name(&self) -> Option<String> {
        self.pickle
            .name(self.pickle.get(self.pickle.root(), "trainer_name")?)
            .map(shorten)
    }

    fn mirroring_axes(&self) -> Result<Option<Vec<usize>>, FolderError> {
        let Some(id) = self.top(MIRRORING)? else {
            return Ok(None);
        };
        if *self.pickle.value(id) == Value::None {
            return Ok(None);
        }
        let invalid = || self.invalid(MIRRORING, "None or distinct axes from 0 to 2", id);
        let items = self
            .pickle
            .sequence(id)
            .filter(|items| items.len() <= 3)
            .ok_or_else(invalid)?;
        let mut axes = Vec::new();
        for &item in items {
            let axis = self.pickle.int(item).and_then(|axis| usize::try_from(axis).ok());
            axes.push(
                axis.filter(|axis| *axis < 3 && !axes.contains(axis))
                    .ok_or_else(invalid)?,
            );
        }
        Ok(Some(axes))
    }

    /// All entries of the state dict by canonical name. The canonical entry is preferred to an alias; among equals the
    /// last one counts, as in PyTorch's own loading.
    fn tensors(&self) -> Result<IndexMap<String, Stored>, FolderError> {
        let weights = self.require(self.pickle.root(), "the checkpoint", WEIGHTS)?;
        let entries = self
            .pickle
            .dict(weights)
            .ok_or_else(|| self.invalid(WEIGHTS, "a dict of tensors", weights))?;
        if entries.len() > MAX_TENSORS {
            return Err(self.invalid(WEIGHTS, "a dict of at most 100000 tensors", weights));
        }
        let mut tensors: IndexMap<String, Stored> = IndexMap::new();
        for &(key, value) in entries {
            let Some(name) = self.pickle.name(key) else {
                return Err(self.invalid(WEIGHTS, "a dict with names for keys", key));
            };
            let content = match TensorView::read(self.pickle, value) {
                Some(Ok(view)) => Content::Tensor(view),
                Some(Err(fault)) => {
                    return Err(FolderError::InvalidTensor {
                        file: self.file.to_owned(),
                        name: shorten(name),
                        fault,
                    });
                }
                None => Content::Other(self.pickle.describe(value)),
            };
            let canonical = canonical(name);
            let is_alias = |name: &str| strip_prefixes(name) != canonical;
            let stored = Stored {
                name: name.to_owned(),
                content,
            };
            match tensors.entry(canonical.clone()) {
                Entry::Vacant(entry) => drop(entry.insert(stored)),
                Entry::Occupied(mut entry) if is_alias(&entry.get().name) || !is_alias(name) => {
                    entry.insert(stored);
                }
                Entry::Occupied(_) => {}
            }
        }
        if tensors.is_empty() {
            return Err(self.invalid(WEIGHTS, "a dict of at least one tensor", weights));
        }
        Ok(tensors)
    }
}
