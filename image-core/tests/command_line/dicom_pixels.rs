//! Pixels that are compressed, in the program as it is delivered: its allocator is not that of other tests.

use nephrite_dicom::test_util::samples_folder;

use crate::scene::Scene;

/// Of one image of 64 × 64 pixels, in pydicom's samples.
const PLAIN: &str = "MR_small";
const COMPRESSED: [&str; 2] = ["MR_small_jp2klossless", "MR_small_RLE"];
const INSTANCE: &[u8] = b"1.3.6.1.4.1.5962.1.1.4.1.1.20040826185059.5457";
const HEIGHT: &[u8] = b"\\6.6406";

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut changed = bytes.to_vec();
    let places: Vec<usize> = (0..=bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        changed[at..at + to.len()].copy_from_slice(to);
    }
    changed
}

/// Four images of one image, one above the other.
fn write_series(scene: &Scene, name: &str, image: &[u8]) {
    std::fs::create_dir(scene.path(name)).unwrap();
    for k in 0..4u8 {
        let last = INSTANCE.len() - 1;
        let instance = [&INSTANCE[..last], &[b'0' + k]].concat();
        let height = [&HEIGHT[..1], &[b'3' + k], &HEIGHT[2..]].concat();
        let file = replaced(&replaced(image, INSTANCE, &instance), HEIGHT, &height);
        scene.write(&format!("{name}/{k}.dcm"), &file);
    }
}

#[test]
fn a_compressed_series_is_the_scan_of_its_plain_twin() {
    let Some(samples) = samples_folder() else { return };
    let scene = Scene::new();
    let convert = |name: &str| {
        let image = std::fs::read(samples.join("pydicom").join(name).with_extension("dcm")).unwrap();
        write_series(&scene, name, &image);
        let output = format!("out/{name}.nii");
        scene
            .run(&["dicom", "convert", name, "--output", &output])
            .succeeded();
        scene.read(&output)
    };
    let plain = convert(PLAIN);
    for name in COMPRESSED {
        assert!(convert(name) == plain, "{name}");
    }
}

/// The C library's allocator keeps what large arrays leave.
#[cfg(all(target_os = "linux", not(target_env = "musl")))]
#[test]
fn memory_comes_from_jemalloc() {
    let scene = Scene::new();
    let mut command = scene.command(&["--version"]);
    let told = command.env("MALLOC_CONF", "stats_print:true").output().unwrap();
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(text.contains("jemalloc statistics"), "{text}");
}
