//! The one walk over the elements of a data set: counts, checks every length, and builds the object, without recursion.

use dicom_core::value::DataSetSequence;
use dicom_core::{Length, PrimitiveValue, Tag, VR};
use dicom_encoding::text::SpecificCharacterSet;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::element::{ElementHead, read_head};
use super::syntax::Encoding;
use super::value::{character_set, is_multi_text, primitive};
use crate::file_error::FileFault;
use crate::limits::DicomLimits;

const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);
const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);

/// The element with the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelElement {
    /// Pixel Data, Float Pixel Data or Double Float Pixel Data.
    pub tag: Tag,
    /// Where its value begins, from the start of the (inflated) bytes.
    pub offset: u64,
    /// Bytes of the value; `None`: encapsulated, fragments follow.
    pub length: Option<u32>,
}

/// All that comes before the pixels.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) object: InMemDicomObject,
    pub(crate) pixels: Option<PixelElement>,
}

/// Why a walk stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// These are the first bytes of a longer stream; so many are needed at least.
    Needs(usize),
    Fault(FileFault),
}

impl From<FileFault> for Stop {
    fn from(fault: FileFault) -> Self {
        Stop::Fault(fault)
    }
}

/// What is open around the current place.
enum Open {
    Sequence {
        tag: Tag,
        items: Vec<InMemDicomObject>,
        end: Option<usize>,
        encoding: Encoding,
    },
    Item {
        object: InMemDicomObject,
        end: Option<usize>,
        encoding: Encoding,
        charset: SpecificCharacterSet,
    },
    /// Encapsulated pixels of an icon inside a sequence: fragments, which nobody needs.
    Fragments,
}

/// Walks `bytes` from `start` to the pixel data or the end. `is_whole`: nothing follows them.
pub(crate) fn walk(
    bytes: &[u8],
    start: usize,
    is_whole: bool,
    encoding: Encoding,
    limits: &DicomLimits,
) -> Result<Walked, Stop> {
    let mut walk = Walk {
        bytes,
        pos: start,
        is_whole,
        limits,
        n_elements: 0,
        n_text_values: 0,
        padding: bytes
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1),
        open: vec![Open::Item {
            object: InMemDicomObject::new_empty(),
            end: None,
            encoding,
            charset: SpecificCharacterSet::default(),
        }],
    };
    let pixels = loop {
        match walk.step()? {
            Step::Went => {}
            Step::Pixels(pixels) => break Some(pixels),
            Step::End => break None,
        }
    };
    match walk.open.pop() {
        Some(Open::Item { object, .. }) if walk.open.is_empty() => Ok(Walked { object, pixels }),
        _ => Err(walk.malformed("the data set ends inside a sequence").into()),
    }
}

enum Step {
    Went,
    Pixels(PixelElement),
    End,
}

struct Walk<'a> {
    bytes: &'a [u8],
    pos: usize,
    is_whole: bool,
    limits: &'a DicomLimits,
    n_elements: usize,
    n_text_values: usize,
    /// From here on there are zeros only.
    padding: usize,
    open: Vec<Open>,
}

