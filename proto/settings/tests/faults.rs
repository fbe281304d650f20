//! Every kind of fault, with its place, and several at once.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::time::Duration;

use nephrite_settings::kind::{choice, either, flag, list, number, parsed, path, seconds, text, whole};
use nephrite_settings::{FaultKind, Reference, Section, page, parse};

/// A file with a key of every kind.
#[derive(Debug, PartialEq)]
struct Everything {
    n: u16,
    share: f64,
    patience: Duration,
    on: bool,
    mode: u8,
    address: std::net::SocketAddr,
    names: Vec<String>,
    either: Option<i64>,
    limit: u64,
    crop: Option<Option<f64>>,
    parts: Vec<String>,
    free: Option<Vec<(String, String)>>,
}

fn name() -> nephrite_settings::Kind<String> {
    text("a name", |text| (!text.is_empty()).then(|| text.to_owned()))
}

fn everything(top: &mut Section<'_>) -> Option<Everything> {
    let root = top.require("root", path("a folder"), "where files lie");
    let read = Everything {
        n: top.get("count", whole(1..=4096), 7, "how many"),
        share: top.get(
            "share",
            number((std::ops::Bound::Excluded(0.0), std::ops::Bound::Included(1.0))),
            0.5,
            "how much",
        ),
        patience: top.get(
            "patience",
            seconds(0.0..=60.0),
            Duration::from_millis(1500),
            "how long",
        ),
        on: top.get("on", flag(), true, "whether"),
        mode: top.get("mode", choice(&[("fast", 1_u8), ("exact", 2)]), 2, "how"),
        address: top.get(
            "address",
            parsed("an address and port"),
            ([127, 0, 0, 1], 80).into(),
            "where",
        ),
        names: top
            .option(
                "names",
                list(name(), 1, "a list of at least one name"),
                "all",
                "which",
            )
            .unwrap_or_default(),
        either: top.option(
            "either",
            either("number or text", "a number or \"all\"", |value| {
                value.whole().or_else(|| (value.text()? == "all").then_some(-1))
            }),
            "nothing",
            "one of two types",
        ),
        limit: top.table("limits", "bounds", |limits| {
            limits.get("max_file_bytes", whole(1..), 8 << 30, "bytes of a file")
        }),
        crop: top
            .optional_table("crop", "{ margin = 3 }", "everything", "a part", |crop| {
                crop.require("margin", number(0.0..), "around it")
            })
            .map(Option::flatten),
        parts: top.tables("parts", 3, "what there is", |part| {
            part.require("name", name(), "what it is called")
                .unwrap_or_default()
        }),
        free: top.entries("free", name(), 0, "{ a = \"b\" }", "none", "names of your own"),
    };
    root.map(|_| read)
}

