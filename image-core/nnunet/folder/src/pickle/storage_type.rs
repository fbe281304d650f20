//! Element types of tensors, by the names that PyTorch gives them.

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
