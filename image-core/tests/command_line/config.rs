//! `nephrite config`: what files can say, and what is wrong with that of a server.

use crate::scene::Scene;

#[test]
fn keys_are_explained_for_every_kind_of_file() {
    let scene = Scene::new();
    let printed = |arguments: &[&str]| scene.run(&[&["config"], arguments].concat()).succeeded().stdout;
    let server = printed(&["--explain"]);
    assert_eq!(server, printed(&["--explain", "server"]));
    for says in [
        "\n[limits]  what one request may cost\nmax_voxels  (whole number: at least 1; default 2147483648)",
        "max_model_bytes  (whole number: at least 0; default 8589934592 (8 GiB))",
        "root  (text: a folder; required)",
        "provider  (text: cpu, cuda or openvino; default \"cpu\")",
        "precision  (text: f32 or bf16 with provider cpu; default f32, with provider cuda half)",
        "devices  (list: ",
        "instructions  (text: avx512, avx2, neon or portable; default the best of this processor)",
    ] {
        assert!(server.contains(says), "{says} is not in\n{server}");
    }
    assert!(
        printed(&["--explain", "services"])
            .contains("\nmax_waiting_requests  (whole number: from 0 to 4096; default 16)")
    );
    assert!(
        printed(&["--explain", "services"])
            .contains("\noperations  (list: of at least one name; default all that")
    );
    let pipeline = printed(&["--explain", "pipeline", "--markdown"]);
    assert!(pipeline.contains(
        "\n| `[[models]]` | `crop.margin_mm` | number: from 0 to 10000 | 0 | around the box, mm |\n"
    ));
    for wrong in [
        &[][..],
        &["--markdown"],
        &["--explain", "model"],
        &["--explain", "--check", "x.toml"],
    ] {
        assert_eq!(
            scene.run(&[&["config"], wrong].concat()).exit,
            Some(2),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_server_file_is_checked_and_all_faults_are_told() {
    let scene = Scene::new();
    let check = |text: &[u8]| {
        scene.write("nephrite.toml", text);
        scene.run(&["config", "--check", "nephrite.toml"])
    };
    check(b"root = 'nowhere'\n[limits]\nmax_tiles = 5\n").succeeded();
    let outcome = check(b"lisen = 'x'\nroot = '.'\n\nthreads = 0\n[limits]\nmax_tiles = 5\nmax_tiles = 6\n");
    assert_eq!(outcome.exit, Some(3), "{outcome:?}");
    for says in [
        "nephrite.toml:\n  lisen: unknown key, known are root, ",
        "; did you mean listen? (line 1, column 1)\n",
        "\n  threads: 0, expected a whole number of at least 1 (line 4, column 11)\n",
        "\n  max_tiles: duplicate key (line 7, column 1)\n",
    ] {
        assert!(
            outcome.stderr.contains(says),
            "{says} is not in {}",
            outcome.stderr
        );
    }
    assert!(outcome.stdout.is_empty());
    let deep = check(format!("root = {}", "[".repeat(100_000)).as_bytes());
    assert_eq!(deep.exit, Some(3));
    assert!(
        deep.stderr.contains("a nesting of more than 16 levels"),
        "{}",
        deep.stderr
    );
    assert_eq!(check(b"root = '\xff'").exit, Some(3));
    assert_eq!(scene.run(&["config", "--check", "none.toml"]).exit, Some(3));
}
