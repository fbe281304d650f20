//! SHA-256 of a file as it lies on disk, taken while it is read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

use nephrite_types::CancelToken;
use sha2::{Digest, Sha256};

use crate::VolumeError;
use crate::source::Source;
use crate::unchanged::read_unchanged;

/// Bytes that are read at a time where nobody else sets the pace.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks under way to the thread that hashes; bounds memory.
const N_CHUNKS: usize = 4;

/// What a file held: of the bytes on disk, compressed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileHash {
    /// SHA-256.
    pub sha256: [u8; 32],
    /// Size of the file.
    pub bytes: u64,
}

/// The SHA-256 in hexadecimal, lower-case.
impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FileHash {
    /// Of a file that would hold these bytes.
    pub fn of(content: &[u8]) -> FileHash {
        FileHash {
            sha256: Sha256::digest(content).into(),
            bytes: content.len() as u64,
        }
    }

    /// Of two files that belong together, in this order: the SHA-256 of their two SHA-256, one after the other, and the bytes of both.
    pub fn of_two(first: FileHash, second: FileHash) -> FileHash {
        let both = [first.sha256, second.sha256].concat();
        FileHash {
            sha256: Sha256::digest(both).into(),
            bytes: first.bytes.saturating_add(second.bytes),
        }
    }

    /// From the SHA-256 in hexadecimal, as it is displayed; `None` for anything else.
    pub fn from_hex(sha256: &str, bytes: u64) -> Option<FileHash> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8); // below 16
        let digits = sha256.as_bytes().iter().map(digit).collect::<Option<Vec<u8>>>()?;
        let digits = <[u8; 64]>::try_from(digits).ok()?;
        Some(FileHash {
            sha256: std::array::from_fn(|i| digits[2 * i] << 4 | digits[2 * i + 1]),
            bytes,
        })
    }
}

/// Hashes a file from where it stands to its end; `name` stands in messages only.
///
/// # Errors
/// [`VolumeError::NotAFile`], [`VolumeError::Read`], [`VolumeError::Changed`], [`VolumeError::Cancelled`].
pub fn hash_file(file: File, name: &str, cancel: &CancelToken) -> Result<FileHash, VolumeError> {
    read_unchanged(&file, name, |file, size| {
        Hashing::new(file).finish(size, name, cancel)
    })
}

/// Hashes what passes.
pub(crate) struct Hashing<R> {
    inner: R,
    n_bytes: u64,
    hasher: Hasher,
    /// From the next read on, a thread of its own hashes.
    moves: bool,
}

enum Hasher {
    /// Between two reads. Of an uncompressed scan, the thread that reads waits for the one that converts anyway.
    Here(Sha256),
    /// On a thread of its own. Decompression sets the pace of a read; hashing beside it would add a sixth.
    Beside(HashThread),
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R) -> Self {
        Hashing {
            inner,
            n_bytes: 0,
            hasher: Hasher::Here(Sha256::new()),
            moves: false,
        }
    }

    /// Takes the rest as well. `size` bounds the time on a file that somebody makes longer meanwhile.
    pub(crate) fn finish(
        mut self,
        size: u64,
        name: &str,
        cancel: &CancelToken,
    ) -> Result<FileHash, VolumeError> {
        let mut chunk = Vec::new();
        while self.n_bytes < size {
            cancel.check()?;
            chunk.resize(CHUNK_BYTES, 0);
            let most = usize::try_from(size - self.n_bytes).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            match self.read(&mut chunk[..most]) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(read_error(name, source)),
            }
        }
        let hash = match self.hasher {
            Hasher::Here(hash) => hash,
            Hasher::Beside(thread) => thread.finish(),
        };
        Ok(FileHash {
            sha256: hash.finalize().into(),
            bytes: self.n_bytes,
        })
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let bytes = &buffer[..n];
        if std::mem::take(&mut self.moves)
            && let Hasher::Here(begun) = &self.hasher
        {
            self.hasher = Hasher::Beside(HashThread::start(begun.clone())?);
        }
        match &mut self.hasher {
            Hasher::Here(hash) => hash.update(bytes),
            Hasher::Beside(thread) => thread.update(bytes),
        }
        self.n_bytes += n as u64;
        Ok(n)
    }
}

impl<R: Read> Source for Hashing<R> {
    fn decompressed_from_here(&mut self) {
        self.moves = true;
    }
}

struct HashThread {
    full: SyncSender<Vec<u8>>,
    /// Buffers that were hashed.
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Sha256>,
}

