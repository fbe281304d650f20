//! The stack machine.

use std::collections::HashMap;

use super::fault::PickleFault;
use super::globals::Global;
use super::numpy;
use super::value::{MAX_NAME_LEN, Span, Value, ValueId, bytes_of, long, text_of};

/// Values of one pickle (32 bytes each); a checkpoint of a long training has some 100 000.
const MAX_VALUES: usize = 1 << 21;
/// Values on the stack at once; a dict or list is built in batches of 1000.
const MAX_STACK: usize = 1 << 20;

/// The opcodes that are allowed. Names as in `pickletools`.
mod opcode {
    pub(super) const MARK: u8 = b'(';
    pub(super) const STOP: u8 = b'.';
    pub(super) const NONE: u8 = b'N';
    pub(super) const NEWTRUE: u8 = 0x88;
    pub(super) const NEWFALSE: u8 = 0x89;
    pub(super) const BININT: u8 = b'J';
    pub(super) const BININT1: u8 = b'K';
    pub(super) const BININT2: u8 = b'M';
    pub(super) const LONG1: u8 = 0x8a;
    pub(super) const BINFLOAT: u8 = b'G';
    pub(super) const BINUNICODE: u8 = b'X';
    pub(super) const SHORT_BINUNICODE: u8 = 0x8c;
    pub(super) const BINBYTES: u8 = b'B';
    pub(super) const SHORT_BINBYTES: u8 = b'C';
    pub(super) const EMPTY_LIST: u8 = b']';
    pub(super) const APPEND: u8 = b'a';
    pub(super) const APPENDS: u8 = b'e';
    pub(super) const EMPTY_TUPLE: u8 = b')';
    pub(super) const TUPLE: u8 = b't';
    pub(super) const TUPLE1: u8 = 0x85;
    pub(super) const TUPLE2: u8 = 0x86;
    pub(super) const TUPLE3: u8 = 0x87;
    pub(super) const EMPTY_DICT: u8 = b'}';
    pub(super) const SETITEM: u8 = b's';
    pub(super) const SETITEMS: u8 = b'u';
    pub(super) const BINPUT: u8 = b'q';
    pub(super) const LONG_BINPUT: u8 = b'r';
    pub(super) const MEMOIZE: u8 = 0x94;
    pub(super) const BINGET: u8 = b'h';
    pub(super) const LONG_BINGET: u8 = b'j';
    pub(super) const GLOBAL: u8 = b'c';
    pub(super) const STACK_GLOBAL: u8 = 0x93;
    pub(super) const REDUCE: u8 = b'R';
    pub(super) const BUILD: u8 = b'b';
    pub(super) const NEWOBJ: u8 = 0x81;
    pub(super) const BINPERSID: u8 = b'Q';
    pub(super) const PROTO: u8 = 0x80;
    pub(super) const FRAME: u8 = 0x95;
}

/// All values, and the one that the pickle is about.
pub(super) fn run(bytes: &[u8]) -> Result<(Vec<Value>, ValueId), PickleFault> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(PickleFault::TooMany {
            what: "bytes",
            limit: u32::MAX as usize,
        });
    }
    let mut machine = Machine {
        bytes,
        at: 0,
        opcode: opcode::PROTO,
        opcode_at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let root = loop {
        if let Some(root) = machine.step()? {
            break root;
        }
    };
    Ok((machine.values, root))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The opcode being run, for error messages.
    opcode: u8,
    opcode_at: usize,
    values: Vec<Value>,
    stack: Vec<ValueId>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, ValueId>,
}

