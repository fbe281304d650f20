//! Numbers that numpy pickled: scalars, and short arrays of one axis.

use super::value::{NumpyDtype, Value, ValueId, bytes_of, long, text_of};

/// Longest numpy scalar.
const MAX_SCALAR_BYTES: usize = 8;
/// Elements of an array that is read; longer ones (images, curves of a training) are none of ours.
const MAX_ELEMENTS: usize = 64;

/// The value of a numpy scalar, `None` if its type is not a plain number.
pub(super) fn scalar(bytes: &[u8], values: &[Value], dtype: ValueId, data: ValueId) -> Option<Value> {
    let Value::NumpyDtype(dtype) = *value(values, dtype) else {
        return None;
    };
    number(
        dtype,
        &raw_bytes(bytes, values, data, usize::from(dtype.n_bytes))?,
    )
}

/// The elements of an array from its state `(version, shape, dtype, is Fortran order, bytes)`; `None` if it is not a
/// short array of one axis of plain numbers.
pub(super) fn elements(bytes: &[u8], values: &[Value], state: ValueId) -> Option<Vec<Value>> {
    let Value::Tuple(parts) = value(values, state) else {
        return None;
    };
    let &[_, shape, dtype, _, data] = parts.as_slice() else {
        return None;
    };
    let (Value::Tuple(shape), &Value::NumpyDtype(dtype)) = (value(values, shape), value(values, dtype))
    else {
        return None;
    };
    let &[len] = shape.as_slice() else { return None };
    let &Value::Int(len) = value(values, len) else {
        return None;
    };
    let len = usize::try_from(len).ok().filter(|&len| len <= MAX_ELEMENTS)?;
    let n_bytes = usize::from(dtype.n_bytes);
    let raw = raw_bytes(bytes, values, data, len * n_bytes)?;
    raw.chunks_exact(n_bytes)
        .map(|element| number(dtype, element))
        .collect()
}

/// Exactly `len` bytes, as bytes or as text in latin1.
fn raw_bytes(bytes: &[u8], values: &[Value], data: ValueId, len: usize) -> Option<Vec<u8>> {
    match value(values, data) {
        Value::Bytes(span) => Some(bytes_of(bytes, *span).to_vec()).filter(|bytes| bytes.len() == len),
        Value::Latin1(text) => {
            let Value::Text(span) = value(values, *text) else {
                return None;
            };
            let mut chars = text_of(bytes, *span).chars();
            let bytes: Vec<u8> = chars
                .by_ref()
                .take(len)
                .map(|c| u8::try_from(c).ok())
                .collect::<Option<_>>()?;
            (bytes.len() == len && chars.next().is_none()).then_some(bytes)
        }
        _ => None,
    }
}

fn value(values: &[Value], id: ValueId) -> &Value {
    &values[id.0 as usize]
}

/// `f8`, `i4`, `<u2`, `b1` …; `None` for anything but plain numbers of up to 8 bytes.
pub(super) fn dtype(name: &[u8]) -> Option<NumpyDtype> {
    let (is_big_endian, name) = match name {
        [b'>', name @ ..] => (true, name),
        [b'<' | b'|' | b'=', name @ ..] => (false, name),
        name => (false, name),
    };
    match *name {
        [kind @ (b'f' | b'i' | b'u' | b'b'), size @ b'1'..=b'8'] => Some(NumpyDtype {
            kind,
            n_bytes: size - b'0',
            is_big_endian,
        }),
        _ => None,
    }
}

/// One element, as it lies in memory.
fn number(dtype: NumpyDtype, bytes: &[u8]) -> Option<Value> {
    let mut le = [0u8; MAX_SCALAR_BYTES];
    let le = le.get_mut(..bytes.len())?;
    le.copy_from_slice(bytes);
    if dtype.is_big_endian {
        le.reverse();
    }
    number_of(dtype.kind, le)
}

/// The number in `le`, least byte first.
fn number_of(kind: u8, le: &[u8]) -> Option<Value> {
    let unsigned = || {
        le.iter()
            .rev()
            .fold(0u64, |value, &byte| value << 8 | u64::from(byte))
    };
    Some(match (kind, le.len()) {
        (b'f', 2) => Value::Float(half::f16::from_le_bytes(le.try_into().ok()?).into()),
        (b'f', 4) => Value::Float(f32::from_le_bytes(le.try_into().ok()?).into()),
        (b'f', 8) => Value::Float(f64::from_le_bytes(le.try_into().ok()?)),
        (b'i', 1 | 2 | 4 | 8) => long(le),
        (b'u', 1 | 2 | 4 | 8) => i64::try_from(unsigned()).map_or(Value::BigInt, Value::Int),
        (b'b', 1) => Value::Bool(le[0] != 0),
        _ => return None,
    })
}