impl HashThread {
    fn start(begun: Sha256) -> io::Result<HashThread> {
        let (full, to_hash) = mpsc::sync_channel::<Vec<u8>>(N_CHUNKS);
        let (hashed, empty) = mpsc::channel();
        let work = move || {
            let mut hash = begun;
            for chunk in to_hash {
                hash.update(&chunk);
                let _ = hashed.send(chunk); // at the end nobody wants it
            }
            hash
        };
        let thread = std::thread::Builder::new().name("hash".to_owned()).spawn(work)?;
        Ok(HashThread { full, empty, thread })
    }

    fn update(&mut self, bytes: &[u8]) {
        let mut chunk = self.empty.try_recv().unwrap_or_default();
        chunk.clear();
        chunk.extend_from_slice(bytes);
        self.full
            .send(chunk)
            .expect("the thread takes chunks until the channel closes");
    }

    fn finish(self) -> Sha256 {
        drop(self.full);
        self.thread.join().expect("hashing does not panic")
    }
}

fn read_error(name: &str, source: io::Error) -> VolumeError {
    VolumeError::Read {
        name: name.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::{Coded, ErrorCode, Limits};

    use super::*;
    use crate::header::{Version, tests::plain};
    use crate::{Reader, read_volume, read_volume_hashed};

    /// 300 × 211 × 17 voxels that deflate badly: several chunks, compressed or not.
    fn scan() -> Vec<u8> {
        let mut header = plain(Version::One, false);
        header.dim = [3, 300, 211, 17, 1, 1, 1, 1];
        let mut bytes = header.encode();
        let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
        bytes.extend((0..300 * 211 * 17 * 2).map(noise));
        bytes
    }

    /// The hash of one read is that of the bytes on disk, and the scan is the same.
    #[track_caller]
    fn check(bytes: &[u8]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan");
        std::fs::write(&path, bytes).unwrap();
        let open = || File::open(&path).unwrap();
        let (limits, cancel) = (Limits::default(), CancelToken::new());
        let (scan, hash) = read_volume_hashed(open(), "scan", Reader::SimpleItk, &limits, &cancel).unwrap();
        let expected = FileHash {
            sha256: Sha256::digest(bytes).into(),
            bytes: bytes.len() as u64,
        };
        assert_eq!(hash, expected);
        assert_eq!(hash_file(open(), "scan", &cancel).unwrap(), expected);
        let alone = read_volume(open(), "scan", Reader::SimpleItk, &limits, &cancel).unwrap();
        assert!(scan == alone);
    }

    #[test]
    fn the_hash_is_that_of_the_whole_file() {
        let plain = scan();
        let gzip = crate::tests::gzip(&plain);
        check(&plain);
        check(&gzip);
        // What the decoder does not look at counts, too: padding, and what follows the last gzip member.
        for bytes in [plain, gzip] {
            check(&[&bytes[..], &[0xab; 3_000_000]].concat());
        }
        let mut members: Vec<u8> = scan().chunks(1_000_001).flat_map(crate::tests::gzip).collect();
        check(&members);
        members.extend([0; 100]);
        check(&members);
    }

    #[test]
    fn a_hash_reads_like_that_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, b"").unwrap();
        let hash = hash_file(File::open(&path).unwrap(), "empty", &CancelToken::new()).unwrap();
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!((hash.to_string().as_str(), hash.bytes), (expected, 0));
    }

    #[test]
    fn folders_broken_scans_and_cancelled_callers_get_no_hash() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| File::open(folder.path().join(name)).unwrap();
        let cancel = CancelToken::new();
        let refused = hash_file(open("."), "f", &cancel).unwrap_err();
        assert!(matches!(refused, VolumeError::NotAFile { .. }));
        std::fs::write(folder.path().join("cut"), &scan()[..1000]).unwrap();
        let refused = read_volume_hashed(open("cut"), "cut", Reader::SimpleItk, &Limits::default(), &cancel)
            .unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidInput);
        cancel.cancel();
        let refused = hash_file(open("cut"), "cut", &cancel).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Cancelled);
    }

    #[test]
    fn a_hash_comes_back_from_its_digits_and_nothing_else_does() {
        let hash = FileHash::of(b"abc");
        let text = hash.to_string();
        assert_eq!(
            text,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(FileHash::from_hex(&text, 3), Some(hash));
        for wrong in [
            "",
            &text[1..],
            &text.replace('b', "g"),
            &format!("{text}00"),
            &"é".repeat(32),
        ] {
            assert_eq!(FileHash::from_hex(wrong, 3), None, "{wrong}");
        }
    }
}
