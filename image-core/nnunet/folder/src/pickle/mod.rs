//! A pickle reader that executes nothing.
//!
//! It runs the stack machine of Python's `pickle` on an allow-list of opcodes and builds inert [`Value`]s in an
//! arena. Calls of a few known functions are evaluated to such values (see [`globals`]); all others make placeholders
//! or are refused. Memory is bounded by the length of the pickle: every opcode makes at most one value, sharing
//! through the memo is by index, and text stays where it is in the pickle.
//!
//! Source: CPython 3.13 `Lib/pickletools.py`; PyTorch 2.9 `torch/_weights_only_unpickler.py`.

mod fault;
mod globals;
mod machine;
mod numpy;
mod storage_type;
mod value;

pub use fault::PickleFault;
pub use storage_type::StorageType;
pub(crate) use value::{Value, ValueId};

use value::{MAX_NAME_LEN, bytes_of, text_of};

/// A pickle that has been read.
#[derive(Debug)]
pub(crate) struct Pickle {
    bytes: Vec<u8>,
    values: Vec<Value>,
    root: ValueId,
}

impl Pickle {
    /// Runs the machine on a whole pickle.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Pickle, PickleFault> {
        let (values, root) = machine::run(&bytes)?;
        Ok(Pickle { bytes, values, root })
    }

    pub(crate) fn root(&self) -> ValueId {
        self.root
    }

    pub(crate) fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// A short text; `None` for anything else.
    pub(crate) fn name(&self, id: ValueId) -> Option<&str> {
        match self.value(id) {
            Value::Text(span) if span.len <= MAX_NAME_LEN => Some(text_of(&self.bytes, *span)),
            _ => None,
        }
    }

    /// True if the value is this text. Takes no longer for a longer value.
    pub(crate) fn is_text(&self, id: ValueId, expected: &str) -> bool {
        matches!(self.value(id), Value::Text(span) if bytes_of(&self.bytes, *span) == expected.as_bytes())
    }

    pub(crate) fn int(&self, id: ValueId) -> Option<i64> {
        match self.value(id) {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// Elements of a list or tuple.
    pub(crate) fn sequence(&self, id: ValueId) -> Option<&[ValueId]> {
        match self.value(id) {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Entries of a dict, in order of insertion, repeated keys included (the last one counts).
    pub(crate) fn dict(&self, id: ValueId) -> Option<&[(ValueId, ValueId)]> {
        match self.value(id) {
            Value::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under a text key of a dict.
    pub(crate) fn get(&self, dict: ValueId, key: &str) -> Option<ValueId> {
        self.dict(dict)?
            .iter()
            .rev()
            .find(|(k, _)| self.is_text(*k, key))
            .map(|(_, value)| *value)
    }

    /// Module and name of a class or function, or of that which would have made an inert value.
    pub(crate) fn global(&self, id: ValueId) -> Option<(&str, &str)> {
        match self.value(id) {
            Value::Global { module, name, .. } => {
                Some((text_of(&self.bytes, *module), text_of(&self.bytes, *name)))
            }
            Value::Inert { global } => match self.value(*global) {
                Value::Global { .. } => self.global(*global),
                _ => None,
            },
            _ => None,
        }
    }

    /// What a value is, for error messages.
    pub(crate) fn describe(&self, id: ValueId) -> String {
        match self.value(id) {
            Value::None => "None".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::BigInt => "a huge integer".to_owned(),
            Value::Float(value) => value.to_string(),
            Value::Text(span) => format!(
                "{:?}",
                text_of(&self.bytes, *span).chars().take(80).collect::<String>()
            ),
            Value::Bytes(_) | Value::Latin1(_) => "bytes".to_owned(),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Tuple(items) => format!("a tuple of {}", items.len()),
            Value::Dict(entries) => format!("a dict of {}", entries.len()),
            Value::NumpyDtype(_) => "a numpy dtype".to_owned(),
            Value::NumpyArray => "a numpy array that is long or not of plain numbers".to_owned(),
            Value::Storage { .. } => "a tensor storage".to_owned(),
            Value::Tensor { .. } => "a tensor".to_owned(),
            Value::Global { .. } | Value::Inert { .. } => match self.global(id) {
                Some((module, name)) => format!("a Python object of {}", shown_name(module, name)),
                None => "a Python object".to_owned(),
            },
        }
    }
}

/// `module.name`, shortened.
pub(crate) fn shown_name(module: &str, name: &str) -> String {
    let shorten = |text: &str| text.chars().take(80).collect::<String>();
    format!("{}.{}", shorten(module), shorten(name))
}

#[cfg(test)]
mod tests;
