//! Pickles by their opcodes: what is read, what is inert, what is refused, and what costs nothing.

use super::*;

fn parse(bytes: &[u8]) -> Result<Pickle, PickleFault> {
    Pickle::parse(bytes.to_vec())
}

#[test]
fn plain_values_are_read() {
    let pickle = parse(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00b]q\x01(M\x01\x02J\xff\xff\xff\xff\x8a\x01\x80eu.");
    let pickle = pickle.unwrap();
    let root = pickle.root();
    assert_eq!(pickle.get(root, "a").and_then(|id| pickle.int(id)), Some(7));
    let list = pickle.sequence(pickle.get(root, "b").unwrap()).unwrap();
    assert_eq!(
        list.iter().map(|&id| pickle.int(id).unwrap()).collect::<Vec<_>>(),
        [0x201, -1, -128]
    );
    assert_eq!(pickle.get(root, "c"), None);
}

#[test]
fn a_later_equal_key_wins() {
    let pickle = parse(b"\x80\x02}(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00aK\x02u.").unwrap();
    assert_eq!(
        pickle.get(pickle.root(), "a").and_then(|id| pickle.int(id)),
        Some(2)
    );
}

#[test]
fn calls_of_the_standard_library_are_refused_by_name() {
    for (bytes, expected) in [
        (
            &b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."[..],
            "os.system",
        ),
        (
            b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.",
            "posix.system",
        ),
        (
            b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.",
            "__builtin__.eval",
        ),
        (
            b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
            "builtins.eval",
        ),
        (
            b"\x80\x04\x8c\x0asubprocess\x8c\x05Popen\x93\x8c\x02id\x85\x81.",
            "subprocess.Popen",
        ),
    ] {
        match parse(bytes) {
            Err(PickleFault::ForbiddenGlobal { module, name }) => {
                assert_eq!(format!("{module}.{name}"), expected)
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn naming_a_function_is_harmless_and_unknown_classes_are_inert() {
    let pickle = parse(b"\x80\x02cos\nsystem\n.").unwrap();
    assert_eq!(pickle.global(pickle.root()), Some(("os", "system")));
    let pickle = parse(b"\x80\x02cmine\nOptions\n)\x81}X\x01\x00\x00\x00aK\x01sb.").unwrap();
    assert_eq!(pickle.global(pickle.root()), Some(("mine", "Options")));
    assert_eq!(pickle.describe(pickle.root()), "a Python object of mine.Options");
}

#[test]
fn malformed_pickles_are_refused() {
    use PickleFault as F;
    let check = |bytes: &[u8], is_expected: fn(&F) -> bool| match parse(bytes) {
        Err(fault) if is_expected(&fault) => {}
        other => panic!("{bytes:?}: {other:?}"),
    };
    check(b"", |f| matches!(f, F::Truncated { .. }));
    check(b"\x80\x02K\x01", |f| matches!(f, F::Truncated { .. }));
    check(b"\x80\x02X\xff\xff\xff\xffa.", |f| {
        matches!(f, F::Truncated { .. })
    });
    check(b"\x80\x02cos", |f| matches!(f, F::Truncated { .. }));
    check(b"\x80\x01N.", |f| matches!(f, F::Protocol { protocol: 1 }));
    check(b"\x80\x06N.", |f| matches!(f, F::Protocol { protocol: 6 }));
    check(b"\x80\x02.", |f| matches!(f, F::Operand { .. }));
    check(b"\x80\x02t.", |f| matches!(f, F::Operand { .. }));
    check(b"\x80\x02K\x01(\x85.", |f| matches!(f, F::Operand { .. })); // would pop below a mark
    check(b"\x80\x02h\x05.", |f| matches!(f, F::Operand { .. }));
    check(b"\x80\x02K\x01K\x02a.", |f| matches!(f, F::Operand { .. }));
    check(b"\x80\x02}(K\x01u.", |f| matches!(f, F::Operand { .. }));
    check(b"\x80\x02K\x01)R.", |f| matches!(f, F::Operand { .. }));
    check(b"\x80\x02X\x01\x00\x00\x00\xff.", |f| matches!(f, F::Text { .. }));
    check(b"\x80\x02NQ.", |f| matches!(f, F::Arguments { .. }));
    check(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", |f| {
        matches!(f, F::Arguments { .. })
    });
    // INST, OBJ, EXT1, NEXT_BUFFER, POP, DUP: never written by torch.save.
    for opcode in [b'i', b'o', 0x82, 0x97, b'0', b'2'] {
        check(&[0x80, 2, opcode], |f| matches!(f, F::Opcode { .. }));
    }
}

#[test]
fn the_number_of_values_and_the_stack_are_bounded() {
    let mut bytes = b"\x80\x02".to_vec();
    bytes.resize(3 << 20, b'N');
    assert!(matches!(
        parse(&bytes),
        Err(PickleFault::TooMany {
            what: "values on its stack",
            ..
        })
    ));
    bytes.truncate(2);
    bytes.extend(std::iter::repeat_n(*b"N\x85a", 3 << 20).flatten());
    bytes.insert(2, b']');
    assert!(matches!(
        parse(&bytes),
        Err(PickleFault::TooMany { what: "values", .. })
    ));
    bytes.truncate(2);
    bytes.resize(3 << 20, b'(');
    assert!(matches!(
        parse(&bytes),
        Err(PickleFault::TooMany { what: "marks", .. })
    ));
}

#[test]
fn doubling_through_the_memo_costs_nothing() {
    // a = (); repeat: a = (a, a). As a tree it would have 2^200 000 leaves.
    let mut bytes = b"\x80\x02)q\x00".to_vec();
    for _ in 0..200_000 {
        bytes.extend(b"h\x00h\x00\x86q\x00\x85");
    }
    bytes.push(b'.');
    assert!(matches!(parse(&bytes), Ok(_) | Err(PickleFault::TooMany { .. })));
}

#[test]
fn a_long_text_that_is_used_often_costs_nothing() {
    // One text of 8 MB, then named as key, class, encoding and type a hundred thousand times.
    let long = 8u32 << 20;
    let mut bytes = b"\x80\x04}q\x00X".to_vec();
    bytes.extend(long.to_le_bytes());
    bytes.resize(bytes.len() + long as usize, b'a');
    bytes.extend(b"q\x01c_codecs\nencode\nq\x02cnumpy\ndtype\nq\x03h\x00");
    let head = bytes.len();
    for _ in 0..100_000 {
        bytes.extend(b"h\x01h\x02h\x01h\x01\x86Rs");
        bytes.extend(b"h\x01h\x03h\x01\x85Rs");
    }
    bytes.push(b'.');
    let begin = std::time::Instant::now();
    let pickle = parse(&bytes).unwrap();
    assert_eq!(pickle.get(pickle.root(), "configuration"), None);
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
    bytes.truncate(head);
    bytes.extend(b"h\x01h\x01\x93.");
    assert!(matches!(parse(&bytes), Err(PickleFault::TooMany { .. })));
}

#[test]
fn numpy_scalars_are_numbers() {
    let dtype = |name: &str, order: &str| {
        format!("cnumpy\ndtype\nX\x02\0\0\0{name}\u{89}\u{88}\u{87}R(K\x03X\x01\0\0\0{order}NNNtb")
    };
    let scalar = |module: &str, name: &str, order: &str, data: &[u8]| {
        let text = format!("c{module}\nscalar\n{}", dtype(name, order));
        let mut bytes = b"\x80\x03".to_vec();
        bytes.extend(text.chars().map(|c| u8::try_from(c).unwrap()));
        bytes.push(b'C');
        bytes.push(u8::try_from(data.len()).unwrap());
        bytes.extend(data);
        bytes.extend(b"\x86R.");
        let pickle = parse(&bytes).unwrap();
        pickle.value(pickle.root()).clone()
    };
    assert_eq!(
        scalar("numpy.core.multiarray", "i8", "<", &5i64.to_le_bytes()),
        Value::Int(5)
    );
    assert_eq!(
        scalar("numpy._core.multiarray", "i4", "<", &(-5i32).to_le_bytes()),
        Value::Int(-5)
    );
    assert_eq!(
        scalar("numpy._core.multiarray", "u2", ">", &[1, 2]),
        Value::Int(258)
    );
    assert_eq!(
        scalar("numpy._core.multiarray", "u8", "<", &[0xFF; 8]),
        Value::BigInt
    );
    assert_eq!(
        scalar("numpy._core.multiarray", "f4", "<", &0.5f32.to_le_bytes()),
        Value::Float(0.5)
    );
    assert!(matches!(
        scalar("numpy._core.multiarray", "f8", "<", &[0; 4]),
        Value::Inert { .. }
    ));
    assert!(matches!(
        scalar("numpy._core.multiarray", "f3", "<", &[0; 3]),
        Value::Inert { .. }
    ));
}

/// `numpy.array(values)` of 8-byte integers in protocol 2, as `torch.save` writes it. `shape` is the code of a tuple.
fn pickled_array(module: &str, shape: &[u8], dtype: &str, data: &[u8]) -> Vec<u8> {
    let latin1: String = data.iter().map(|&byte| char::from(byte)).collect();
    let mut bytes = vec![0x80, 2];
    bytes.extend(format!("c{module}\n_reconstruct\ncnumpy\nndarray\n").bytes());
    bytes.extend(b"K\x00\x85c_codecs\nencode\nq\x03X\x01\0\0\0bX\x06\0\0\0latin1\x86R\x87R(K\x01");
    bytes.extend(shape);
    bytes.extend(b"cnumpy\ndtype\nX\x02\0\0\0");
    bytes.extend(dtype.bytes());
    bytes.extend(b"\x89\x88\x87R(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89h\x03X");
    bytes.extend(u32::try_from(latin1.len()).unwrap().to_le_bytes());
    bytes.extend(latin1.bytes());
    bytes.extend(b"X\x06\0\0\0latin1\x86Rtb.");
    bytes
}

#[test]
fn short_numpy_arrays_are_lists_of_their_elements() {
    let ints = |values: &[i64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let elements = |bytes: &[u8]| {
        let pickle = parse(bytes).unwrap();
        let items = pickle.sequence(pickle.root()).map(<[ValueId]>::to_vec);
        items.map(|items| {
            items
                .iter()
                .map(|&item| pickle.value(item).clone())
                .collect::<Vec<_>>()
        })
    };
    for module in ["numpy.core.multiarray", "numpy._core.multiarray"] {
        let found = elements(&pickled_array(module, b"K\x03\x85", "i8", &ints(&[0, 200, -2])));
        assert_eq!(found.unwrap(), [Value::Int(0), Value::Int(200), Value::Int(-2)]);
    }
    let module = "numpy.core.multiarray";
    let found = elements(&pickled_array(
        module,
        b"K\x02\x85",
        "f4",
        &[0, 0, 0, 0, 0, 0, 0x80, 0x3f],
    ));
    assert_eq!(found.unwrap(), [Value::Float(0.0), Value::Float(1.0)]);
    assert_eq!(
        elements(&pickled_array(module, b"K\x00\x85", "i8", &[])).unwrap(),
        []
    );
    for (shape, dtype, data) in [
        (&b"K\x03\x85"[..], "i8", ints(&[0, 1])),     // too few bytes
        (b"K\x01\x85", "i8", ints(&[0, 1])),          // too many
        (b"K\x01K\x02\x86", "i8", ints(&[0, 1])),     // two axes
        (b"K\x41\x85", "i8", ints(&[0; 65])),         // long
        (b"J\xff\xff\xff\xff\x85", "i8", Vec::new()), // negative
        (b"K\x01\x85", "O8", ints(&[0])),             // Python objects
    ] {
        assert_eq!(
            elements(&pickled_array(module, shape, dtype, &data)),
            None,
            "{shape:?} {dtype}"
        );
    }
}
