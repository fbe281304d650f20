//! What a pickle describes, as inert values that refer to each other and to the pickle's bytes.

use super::globals::Global;
use super::storage_type::StorageType;

/// Bytes of a name: of a module, class, tensor or storage. Names may be shared through the memo, so that work on one is
/// not bounded by the length of the pickle unless the name is.
pub(crate) const MAX_NAME_LEN: u32 = 1024;

/// Index of a value in the arena. Values refer to each other by index, so sharing costs nothing and nothing is ever
/// walked recursively, not even to drop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ValueId(pub(super) u32);

/// A piece of the pickle's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// What a pickle describes, inert.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits; nothing that is needed has one.
    BigInt,
    Float(f64),
    /// UTF-8, checked.
    Text(Span),
    Bytes(Span),
    /// `text.encode("latin1")`, how protocol 2 stores bytes; encoded only when asked for.
    Latin1(ValueId),
    List(Vec<ValueId>),
    Tuple(Vec<ValueId>),
    /// In order of insertion; a later equal key wins.
    Dict(Vec<(ValueId, ValueId)>),
    /// A class or function, by name.
    Global {
        kind: Global,
        module: Span,
        name: Span,
    },
    NumpyDtype(NumpyDtype),
    /// A numpy array whose elements were not read.
    NumpyArray,
    /// Elements of a tensor storage that lies elsewhere.
    Storage {
        dtype: StorageType,
        key: ValueId,
        len: u64,
    },
    /// A view of a storage; `shape` and `stride` are tuples.
    Tensor {
        storage: ValueId,
        offset: u64,
        shape: ValueId,
        stride: ValueId,
    },
    /// What a class or function that nephrite does not know would have made.
    Inert {
        global: ValueId,
    },
}

/// Type and byte order of a numpy scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumpyDtype {
    /// `f`, `i`, `u` or `b`.
    pub(super) kind: u8,
    pub(super) n_bytes: u8,
    pub(super) is_big_endian: bool,
}

pub(super) fn bytes_of(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.start as usize..][..span.len as usize]
}

pub(super) fn text_of(bytes: &[u8], span: Span) -> &str {
    std::str::from_utf8(bytes_of(bytes, span)).expect("checked when the span was made")
}

/// Two's complement, least byte first, any length; empty is 0.
pub(super) fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::BigInt;
    }
    let is_negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut le = [if is_negative { 0xFF } else { 0 }; 8];
    le[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(le))
}
