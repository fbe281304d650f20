//! A zip reader that trusts no size.
//!
//! It reads what `torch.save` writes: one file, stored members (deflated ones are accepted), ZIP64 or not. Everything
//! that the directory claims is checked against the length of the file before memory is taken for it, and members may
//! not overlap, so what can be read is never more than the file holds (times the ratio of deflate, which is capped).
//!
//! Source: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16, 4.5.3.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use bytemuck::Pod;
use flate2::read::DeflateDecoder;
use indexmap::IndexMap;

const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END_LEN: u64 = 22;
const MAX_COMMENT_LEN: u64 = 0xFFFF;
const END64_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
const END64_LEN: u64 = 56;
const LOCATOR64_SIGNATURE: [u8; 4] = *b"PK\x06\x07";
const LOCATOR64_LEN: u64 = 20;
const ENTRY_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const ENTRY_LEN: usize = 46;
const LOCAL_SIGNATURE: [u8; 4] = *b"PK\x03\x04";
const LOCAL_LEN: u64 = 30;
const ZIP64_EXTRA: u16 = 0x0001;
const FLAG_ENCRYPTED: u16 = 1;

/// Members of one archive; a checkpoint has a few hundred.
const MAX_MEMBERS: u64 = 100_000;
/// Bytes of a member's name.
const MAX_NAME_LEN: usize = 1024;
/// Bytes of the directory of all members.
const MAX_DIRECTORY_BYTES: u64 = 32 << 20;
/// No deflate stream expands by more (zlib's own bound).
const MAX_DEFLATE_RATIO: u64 = 1032;

/// What is wrong with a zip archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveFault {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Io(std::io::Error),
    /// The file ends before its directory.
    #[error("it has no end record, so it is truncated")]
    NoEndRecord,
    /// Something lies outside the file.
    #[error("{what} lies outside the file of {file_len} bytes, so it is truncated")]
    OutsideFile {
        /// What.
        what: &'static str,
        /// Length of the file.
        file_len: u64,
    },
    /// A record does not begin with its signature, or contradicts itself.
    #[error("{what} is malformed")]
    Malformed {
        /// Which record.
        what: &'static str,
    },
    /// More members, longer names or a longer directory than any checkpoint has.
    #[error("{what} {found} is over the limit of {limit}")]
    TooMany {
        /// What.
        what: &'static str,
        /// As claimed.
        found: u64,
        /// As allowed.
        limit: u64,
    },
    /// Encrypted or compressed in a way that torch.save never uses.
    #[error("member {name} is encrypted or compressed by method {method}")]
    Method {
        /// Which member.
        name: String,
        /// Of compression.
        method: u16,
    },
    /// Two members of the same name.
    #[error("member {name} occurs twice")]
    Duplicate {
        /// Which member.
        name: String,
    },
    /// Two members share bytes.
    #[error("member {name} overlaps what follows it")]
    Overlap {
        /// Which member.
        name: String,
    },
    /// A stored member whose two sizes differ, or a deflated one that claims too much.
    #[error("member {name} claims {size} bytes from {compressed} stored ones")]
    Sizes {
        /// Which member.
        name: String,
        /// Claimed.
        size: u64,
        /// In the file.
        compressed: u64,
    },
    /// The member's bytes are not those that were written.
    #[error("member {name} is damaged")]
    Damaged {
        /// Which member.
        name: String,
    },
    /// A needed member is not there.
    #[error("member {name} is missing")]
    Missing {
        /// Which member.
        name: String,
    },
}

impl From<std::io::Error> for ArchiveFault {
    fn from(error: std::io::Error) -> Self {
        ArchiveFault::Io(error)
    }
}

#[derive(Debug, Clone)]
struct Member {
    header_offset: u64,
    /// First byte that belongs to something else: the next member's header, or the directory.
    end_bound: u64,
    compressed: u64,
    size: u64,
    /// 0 if the writer did not compute it.
    crc32: u32,
    is_deflated: bool,
}

/// An opened archive.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    reader: R,
    file_len: u64,
    members: IndexMap<String, Member>,
    bytes_read: u64,
}

