//! Files that were written to break the reader: refused or read, quickly, and never with a panic.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::time::{Duration, Instant};

use nephrite_settings::kind::{list, text, whole};
use nephrite_settings::{ConfigError, Fault, FaultKind, MAX_BYTES, Section, parse, read_config};
use nephrite_types::ErrorCode;
use proptest::prelude::*;

fn few(top: &mut Section<'_>) -> u64 {
    let name = || text("a name", |text| Some(text.to_owned()));
    top.option("names", list(name(), 0, "a list of names"), "none", "names");
    top.entries("free", name(), 0, "{ a = \"b\" }", "none", "names of your own");
    top.tables("tables", 256, "tables", |table| {
        table.get("n", whole(1..), 1_u64, "a number")
    });
    top.get("n", whole(1..), 1, "a number")
}

/// The faults, found within seconds even without optimization.
#[track_caller]
fn refused(bytes: &[u8]) -> Vec<Fault> {
    let started = Instant::now();
    let faults = parse(bytes, few).unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    assert!((1..=101).contains(&faults.len()), "{} faults", faults.len());
    for fault in &faults {
        let said = fault.to_string();
        assert!(said.len() < 1000 && !said.contains(char::is_control), "{said:?}");
    }
    faults
}

#[track_caller]
fn limited(bytes: &[u8], what: &str) {
    let faults = refused(bytes);
    assert!(
        matches!(
            faults[..],
            [Fault {
                kind: FaultKind::Limit { .. },
                ..
            }]
        ),
        "{faults:?}"
    );
    assert!(faults[0].to_string().starts_with(what), "{}", faults[0]);
}

#[test]
fn what_is_too_large_or_too_deep_is_refused_before_it_is_parsed() {
    limited(&vec![b'#'; 50 << 20], "a file of more than 1048576 bytes");
    limited(&vec![b'\n'; MAX_BYTES], "a file of more than 200000");
    for open in ["[", "{a=", "[{a=["] {
        limited(
            format!("a = {}", open.repeat(100_000)).as_bytes(),
            "a nesting of more than 16",
        );
    }
    limited("[".repeat(100_000).as_bytes(), "a nesting of more than 16");
    limited(
        "[[a]]\n".repeat(MAX_BYTES / 6).as_bytes(),
        "a file of more than 200000",
    );
    let keys: String = (0..1_000_000).map(|n| format!("k{n}=1\n")).collect();
    limited(keys.as_bytes(), "a file of more than 1048576 bytes");
    limited(&keys.as_bytes()[..MAX_BYTES], "a file of more than 200000");
    limited(
        "=\n".repeat(MAX_BYTES / 2).as_bytes(),
        "a file of more than 200000",
    );
    limited("]".repeat(MAX_BYTES).as_bytes(), "a file of more than 200000");
    // dotted keys: as a key, as a heading, and multiplied by brackets
    let dotted = vec!["a"; 400_000].join(".");
    limited(format!("{dotted} = 1").as_bytes(), "a nesting of more than 16");
    limited(format!("[{dotted}]").as_bytes(), "a nesting of more than 16");
    let seventeen = vec!["a"; 17].join(" . ");
    limited(format!("{seventeen} = 1").as_bytes(), "a nesting of more than 16");
}

#[test]
fn what_is_just_within_the_limits_is_read_or_refused_on_a_small_stack() {
    // 16 brackets, each with 16 parts of a dotted key: the deepest tree
    let key = vec!["a"; 16].join(".");
    let deep = format!("{}1{}", format!("{key} = {{").repeat(16), "}".repeat(16)).replace("{1", "{b = 1");
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let faults = thread
        .spawn(move || refused(deep.as_bytes()))
        .unwrap()
        .join()
        .unwrap();
    assert!(
        matches!(faults[0].kind, FaultKind::UnknownKey { .. }),
        "{faults:?}"
    );

    let names = "'a',".repeat(99_000);
    assert_eq!(parse(format!("names = [{names}]").as_bytes(), few), Ok(1));
    let comment = format!("#{}\nn = 2", "x".repeat(MAX_BYTES - 7));
    assert_eq!(
        (comment.len(), parse(comment.as_bytes(), few)),
        (MAX_BYTES, Ok(2))
    );
    let strings = format!("names = ['{}']", "[{".repeat(1000));
    assert_eq!(
        parse(strings.as_bytes(), few),
        Ok(1),
        "brackets in a text are none"
    );
}

#[test]
fn of_very_many_faults_the_first_are_told_and_the_rest_counted() {
    let keys: String = (0..49_000).map(|n| format!("k{n}=1\n")).collect();
    let faults = refused(keys.as_bytes());
    assert_eq!(faults.len(), 101);
    assert_eq!(faults[100].kind, FaultKind::More { count: 48_900 });
    assert_eq!(refused("n=1\n".repeat(49_000).as_bytes()).len(), 101);
    assert_eq!(refused("=\n".repeat(90_000).as_bytes()).len(), 101);
    assert_eq!(
        refused(format!("'{}' = 1", "k".repeat(MAX_BYTES - 10)).as_bytes()).len(),
        1
    );
    assert_eq!(
        refused(format!("n = '{}'", "x".repeat(MAX_BYTES - 10)).as_bytes()).len(),
        1
    );
    assert_eq!(
        refused(format!("n = {}", "1".repeat(MAX_BYTES - 10)).as_bytes()).len(),
        1
    );
    assert_eq!(refused("[[tables]]\n".repeat(257).as_bytes()).len(), 1);
}

#[test]
fn what_is_no_text_is_refused_by_its_place() {
    let faults = refused(b"n = 1\r\n# \xc3\xa9\xff\n");
    assert_eq!(faults[0].to_string(), "not UTF-8 (line 2, column 4)");
    assert_eq!(refused(b"n = 1\nnames = ['a\0']\n")[0].line, 2);
    assert_eq!(refused(b"\0\0\0\0")[0].line, 1);
    assert_eq!(refused(b"n = 1\r\n\r\nn\r\n = 2")[0].line, 3);
    assert_eq!(parse(b"\xef\xbb\xbfn = 3\r\n", few), Ok(3));
    let faults = refused("\"\\u001b[2J\\u202e\" = 1".as_bytes());
    assert!(
        faults[0]
            .to_string()
            .starts_with("\"\\u{1b}[2J\\u{202e}\": unknown key"),
        "{}",
        faults[0]
    );
}

#[test]
fn files_are_read_up_to_the_limit_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.toml");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let read = |path: &std::path::Path| read_config(path, |bytes, _| parse(bytes, few));
    let error = read(&path).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert!(
        error
            .to_string()
            .contains("huge.toml:\n  a file of more than 1048576 bytes"),
        "{error}"
    );
    assert_eq!(
        read(&folder.path().join("none.toml")).unwrap_err().code(),
        ErrorCode::NotFound
    );
    assert!(matches!(read(folder.path()), Err(ConfigError::Read { .. })));
    std::fs::write(&path, "n = 5").unwrap();
    assert_eq!(read(&path).unwrap(), 5);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(faults) = parse(&bytes, few) {
            prop_assert!(!faults.is_empty());
        }
    }

    #[test]
    fn any_text_like_toml_is_refused_or_read(text in "[a-z\\[\\]='\"{},.0-9#\r\n \u{e9}]{0,200}") {
        if let Err(faults) = parse(text.as_bytes(), few) {
            let n_lines = text.matches('\n').count() + 1;
            prop_assert!(faults.iter().all(|fault| (1..=n_lines).contains(&fault.line) && fault.column >= 1));
        }
    }
}
