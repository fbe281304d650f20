//! A walk over the fields of a protobuf message that allocates nothing.
//!
//! Message decoders build a value of a hundred bytes and more from two bytes of input, so a small file could fill the
//! memory. The walk counts first.

use prost::bytes::{Buf, Bytes};

use crate::NetworkError;

/// One field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// Contents of a length-delimited field (a slice of the input, not a copy); empty for numbers.
    pub(crate) contents: Bytes,
    /// Value of a varint field.
    pub(crate) varint: Option<u64>,
    /// Bytes of the whole field, key included.
    pub(crate) len: usize,
}

/// The fields of a message in their order. Ends after the first error.
pub(crate) struct Fields {
    rest: Bytes,
}

/// Walks over the fields of a message.
pub(crate) fn fields(message: Bytes) -> Fields {
    Fields { rest: message }
}

impl Iterator for Fields {
    type Item = Result<Field, NetworkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest.clear();
        }
        Some(field)
    }
}

impl Fields {
    fn field(&mut self) -> Result<Field, NetworkError> {
        let before = self.rest.len();
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|&n| n > 0 && n < 1 << 29);
        let number = number.ok_or_else(|| malformed("a field number is out of range"))?;
        let (mut contents, mut varint) = (Bytes::new(), None);
        match key & 7 {
            0 => varint = Some(self.varint()?),
            1 => drop(self.take(8)?),
            2 => {
                let len = self.varint()?;
                contents = self.take(len)?;
            }
            5 => drop(self.take(4)?),
            wire_type => return Err(malformed(&format!("wire type {wire_type} is not used by ONNX"))),
        }
        Ok(Field {
            number,
            contents,
            varint,
            len: before - self.rest.len(),
        })
    }

    fn take(&mut self, len: u64) -> Result<Bytes, NetworkError> {
        match usize::try_from(len) {
            Ok(len) if len <= self.rest.len() => Ok(self.rest.split_to(len)),
            _ => Err(malformed(&format!("a field of {len} bytes is cut off"))),
        }
    }

    fn varint(&mut self) -> Result<u64, NetworkError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            if self.rest.is_empty() {
                return Err(malformed("a number is cut off"));
            }
            let byte = self.rest.get_u8();
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed("a number is longer than 64 bits"))
    }
}

/// The error of a message that cannot be read.
pub(crate) fn malformed(reason: &str) -> NetworkError {
    NetworkError::OnnxMalformed {
        reason: reason.to_owned(),
    }
}