struct Directory {
    offset: u64,
    len: u64,
    n_members: u64,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory.
    pub(crate) fn open(mut reader: R) -> Result<Self, ArchiveFault> {
        let file_len = reader.seek(SeekFrom::End(0))?;
        let mut archive = Archive {
            reader,
            file_len,
            members: IndexMap::new(),
            bytes_read: 0,
        };
        let directory = archive.find_directory()?;
        archive.read_directory(&directory)?;
        Ok(archive)
    }

    /// Names of all members, in the order of the directory.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Bytes of a member once read.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        self.members.get(name).map(|member| member.size)
    }

    /// Bytes that reading the member up to `end` takes from the file and through the decompressor.
    pub(crate) fn cost(&self, name: &str, range: &Range<u64>) -> u64 {
        match self.members.get(name) {
            Some(member) if member.is_deflated => range.end, // no way to begin in the middle
            _ => range.end.saturating_sub(range.start),
        }
    }

    /// Bytes of memory at the peak while [`Archive::read_as`] reads so many bytes of the member, the values themselves among
    /// them: what is inflated is copied once.
    pub(crate) fn read_bytes(&self, name: &str, range: &Range<u64>) -> u64 {
        let n_bytes = range.end.saturating_sub(range.start);
        match self.members.get(name) {
            Some(member) if member.is_deflated => n_bytes.saturating_mul(2),
            _ => n_bytes,
        }
    }

    /// Bytes taken from the file so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Reads some bytes of a member. The checksum is compared when the range is the whole member.
    pub(crate) fn read(&mut self, name: &str, range: Range<u64>) -> Result<Vec<u8>, ArchiveFault> {
        self.read_as(name, range)
    }

    /// [`Archive::read`] into values that are laid out in memory as in the file, without a copy if the member is stored.
    ///
    /// The range is that of whole values.
    pub(crate) fn read_as<T: Pod>(&mut self, name: &str, range: Range<u64>) -> Result<Vec<T>, ArchiveFault> {
        let missing = || ArchiveFault::Missing {
            name: name.to_owned(),
        };
        let damaged = || ArchiveFault::Damaged {
            name: name.to_owned(),
        };
        let member = self.members.get(name).cloned().ok_or_else(missing)?;
        if range.start > range.end || range.end > member.size {
            return Err(damaged());
        }
        let data_offset = self.data_offset(name, &member)?;
        let values = if member.is_deflated {
            use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
            let inflated = self.inflate(data_offset, &member, &range);
            let bytes = inflated.map_err(|error| match error.kind() {
                InvalidData | InvalidInput | UnexpectedEof => damaged(),
                _ => ArchiveFault::Io(error),
            })?;
            bytemuck::pod_collect_to_vec(&bytes)
        } else {
            self.read_at(data_offset + range.start, range.end - range.start, "a member")?
        };
        let is_whole = range == (0..member.size);
        if is_whole && member.crc32 != 0 && crc32fast::hash(bytemuck::cast_slice(&values)) != member.crc32 {
            return Err(damaged());
        }
        Ok(values)
    }

    /// Where the member's data begins; only its local header knows.
    fn data_offset(&mut self, name: &str, member: &Member) -> Result<u64, ArchiveFault> {
        let header: Vec<u8> = self.read_at(member.header_offset, LOCAL_LEN, "a local header")?;
        if header[..4] != LOCAL_SIGNATURE {
            return Err(ArchiveFault::Malformed {
                what: "a local header",
            });
        }
        let data_offset = member.header_offset
            + LOCAL_LEN
            + u64::from(u16_at(&header, 26))
            + u64::from(u16_at(&header, 28));
        match data_offset.checked_add(member.compressed) {
            Some(end) if end <= member.end_bound => Ok(data_offset),
            _ => Err(ArchiveFault::Overlap {
                name: name.to_owned(),
            }),
        }
    }

    fn inflate(&mut self, offset: u64, member: &Member, range: &Range<u64>) -> std::io::Result<Vec<u8>> {
        self.reader.seek(SeekFrom::Start(offset))?;
        let mut decoder = DeflateDecoder::new((&mut self.reader).take(member.compressed));
        let skipped = std::io::copy(&mut (&mut decoder).take(range.start), &mut std::io::sink())?;
        let mut bytes = Vec::new(); // grows with what is really there, not with what is claimed
        (&mut decoder)
            .take(range.end - range.start)
            .read_to_end(&mut bytes)?;
        let is_short = skipped + bytes.len() as u64 != range.end;
        let is_long = range.end == member.size && decoder.read(&mut [0])? != 0;
        self.bytes_read += decoder.total_in();
        if is_short || is_long {
            Err(std::io::ErrorKind::InvalidData.into())
        } else {
            Ok(bytes)
        }
    }

    /// Reads exactly `len` bytes, of whole values; memory is taken only after they are known to lie inside the file.
    fn read_at<T: Pod>(&mut self, offset: u64, len: u64, what: &'static str) -> Result<Vec<T>, ArchiveFault> {
        let outside = || ArchiveFault::OutsideFile {
            what,
            file_len: self.file_len,
        };
        let is_inside = offset.checked_add(len).is_some_and(|end| end <= self.file_len);
        let n_bytes = usize::try_from(len)
            .ok()
            .filter(|_| is_inside)
            .ok_or_else(outside)?;
        self.reader.seek(SeekFrom::Start(offset))?;
        let mut values = vec![T::zeroed(); n_bytes / size_of::<T>()];
        let bytes = bytemuck::cast_slice_mut(&mut values);
        assert_eq!(bytes.len(), n_bytes, "whole values are asked for");
        self.reader.read_exact(bytes)?;
        self.bytes_read += len;
        Ok(values)
    }

    fn find_directory(&mut self) -> Result<Directory, ArchiveFault> {
        let tail_len = self.file_len.min(END_LEN + MAX_COMMENT_LEN);
        let tail_offset = self.file_len - tail_len;
        let tail: Vec<u8> = self.read_at(tail_offset, tail_len, "the end record")?;
        let last = tail
            .len()
            .checked_sub(END_LEN as usize)
            .ok_or(ArchiveFault::NoEndRecord)?;
        // The comment must end where the file ends, else a signature inside a comment could pose as the record.
        let at = (0..=last)
            .rev()
            .find(|&at| {
                tail[at..].starts_with(&END_SIGNATURE) && usize::from(u16_at(&tail, at + 20)) == last - at
            })
            .ok_or(ArchiveFault::NoEndRecord)?;
        let end = &tail[at..];
        let end_offset = tail_offset + at as u64;
        let (n_members, len, offset) = (u16_at(end, 10), u32_at(end, 12), u32_at(end, 16));
        let is_zip64 = n_members == u16::MAX || len == u32::MAX || offset == u32::MAX;
        let (directory, limit) = if is_zip64 {
            self.find_directory64(end_offset)?
        } else {
            (
                Directory {
                    offset: offset.into(),
                    len: len.into(),
                    n_members: n_members.into(),
                },
                end_offset,
            )
        };
        let too_many = |what, found, limit| Err(ArchiveFault::TooMany { what, found, limit });
        if directory.n_members > MAX_MEMBERS {
            return too_many("number of members", directory.n_members, MAX_MEMBERS);
        }
        if directory.len > MAX_DIRECTORY_BYTES {
            return too_many("length of the directory", directory.len, MAX_DIRECTORY_BYTES);
        }
        match directory.offset.checked_add(directory.len) {
            Some(end) if end <= limit => Ok(directory),
            _ => Err(ArchiveFault::OutsideFile {
                what: "the directory",
                file_len: self.file_len,
            }),
        }
    }

    /// The directory, and where it must end.
    fn find_directory64(&mut self, end_offset: u64) -> Result<(Directory, u64), ArchiveFault> {
        let malformed = ArchiveFault::Malformed {
            what: "the ZIP64 end record",
        };
        let Some(locator_offset) = end_offset.checked_sub(LOCATOR64_LEN) else {
            return Err(malformed);
        };
        let locator: Vec<u8> = self.read_at(locator_offset, LOCATOR64_LEN, "the ZIP64 locator")?;
        if locator[..4] != LOCATOR64_SIGNATURE {
            return Err(malformed);
        }
        let offset = u64_at(&locator, 8);
        let end: Vec<u8> = self.read_at(offset, END64_LEN, "the ZIP64 end record")?;
        if end[..4] != END64_SIGNATURE || offset > locator_offset {
            return Err(malformed);
        }
        let directory = Directory {
            n_members: u64_at(&end, 32),
            len: u64_at(&end, 40),
            offset: u64_at(&end, 48),
        };
        Ok((directory, offset))
    }

    fn read_directory(&mut self, directory: &Directory) -> Result<(), ArchiveFault> {
        let bytes: Vec<u8> = self.read_at(directory.offset, directory.len, "the directory")?;
        let mut rest = &bytes[..];
        for _ in 0..directory.n_members {
            let (name, member, tail) = parse_entry(rest)?;
            rest = tail;
            if self.members.contains_key(&name) {
                return Err(ArchiveFault::Duplicate { name });
            }
            self.members.insert(name, member);
        }
        self.bound_members(directory.offset)
    }

    /// Gives every member the room up to the next one.
    fn bound_members(&mut self, directory_offset: u64) -> Result<(), ArchiveFault> {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(self.members[i].header_offset));
        let mut bound = directory_offset;
        for i in order {
            let (name, member) = self
                .members
                .get_index_mut(i)
                .expect("indices come from the map's own length");
            let least = member
                .header_offset
                .checked_add(LOCAL_LEN)
                .and_then(|end| end.checked_add(member.compressed));
            if least.is_none_or(|end| end > bound) {
                return Err(ArchiveFault::Overlap { name: name.clone() });
            }
            member.end_bound = bound;
            bound = member.header_offset;
        }
        Ok(())
    }
}

