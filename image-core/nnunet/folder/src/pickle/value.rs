use super::globals::Global;

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

/// Element type of a tensor storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it all
pub enum StorageType {
    F16,
    BF16,
    F32,
    F64,
    I8,
    U8,
    I16,
    I32,
    I64,
    Bool,
}

impl StorageType {
    /// Bytes of one element.
    pub fn n_bytes(self) -> u64 {
        match self {
            StorageType::I8 | StorageType::U8 | StorageType::Bool => 1,
            StorageType::F16 | StorageType::BF16 | StorageType::I16 => 2,
            StorageType::F32 | StorageType::I32 => 4,
            StorageType::F64 | StorageType::I64 => 8,
        }
    }

    /// The name as PyTorch writes it.
    pub fn name(self) -> &'static str {
        match self {
            StorageType::F16 => "float16",
            StorageType::BF16 => "bfloat16",
            StorageType::F32 => "float32",
            StorageType::F64 => "float64",
            StorageType::I8 => "int8",
            StorageType::U8 => "uint8",
            StorageType::I16 => "int16",
            StorageType::I32 => "int32",
            StorageType::I64 => "int64",
            StorageType::Bool => "bool",
        }
    }
}