impl Machine<'_> {
    /// Runs one opcode; the result after STOP.
    fn step(&mut self) -> Result<Option<ValueId>, PickleFault> {
        self.opcode_at = self.at;
        self.opcode = self.byte()?;
        match self.opcode {
            opcode::PROTO => {
                let protocol = self.byte()?;
                if !(2..=5).contains(&protocol) {
                    return Err(PickleFault::Protocol { protocol });
                }
            }
            opcode::FRAME => {
                self.take(8)?; // only a hint for buffering
            }
            opcode::STOP => return self.pop().map(Some),
            opcode::MARK => {
                if self.marks.len() >= MAX_STACK {
                    return Err(PickleFault::TooMany {
                        what: "marks",
                        limit: MAX_STACK,
                    });
                }
                self.marks.push(self.stack.len());
            }

            opcode::NONE => self.push(Value::None)?,
            opcode::NEWTRUE => self.push(Value::Bool(true))?,
            opcode::NEWFALSE => self.push(Value::Bool(false))?,
            opcode::BININT1 => {
                let value = self.byte()?;
                self.push(Value::Int(value.into()))?;
            }
            opcode::BININT2 => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            opcode::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            opcode::LONG1 => {
                let len = self.byte()?;
                let value = long(bytes_of(self.bytes, self.span(len.into())?));
                self.push(value)?;
            }
            opcode::BINFLOAT => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(value))?;
            }

            opcode::BINUNICODE => {
                let len = u32::from_le_bytes(self.array()?);
                self.push_text(len)?;
            }
            opcode::SHORT_BINUNICODE => {
                let len = self.byte()?;
                self.push_text(len.into())?;
            }
            opcode::BINBYTES => {
                let len = u32::from_le_bytes(self.array()?);
                let span = self.span(len)?;
                self.push(Value::Bytes(span))?;
            }
            opcode::SHORT_BINBYTES => {
                let len = self.byte()?;
                let span = self.span(len.into())?;
                self.push(Value::Bytes(span))?;
            }

            opcode::EMPTY_LIST => self.push(Value::List(Vec::new()))?,
            opcode::EMPTY_DICT => self.push(Value::Dict(Vec::new()))?,
            opcode::EMPTY_TUPLE => self.push(Value::Tuple(Vec::new()))?,
            opcode::TUPLE => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))?;
            }
            opcode::TUPLE1 => self.push_tuple(1)?,
            opcode::TUPLE2 => self.push_tuple(2)?,
            opcode::TUPLE3 => self.push_tuple(3)?,
            opcode::APPEND => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            opcode::APPENDS => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            opcode::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(vec![key, value])?;
            }
            opcode::SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }

            opcode::BINPUT => {
                let index = self.byte()?;
                self.memorize(index.into())?;
            }
            opcode::LONG_BINPUT => {
                let index = u32::from_le_bytes(self.array()?);
                self.memorize(index)?;
            }
            opcode::MEMOIZE => {
                let index = u32::try_from(self.memo.len()).expect("the memo is smaller than MAX_VALUES");
                self.memorize(index)?;
            }
            opcode::BINGET => {
                let index = self.byte()?;
                self.recall(index.into())?;
            }
            opcode::LONG_BINGET => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index)?;
            }

            opcode::GLOBAL => {
                let module = self.line()?;
                let name = self.line()?;
                self.push_global(module, name)?;
            }
            opcode::STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                let (Value::Text(module), Value::Text(name)) = (self.value(module), self.value(name)) else {
                    return Err(self.operand("module and name"));
                };
                let (module, name) = (*module, *name);
                self.push_global(module, name)?;
            }
            opcode::REDUCE | opcode::NEWOBJ => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.call(function, arguments)?;
            }
            opcode::BUILD => {
                let state = self.pop()?;
                self.build(state)?;
            }
            opcode::BINPERSID => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(storage)?;
            }
            opcode => {
                return Err(PickleFault::Opcode {
                    opcode,
                    at: self.opcode_at,
                });
            }
        }
        Ok(None)
    }

    // The bytes.

    fn take(&mut self, len: usize) -> Result<&[u8], PickleFault> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or(PickleFault::Truncated { at: self.opcode_at })?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, PickleFault> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleFault> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were taken"))
    }

    fn span(&mut self, len: u32) -> Result<Span, PickleFault> {
        let start = u32::try_from(self.at).expect("a pickle is shorter than 4 GiB");
        self.take(len as usize)?;
        Ok(Span { start, len })
    }

    fn check_text(&self, span: Span) -> Result<Span, PickleFault> {
        match std::str::from_utf8(bytes_of(self.bytes, span)) {
            Ok(_) => Ok(span),
            Err(_) => Err(PickleFault::Text { at: self.opcode_at }),
        }
    }

    fn push_text(&mut self, len: u32) -> Result<(), PickleFault> {
        let span = self.span(len)?;
        self.check_text(span)?;
        self.push(Value::Text(span))
    }

    /// Text up to the end of the line.
    fn line(&mut self) -> Result<Span, PickleFault> {
        let len = self.bytes[self.at..].iter().position(|&byte| byte == b'\n');
        let len = len.ok_or(PickleFault::Truncated { at: self.opcode_at })?;
        let span = self.span(u32::try_from(len).expect("a pickle is shorter than 4 GiB"))?;
        self.take(1)?;
        self.check_text(span)
    }

    // The stack.

    fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    fn operand(&self, expected: &'static str) -> PickleFault {
        PickleFault::Operand {
            opcode: self.opcode,
            at: self.opcode_at,
            expected,
        }
    }

    fn push(&mut self, value: Value) -> Result<(), PickleFault> {
        let id = self.store(value)?;
        self.push_id(id)
    }

    /// Keeps a value that is not on the stack.
    fn store(&mut self, value: Value) -> Result<ValueId, PickleFault> {
        if self.values.len() >= MAX_VALUES {
            return Err(PickleFault::TooMany {
                what: "values",
                limit: MAX_VALUES,
            });
        }
        let id = ValueId(u32::try_from(self.values.len()).expect("fewer than MAX_VALUES"));
        self.values.push(value);
        Ok(id)
    }

    fn push_id(&mut self, id: ValueId) -> Result<(), PickleFault> {
        if self.stack.len() >= MAX_STACK {
            return Err(PickleFault::TooMany {
                what: "values on its stack",
                limit: MAX_STACK,
            });
        }
        self.stack.push(id);
        Ok(())
    }

    /// Takes the top of the stack, but nothing from below the last mark.
    fn pop(&mut self) -> Result<ValueId, PickleFault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => Ok(self.stack.pop().expect("higher than the floor")),
            false => Err(self.operand("more values on the stack")),
        }
    }

    fn top(&self) -> Result<ValueId, PickleFault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..]
            .last()
            .copied()
            .ok_or_else(|| self.operand("a value on the stack"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<ValueId>, PickleFault> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| self.operand("a mark on the stack"))?;
        Ok(self.stack.split_off(mark)) // `pop` never goes below a mark
    }

    fn push_tuple(&mut self, len: usize) -> Result<(), PickleFault> {
        let mut items = (0..len).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Tuple(items))
    }

    fn memorize(&mut self, index: u32) -> Result<(), PickleFault> {
        let top = self.top()?;
        if self.memo.len() >= MAX_VALUES {
            return Err(PickleFault::TooMany {
                what: "memo entries",
                limit: MAX_VALUES,
            });
        }
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), PickleFault> {
        let id = self
            .memo
            .get(&index)
            .copied()
            .ok_or_else(|| self.operand("a memo entry that exists"))?;
        self.push_id(id)
    }

    fn append(&mut self, items: Vec<ValueId>) -> Result<(), PickleFault> {
        let target = self.top()?;
        match &mut self.values[target.0 as usize] {
            Value::List(list) => list.extend(items),
            Value::Inert { .. } => {} // a list of a class of its own
            _ => return Err(self.operand("a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<ValueId>) -> Result<(), PickleFault> {
        let target = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match &mut self.values[target.0 as usize] {
            Value::Dict(entries) if rest.is_empty() => {
                entries.extend(pairs.iter().map(|&[key, value]| (key, value)))
            }
            Value::Inert { .. } => {} // a dict of a class of its own
            _ => return Err(self.operand("a dict and pairs")),
        }
        Ok(())
    }

    // Classes and functions.

    fn push_global(&mut self, module: Span, name: Span) -> Result<(), PickleFault> {
        if module.len > MAX_NAME_LEN || name.len > MAX_NAME_LEN {
            return Err(PickleFault::TooMany {
                what: "bytes in the name of a class",
                limit: MAX_NAME_LEN as usize,
            });
        }
        let kind = Global::of(text_of(self.bytes, module), text_of(self.bytes, name));
        self.push(Value::Global { kind, module, name })
    }

    /// What a call would return. Nothing is executed.
    fn call(&mut self, function: ValueId, arguments: ValueId) -> Result<(), PickleFault> {
        let Value::Tuple(arguments) = self.value(arguments) else {
            return Err(self.operand("a tuple of arguments"));
        };
        let kind = match self.value(function) {
            Value::Global { kind, .. } => *kind,
            Value::Inert { .. } => Global::Inert,
            _ => return Err(self.operand("a class or function")),
        };
        let malformed = |function| {
            Err(PickleFault::Arguments {
                function,
                at: self.opcode_at,
            })
        };
        let inert = Value::Inert { global: function };
        let result = match (kind, arguments.as_slice()) {
            (Global::Forbidden, _) => return Err(self.forbidden(function)),
            (Global::OrderedDict, []) => Value::Dict(Vec::new()),
            (Global::RebuildTensor, &[storage, offset, shape, stride, _, _, ..]) => {
                match self.tensor(storage, offset, shape, stride) {
                    Some(tensor) => tensor,
                    // A view of a storage type that nephrite does not know is as unknown.
                    None if matches!(self.value(storage), Value::Inert { .. }) => {
                        Value::Inert { global: storage }
                    }
                    None => return malformed("torch._utils._rebuild_tensor_v2"),
                }
            }
            (Global::RebuildTensor, _) => return malformed("torch._utils._rebuild_tensor_v2"),
            (Global::RebuildParameter, &[tensor, ..]) => return self.push_id(tensor),
            (Global::TorchSize, &[sizes]) if matches!(self.value(sizes), Value::Tuple(_)) => {
                return self.push_id(sizes);
            }
            (Global::NumpyDtype, &[name, ..]) => match self.value(name) {
                Value::Text(name) => {
                    numpy::dtype(bytes_of(self.bytes, *name)).map_or(inert, Value::NumpyDtype)
                }
                _ => inert,
            },
            (Global::NumpyScalar, &[dtype, data]) => {
                numpy::scalar(self.bytes, &self.values, dtype, data).unwrap_or(inert)
            }
            (Global::NumpyArray, _) => Value::NumpyArray,
            (Global::CodecsEncode, &[text, encoding]) if self.is_latin1(encoding) => match self.value(text) {
                Value::Text(_) => Value::Latin1(text),
                _ => return malformed("_codecs.encode"),
            },
            _ => inert,
        };
        self.push(result)
    }

    fn forbidden(&self, function: ValueId) -> PickleFault {
        let (module, name) = match self.value(function) {
            Value::Global { module, name, .. } => (text_of(self.bytes, *module), text_of(self.bytes, *name)),
            _ => ("", ""),
        };
        let shorten = |text: &str| text.chars().take(80).collect();
        PickleFault::ForbiddenGlobal {
            module: shorten(module),
            name: shorten(name),
        }
    }

    fn is_latin1(&self, encoding: ValueId) -> bool {
        matches!(self.value(encoding), Value::Text(name) if matches!(bytes_of(self.bytes, *name), b"latin1" | b"latin-1"))
    }

    fn tensor(&self, storage: ValueId, offset: ValueId, shape: ValueId, stride: ValueId) -> Option<Value> {
        match (
            self.value(storage),
            self.value(offset),
            self.value(shape),
            self.value(stride),
        ) {
            (Value::Storage { .. }, &Value::Int(offset), Value::Tuple(_), Value::Tuple(_)) => {
                Some(Value::Tensor {
                    storage,
                    offset: u64::try_from(offset).ok()?,
                    shape,
                    stride,
                })
            }
            _ => None,
        }
    }

    /// `("storage", class, key, location, number of elements)`; the location (a device) does not matter.
    fn storage(&self, id: ValueId) -> Result<Value, PickleFault> {
        let malformed = PickleFault::Arguments {
            function: "persistent id",
            at: self.opcode_at,
        };
        let Value::Tuple(parts) = self.value(id) else {
            return Err(malformed);
        };
        let &[tag, class, key, _, len] = parts.as_slice() else {
            return Err(malformed);
        };
        let is_storage =
            matches!(self.value(tag), Value::Text(tag) if bytes_of(self.bytes, *tag) == b"storage");
        match (self.value(class), self.value(key), self.value(len)) {
            (
                &Value::Global {
                    kind: Global::Storage(dtype),
                    ..
                },
                Value::Text(_),
                &Value::Int(len),
            ) if is_storage => {
                let len = u64::try_from(len).map_err(|_| malformed)?;
                Ok(Value::Storage { dtype, key, len })
            }
            (Value::Global { .. }, Value::Text(_), Value::Int(_)) if is_storage => {
                Ok(Value::Inert { global: class })
            }
            _ => Err(malformed),
        }
    }

    /// BUILD: sets the state of the object on top. Only those of numpy have one that matters: the byte order of a dtype, the
    /// elements of a short array, which becomes a list of them. Others (`_metadata` of a state dict, attributes of unknown
    /// objects) are ignored.
    fn build(&mut self, state: ValueId) -> Result<(), PickleFault> {
        let target = self.top()?;
        if let (Value::NumpyArray, Some(elements)) = (
            self.value(target),
            numpy::elements(self.bytes, &self.values, state),
        ) {
            let elements = elements.into_iter().map(|element| self.store(element));
            self.values[target.0 as usize] = Value::List(elements.collect::<Result<_, _>>()?);
            return Ok(());
        }
        let order = match self.value(state) {
            Value::Tuple(parts) => parts.get(1).copied(),
            _ => None,
        };
        let is_big_endian = match order.map(|order| self.value(order)) {
            Some(Value::Text(order)) => bytes_of(self.bytes, *order) == b">",
            _ => false,
        };
        if let Value::NumpyDtype(dtype) = &mut self.values[target.0 as usize] {
            dtype.is_big_endian = is_big_endian;
        }
        Ok(())
    }
}