fn told(text: &str) -> Vec<String> {
    let faults = parse(text.as_bytes(), everything).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn only(text: &str, expected: &str) {
    assert_eq!(told(text), [expected]);
}

#[test]
fn every_kind_is_read_and_has_a_default() {
    let defaults = Everything {
        n: 7,
        share: 0.5,
        patience: Duration::from_millis(1500),
        on: true,
        mode: 2,
        address: ([127, 0, 0, 1], 80).into(),
        names: Vec::new(),
        either: None,
        limit: 8 << 30,
        crop: None,
        parts: Vec::new(),
        free: None,
    };
    assert_eq!(parse(b"root = '.'", everything), Ok(Some(defaults)));
    let given = Everything {
        n: 16,
        share: 1.0,
        patience: Duration::from_secs(2),
        on: false,
        mode: 1,
        address: ([0, 0, 0, 0], 1).into(),
        names: vec!["a".into(), "b".into()],
        either: Some(-1),
        limit: 9,
        crop: Some(Some(2.5)),
        parts: vec!["x".into(), "y".into()],
        free: Some(vec![("a b".into(), "c".into()), ("d".into(), "e".into())]),
    };
    let text = "root = '.'\ncount = 0x10\nshare = 1\npatience = 2\non = false\nmode = 'fast'\naddress = '0.0.0.0:1'\n\
                names = ['a', 'b']\neither = 'all'\nlimits.max_file_bytes = 9\ncrop = { margin = 2.5 }\n\
                free = { d = 'e', 'a b' = 'c' }\n[[parts]]\nname = 'x'\n[[parts]]\nname = 'y'\n";
    assert_eq!(parse(text.as_bytes(), everything), Ok(Some(given)));
}

#[test]
fn every_kind_of_fault_names_its_place() {
    only("", "root: missing (line 1, column 1)");
    only("root = 3", "root: 3, expected a folder (line 1, column 8)");
    only("root = ''", "root: \"\", expected a folder (line 1, column 8)");
    let with = |more: &str| format!("root = '.'\n{more}");
    only(
        &with("  cuont = 3"),
        "cuont: unknown key, known are root, count, share, patience, on, mode, address, names, either, limits, crop, parts, \
         free; did you mean count? (line 2, column 3)",
    );
    only(
        &with("[[parts]]\nname = 'a'\nsomething = 1"),
        "parts.something: unknown key, known are name (line 4, column 1)",
    );
    only(
        &with("count = 1\ncount = 2"),
        "count: duplicate key (line 3, column 1)",
    );
    for (value, found) in [
        ("0", "0"),
        ("4097", "4097"),
        ("-1", "-1"),
        ("'x'", "\"x\""),
        ("1.0", "1.0"),
        ("[1, [2], {}, {a=1}]", "[1, a list of 1, {}, a table]"),
        ("[1, 2, 3, 4, 5]", "a list of 5"),
        ("1970-01-01", "a date"),
        ("99999999999999999999", "99999999999999999999"),
    ] {
        only(
            &with(&format!("count = {value}")),
            &format!("count: {found}, expected a whole number from 1 to 4096 (line 2, column 9)"),
        );
    }
    for value in ["0", "0.0", "1.1", "nan", "inf", "-inf", "1e400"] {
        only(
            &with(&format!("share = {value}")),
            &format!("share: {value}, expected a number above 0 and up to 1 (line 2, column 9)"),
        );
    }
    only(
        &with("patience = 61"),
        "patience: 61, expected a number from 0 to 60 (line 2, column 12)",
    );
    only(
        &with("on = 1"),
        "on: 1, expected true or false (line 2, column 6)",
    );
    only(
        &with("mode = 'slow'"),
        "mode: \"slow\", expected fast or exact (line 2, column 8)",
    );
    only(
        &with("names = []"),
        "names: [], expected a list of at least one name (line 2, column 9)",
    );
    only(
        &with("names = ['a', '']"),
        "names: [\"a\", \"\"], expected a list of at least one name (line 2, column 9)",
    );
    only(
        &with("either = []"),
        "either: [], expected a number or \"all\" (line 2, column 10)",
    );
    only(
        &with("limits = 3"),
        "limits: no table, expected a table (line 2, column 10)",
    );
    only(
        &with("[limits]\nmax_file_bytes = 0"),
        "limits.max_file_bytes: 0, expected a whole number of at least 1 (line 3, column 18)",
    );
    only(&with("crop = {}"), "crop.margin: missing (line 2, column 8)");
    only(
        &with("crop = 3"),
        "crop: no table, expected a table such as { margin = 3 } (line 2, column 8)",
    );
    only(&with("\n[[parts]]\n"), "parts.name: missing (line 3, column 1)");
    for (value, found) in [("3", "3"), ("[{name='a'}, 3]", "[a table, 3]")] {
        only(
            &with(&format!("parts = {value}")),
            &format!(
                "parts: {found}, expected at most 3 tables, each under a heading in double brackets (line 2, column 9)"
            ),
        );
    }
    assert_eq!(told(&with(&"[[parts]]\nname = 'a'\n".repeat(4))).len(), 1);
    only(
        &with("free = { ok = 'a', 'b c' = 3 }"),
        "free.\"b c\": 3, expected a name (line 2, column 28)",
    );
}

#[test]
fn type_and_range_are_told_apart() {
    for (value, is_type) in [
        ("'x'", true),
        ("1.5", true),
        ("0", false),
        ("99999999999999999999", false),
    ] {
        let faults = parse(format!("root = '.'\ncount = {value}").as_bytes(), everything).unwrap_err();
        assert_eq!(
            matches!(faults[0].kind, FaultKind::Type { .. }),
            is_type,
            "{value}"
        );
        assert_eq!(
            matches!(faults[0].kind, FaultKind::Range { .. }),
            !is_type,
            "{value}"
        );
        assert_eq!(faults[0].kind.key(), "count");
    }
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text =
        "lisen = 1\r\ncount = 0\r\n\r\ncount = 3\r\n[limits]\r\n# größe\r\n'größe' = 1\r\n[[parts]]\r\n";
    let faults = parse(text.as_bytes(), everything).unwrap_err();
    let places: Vec<_> = faults
        .iter()
        .map(|fault| (fault.line, fault.column, fault.kind.key()))
        .collect();
    let expected = [
        (1, 1, "root"),
        (1, 1, "lisen"),
        (2, 9, "count"),
        (4, 1, "count"),
        (7, 1, "limits.\"größe\""),
        (8, 1, "parts.name"),
    ];
    let sorted = |mut places: Vec<(usize, usize, &str)>| {
        places.sort_unstable();
        format!("{places:?}")
    };
    assert_eq!(sorted(places.clone()), sorted(expected.to_vec()));
    assert!(places.is_sorted_by_key(|(line, ..)| *line), "{places:?}");
}

#[test]
fn slips_of_form_are_told_line_by_line_and_nothing_that_follows_from_them() {
    let faults = |text: &str| {
        let faults = parse(text.as_bytes(), everything).unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
        assert!(faults.iter().all(|fault| !fault.to_string().is_empty()));
        places
    };
    assert_eq!(faults("root = "), [(1, 8)]);
    assert_eq!(
        faults("root = \n\n  count = 'x\nshare = 0.5\non = yes"),
        [(1, 8), (3, 13), (5, 6)]
    );
    assert_eq!(
        faults("a = 1\nb = [1,\nc = 2\nd = [3]\n"),
        [(2, 5)],
        "an open bracket is one fault"
    );
    assert_eq!(
        faults("= 1\nb = 1\n[x\ny = 1\nb = 3"),
        [(1, 1), (3, 1), (5, 1)],
        "and a key that is there twice"
    );
}

#[test]
fn a_byte_order_mark_takes_no_column() {
    let faults = parse("\u{feff}count = 0\ncount2 = 'größe' = 1".as_bytes(), everything).unwrap_err();
    assert_eq!((faults[0].line, faults[0].column), (2, 18));
    let faults = parse("\u{feff}count = 0".as_bytes(), everything).unwrap_err();
    assert_eq!((faults[1].line, faults[1].column), (1, 9), "{faults:?}");
}

#[test]
fn the_reference_holds_every_key_with_a_default_that_can_be_read() {
    let reference = Reference::of("Everything", "A file of everything.", everything);
    let keys: Vec<&str> = reference.entries.iter().map(|entry| entry.key.as_str()).collect();
    let expected = [
        "root",
        "count",
        "share",
        "patience",
        "on",
        "mode",
        "address",
        "names",
        "either",
        "", // [limits]
        "max_file_bytes",
        "crop",
        "crop.margin",
        "", // [[parts]]
        "name",
        "free",
    ];
    assert_eq!(keys, expected);
    let markdown = reference.markdown();
    for row in [
        "|  | `root` | text: a folder | required | where files lie |",
        "|  | `patience` | number: from 0 to 60 | 1.5 | how long |",
        "|  | `on` | true or false | true | whether |",
        "|  | `mode` | text: fast or exact | \"exact\" | how |",
        "|  | `address` | text: an address and port | \"127.0.0.1:80\" | where |",
        "| `[limits]` | `max_file_bytes` | whole number: at least 1 | 8589934592 (8 GiB) | bytes of a file |",
        "| `[[parts]]` |  | list of tables: up to 3 | none | what there is |",
    ] {
        assert!(
            markdown.lines().any(|line| line == row),
            "{row} is not in\n{markdown}"
        );
    }
    assert_eq!(markdown.lines().count(), 2 + reference.entries.len());
    let expected = format!("# Files\n\nAll.\n\n## Everything\n\nA file of everything.\n\n{markdown}");
    assert_eq!(page("Files", "All.", std::slice::from_ref(&reference)), expected);

    // What is printed as a default, written into a file, changes nothing.
    let mut text = "root = '.'\n".to_owned();
    let top = reference.entries.iter().filter(|entry| entry.heading.is_empty());
    for entry in top
        .filter(|entry| ["count", "share", "patience", "on", "mode", "address"].contains(&entry.key.as_str()))
    {
        text += &format!("{} = {}\n", entry.key, entry.default);
    }
    assert_eq!(
        parse(text.as_bytes(), everything),
        parse(b"root = '.'", everything)
    );
    let terminal = reference.to_string();
    assert!(terminal.contains("\n[limits]  bounds\nmax_file_bytes  (whole number: at least 1; default 8589934592 (8 GiB))\n    bytes"));
}
