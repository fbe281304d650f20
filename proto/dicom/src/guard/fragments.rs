//! Encapsulated pixels: an offset table and fragments, and which of them make a frame.

use crate::file_error::FileFault;

const ITEM: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];
const SEQUENCE_END: [u8; 4] = [0xfe, 0xff, 0xdd, 0xe0];

/// Fragments of encapsulated pixels, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragments<'a> {
    /// Basic offset table: of each frame, where its first fragment begins, from the first fragment's head. Often empty.
    pub offsets: Vec<u32>,
    /// Content of each fragment.
    pub parts: Vec<&'a [u8]>,
    /// Of each fragment, where its head begins, from that of the first one.
    pub starts: Vec<u32>,
}

/// Splits what begins at `start`; encapsulated pixels are always little endian.
pub(super) fn split(bytes: &[u8], start: usize) -> Result<Fragments<'_>, FileFault> {
    let (mut pos, mut first) = (start, None);
    let mut found = Fragments {
        offsets: Vec::new(),
        parts: Vec::new(),
        starts: Vec::new(),
    };
    let mut is_table = true;
    loop {
        let truncated = || FileFault::Truncated {
            tag: "(7FE0,0010)".to_owned(),
            offset: pos as u64,
        };
        let Some(head) = bytes.get(pos..pos.saturating_add(8)) else {
            // The end mark may be missing after the last whole fragment: nothing is lost.
            return if pos == bytes.len() && !is_table {
                Ok(found)
            } else {
                Err(truncated())
            };
        };
        if head[..4] == SEQUENCE_END {
            return Ok(found);
        }
        if head[..4] != ITEM {
            return Err(FileFault::Malformed {
                offset: pos as u64,
                what: "encapsulated pixels hold something that is no fragment",
            });
        }
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let end = (pos + 8).checked_add(length).ok_or_else(truncated)?;
        let part = bytes.get(pos + 8..end).ok_or_else(truncated)?;
        if is_table {
            let (entries, _) = part.as_chunks::<4>();
            found.offsets = entries.iter().map(|&entry| u32::from_le_bytes(entry)).collect();
            is_table = false;
        } else {
            let first = *first.get_or_insert(pos);
            found.starts.push(u32::try_from(pos - first).unwrap_or(u32::MAX));
            found.parts.push(part);
        }
        pos = end;
    }
}

impl<'a> Fragments<'a> {
    /// The fragments of each of `n` frames: one each, or all for one frame, or as the offset table says.
    ///
    /// # Errors
    /// [`FileFault::Fragments`] if none of these holds.
    pub fn frames(&self, n: u32) -> Result<Vec<Vec<&'a [u8]>>, FileFault> {
        let fault = FileFault::Fragments {
            fragments: self.parts.len(),
            frames: n,
        };
        if self.parts.is_empty() || self.parts.len() < n as usize {
            return Err(fault);
        }
        if self.parts.len() == n as usize {
            return Ok(self.parts.iter().map(|&part| vec![part]).collect());
        }
        if n == 1 {
            return Ok(vec![self.parts.clone()]);
        }
        if self.offsets.len() != n as usize {
            return Err(fault);
        }
        let mut frames = Vec::with_capacity(n as usize);
        let mut firsts = Vec::with_capacity(n as usize + 1);
        for offset in &self.offsets {
            firsts.push(self.starts.binary_search(offset).map_err(|_| fault.clone())?);
        }
        firsts.push(self.parts.len());
        if firsts[0] != 0 {
            return Err(fault);
        }
        for pair in firsts.windows(2) {
            if pair[0] >= pair[1] {
                return Err(fault);
            }
            frames.push(self.parts[pair[0]..pair[1]].to_vec());
        }
        Ok(frames)
    }
}