impl Walk<'_> {
    fn malformed(&self, what: &'static str) -> FileFault {
        FileFault::Malformed {
            offset: self.pos as u64,
            what,
        }
    }

    /// Where the innermost thing of defined length ends.
    fn bound(&self) -> Option<usize> {
        self.open.iter().rev().find_map(|open| match open {
            Open::Sequence { end, .. } | Open::Item { end, .. } => *end,
            Open::Fragments => None,
        })
    }

    fn encoding(&self) -> Encoding {
        let innermost = self.open.iter().rev().find_map(|open| match open {
            Open::Sequence { encoding, .. } | Open::Item { encoding, .. } => Some(*encoding),
            Open::Fragments => None,
        });
        innermost.unwrap_or(Encoding::EXPLICIT_LITTLE)
    }

    /// Every step goes forward in the bytes, or closes something.
    fn step(&mut self) -> Result<Step, Stop> {
        let own_end = match self.open.last() {
            Some(Open::Sequence { end, .. } | Open::Item { end, .. }) => *end,
            _ => None,
        };
        if own_end == Some(self.pos) {
            self.close()?;
            return Ok(Step::Went);
        }
        let at_root = self.open.len() == 1;
        // Some writers fill the last block of a file with zeros.
        if at_root && self.is_whole && self.pos >= self.padding {
            return Ok(Step::End);
        }
        let encoding = self.encoding();
        let head = match read_head(self.bytes, self.pos, encoding) {
            Ok(Some(head)) => head,
            Ok(None) => return Err(self.ends_here("next", self.pos.saturating_add(16))),
            Err(what) => return Err(self.malformed(what).into()),
        };
        self.n_elements += 1;
        if self.n_elements > self.limits.max_elements {
            let limit = self.limits.max_elements;
            return Err(FileFault::TooManyElements { limit }.into());
        }
        match self.open.last() {
            Some(Open::Sequence { encoding, .. }) => {
                let encoding = *encoding;
                self.in_sequence(head, encoding)
            }
            Some(Open::Fragments) => self.in_fragments(head),
            _ => self.in_item(head, encoding, at_root),
        }
    }

    fn ends_here(&self, tag: impl std::fmt::Display, needed: usize) -> Stop {
        if self.is_whole {
            Stop::Fault(FileFault::Truncated {
                tag: tag.to_string(),
                offset: self.pos as u64,
            })
        } else {
            Stop::Needs(needed)
        }
    }

    /// The end of a value of so many bytes that begins at `start`, within what surrounds it.
    fn value_end(&self, start: usize, length: u32) -> Result<usize, FileFault> {
        let end = start.checked_add(length as usize);
        match (end, self.bound()) {
            (Some(end), Some(bound)) if end > bound => {
                Err(self.malformed("an element is longer than the sequence that it is in"))
            }
            (Some(end), _) => Ok(end),
            (None, _) => Err(self.malformed("an element is too long")),
        }
    }

    /// `start` and `end` of the value; `None` for the end of undefined length.
    fn defined_end(&self, head: &ElementHead) -> Result<Option<usize>, FileFault> {
        match head.length {
            Some(length) => Ok(Some(self.value_end(head.value, length)?)),
            None => Ok(None),
        }
    }

    fn in_sequence(&mut self, head: ElementHead, encoding: Encoding) -> Result<Step, Stop> {
        match head.tag {
            ITEM => {
                let end = self.defined_end(&head)?;
                let charset = self.charset();
                self.pos = head.value;
                self.open.push(Open::Item {
                    object: InMemDicomObject::new_empty(),
                    end,
                    encoding,
                    charset,
                });
            }
            SEQUENCE_END => {
                self.pos = head.value;
                self.close()?;
            }
            _ => {
                return Err(self
                    .malformed("a sequence holds something that is no item")
                    .into());
            }
        }
        Ok(Step::Went)
    }

    fn in_fragments(&mut self, head: ElementHead) -> Result<Step, Stop> {
        match (head.tag, head.length) {
            (ITEM, Some(length)) => {
                let end = self.value_end(head.value, length)?;
                if end > self.bytes.len() {
                    return Err(self.ends_here(PIXEL_DATA, end));
                }
                self.pos = end;
            }
            (SEQUENCE_END, _) => {
                self.pos = head.value;
                self.open.pop();
            }
            _ => {
                return Err(self
                    .malformed("encapsulated pixels hold something that is no fragment")
                    .into());
            }
        }
        Ok(Step::Went)
    }

    fn in_item(&mut self, head: ElementHead, encoding: Encoding, at_root: bool) -> Result<Step, Stop> {
        match head.tag {
            ITEM_END => {
                self.pos = head.value;
                if !at_root {
                    self.close()?;
                }
                return Ok(Step::Went);
            }
            SEQUENCE_END if at_root => {
                self.pos = head.value;
                return Ok(Step::Went);
            }
            Tag(0xfffe, _) => return Err(self.malformed("an item or its end is in the wrong place").into()),
            Tag(0x7fe0, 0x0008..=0x0010) if at_root => {
                return Ok(Step::Pixels(PixelElement {
                    tag: head.tag,
                    offset: head.value as u64,
                    length: head.length,
                }));
            }
            _ => {}
        }
        let Some(length) = head.length else {
            self.pos = head.value;
            if head.tag == PIXEL_DATA {
                self.open.push(Open::Fragments);
            } else {
                // An unknown value of undefined length is a sequence in implicit little endian (PS3.5 6.2.2).
                let encoding = if head.vr == VR::UN {
                    Encoding::IMPLICIT_LITTLE
                } else {
                    encoding
                };
                self.open_sequence(head.tag, None, encoding)?;
            }
            return Ok(Step::Went);
        };
        let end = self.value_end(head.value, length)?;
        if head.vr == VR::SQ {
            self.pos = head.value;
            self.open_sequence(head.tag, Some(end), encoding)?;
            return Ok(Step::Went);
        }
        let Some(value) = self.bytes.get(head.value..end) else {
            return Err(self.ends_here(head.tag, end));
        };
        if is_multi_text(head.vr) {
            self.n_text_values += 1 + value.iter().filter(|&&byte| byte == b'\\').count();
            if self.n_text_values > self.limits.max_text_values {
                let limit = self.limits.max_text_values;
                return Err(FileFault::TooManyValues { limit }.into());
            }
        }
        let value = primitive(head.tag, head.vr, value, encoding.big_endian, self.charset());
        self.pos = end;
        self.put(head.tag, head.vr, value);
        Ok(Step::Went)
    }

    fn charset(&self) -> SpecificCharacterSet {
        let innermost = self.open.iter().rev().find_map(|open| match open {
            Open::Item { charset, .. } => Some(charset.clone()),
            _ => None,
        });
        innermost.unwrap_or_default()
    }

    fn put(&mut self, tag: Tag, vr: VR, value: PrimitiveValue) {
        if let Some(Open::Item { object, charset, .. }) = self.open.last_mut() {
            if let Some(named) = character_set(tag, &value) {
                *charset = named;
            }
            object.put_element(InMemElement::new(tag, vr, value));
        }
    }

    fn open_sequence(&mut self, tag: Tag, end: Option<usize>, encoding: Encoding) -> Result<(), FileFault> {
        let depth = self
            .open
            .iter()
            .filter(|open| matches!(open, Open::Sequence { .. }))
            .count();
        if depth >= self.limits.max_depth {
            let limit = self.limits.max_depth;
            return Err(FileFault::TooDeep { limit });
        }
        self.open.push(Open::Sequence {
            tag,
            items: Vec::new(),
            end,
            encoding,
        });
        Ok(())
    }

    /// Puts the innermost thing into what surrounds it.
    fn close(&mut self) -> Result<(), FileFault> {
        let closed = self.open.pop();
        match (closed, self.open.last_mut()) {
            (Some(Open::Item { object, .. }), Some(Open::Sequence { items, .. })) => items.push(object),
            (Some(Open::Sequence { tag, items, .. }), Some(Open::Item { object, .. })) => {
                let sequence = DataSetSequence::new(items, Length::UNDEFINED);
                object.put_element(InMemElement::new(tag, VR::SQ, sequence));
            }
            _ => return Err(self.malformed("an end that nothing was open for")),
        }
        Ok(())
    }
}