/// One directory entry; `(name, member, rest of the directory)`.
fn parse_entry(bytes: &[u8]) -> Result<(String, Member, &[u8]), ArchiveFault> {
    let malformed = || ArchiveFault::Malformed {
        what: "a directory entry",
    };
    let header = bytes
        .get(..ENTRY_LEN)
        .filter(|h| h.starts_with(&ENTRY_SIGNATURE))
        .ok_or_else(malformed)?;
    let (flags, method) = (u16_at(header, 8), u16_at(header, 10));
    let name_len = usize::from(u16_at(header, 28));
    if name_len > MAX_NAME_LEN {
        return Err(ArchiveFault::TooMany {
            what: "length of a name",
            found: name_len as u64,
            limit: MAX_NAME_LEN as u64,
        });
    }
    let extra_end = ENTRY_LEN + name_len + usize::from(u16_at(header, 30));
    let entry_end = extra_end + usize::from(u16_at(header, 32));
    let name = bytes.get(ENTRY_LEN..ENTRY_LEN + name_len).ok_or_else(malformed)?;
    let name = String::from_utf8(name.to_vec()).map_err(|_| malformed())?;
    let extra = bytes.get(ENTRY_LEN + name_len..extra_end).ok_or_else(malformed)?;
    let rest = bytes.get(entry_end..).ok_or_else(malformed)?;

    // ZIP64: fields of all ones are replaced by the next 8 bytes of the extra field, in this order.
    let mut extra64 = zip64_extra(extra).ok_or_else(malformed)?;
    let mut widen = |narrow: u32| -> Result<u64, ArchiveFault> {
        if narrow != u32::MAX {
            return Ok(u64::from(narrow));
        }
        let (wide, tail) = extra64.split_at_checked(8).ok_or_else(malformed)?;
        extra64 = tail;
        Ok(u64_at(wide, 0))
    };
    let size = widen(u32_at(header, 24))?;
    let compressed = widen(u32_at(header, 20))?;
    let header_offset = widen(u32_at(header, 42))?;

    if flags & FLAG_ENCRYPTED != 0 || !matches!(method, 0 | 8) {
        return Err(ArchiveFault::Method { name, method });
    }
    let is_deflated = method == 8;
    let is_possible = match is_deflated {
        true => size <= compressed.saturating_mul(MAX_DEFLATE_RATIO),
        false => size == compressed,
    };
    if !is_possible {
        return Err(ArchiveFault::Sizes {
            name,
            size,
            compressed,
        });
    }
    let crc32 = u32_at(header, 16);
    Ok((
        name,
        Member {
            header_offset,
            end_bound: 0,
            compressed,
            size,
            crc32,
            is_deflated,
        },
        rest,
    ))
}

/// The payload of the ZIP64 extra field, empty if there is none; `None` if the fields are malformed.
fn zip64_extra(mut extra: &[u8]) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let (id, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let payload = extra.get(4..4 + len)?;
        if id == ZIP64_EXTRA {
            return Some(payload);
        }
        extra = &extra[4 + len..];
    }
    Some(&[])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests;
