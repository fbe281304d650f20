//! Tables that a file names as it likes.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use nephrite_settings::kind::{text, whole};
use nephrite_settings::{Reference, Section, parse};

fn servers(top: &mut Section<'_>) -> Vec<(String, Option<String>, u64)> {
    let is_name = |name: &str| name.len() <= 4 && name.bytes().all(|byte| byte.is_ascii_lowercase());
    let url = || {
        text("an address", |url: &str| {
            url.starts_with("http").then(|| url.to_owned())
        })
    };
    top.named_tables(
        "server",
        3,
        ("1 to 4 letters", is_name),
        "what there is",
        |name, section| {
            let url = section.require("url", url(), "where");
            (
                name.to_owned(),
                url,
                section.get("tries", whole(1..=9), 4, "how often"),
            )
        },
    )
}

#[test]
fn each_table_is_read_under_its_name() {
    assert_eq!(parse(b"", servers).unwrap(), []);
    let text = "[server.b]\nurl = 'http://b'\n[server.a]\nurl = 'http://a'\ntries = 2";
    let mut read = parse(text.as_bytes(), servers).unwrap();
    read.sort();
    let expected = [("a", "http://a", 2), ("b", "http://b", 4)];
    assert_eq!(
        read,
        expected.map(|(name, url, tries)| (name.to_owned(), Some(url.to_owned()), tries))
    );
}

#[test]
fn faults_name_the_table_and_the_key() {
    let told = |text: &str| -> Vec<String> {
        let faults = parse(text.as_bytes(), servers).unwrap_err();
        faults.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        told("server = 3"),
        [
            "server: no table, expected at most 3 tables, each under a heading such as [server.NAME] (line 1, column 10)"
        ]
    );
    assert_eq!(
        told("[server]\na = 3"),
        [
            "server.a: no table, expected at most 3 tables, each under a heading such as [server.NAME] (line 2, column 5)"
        ]
    );
    assert_eq!(told("[server.a]"), ["server.a.url: missing (line 1, column 1)"]);
    assert_eq!(
        told("[server.a]\nurl = 'ftp'"),
        ["server.a.url: \"ftp\", expected an address (line 2, column 7)"]
    );
    assert_eq!(
        told("[server.a]\nurl = 'http'\nurll = 1"),
        ["server.a.urll: unknown key, known are url, tries; did you mean url? (line 3, column 1)"]
    );
    assert_eq!(
        told("[server.'a/../b']\nurl = 'http'"),
        ["server.\"a/../b\": \"a/../b\", expected 1 to 4 letters (line 1, column 9)"]
    );
    let four = told("[server.a]\n[server.b]\n[server.c]\n[server.d]");
    assert!(
        four.len() == 1 && four[0].contains("at most 3 tables"),
        "{four:?}"
    );
}

#[test]
fn the_reference_shows_the_keys_once() {
    let rows = Reference::of("Server", "", servers).markdown();
    let expected = [
        "| `[server.NAME]` |  | tables: up to 3 | none | what there is |",
        "| `[server.NAME]` | `url` | text: an address | required | where |",
        "| `[server.NAME]` | `tries` | whole number: from 1 to 9 | 4 | how often |",
    ];
    assert_eq!(rows.lines().skip(2).collect::<Vec<_>>(), expected);
}
