//! Masks and other things by path.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_kernel::{Limits, Mask, write_mask};
use nephrite_proto::convert::mask_labels;
use nephrite_proto::v1::mask::Content;
use nephrite_types::ErrorCode;

use crate::cases::messages::send;
use crate::cases::sameness::same;
use crate::kit::Kit;
use crate::masks;
use crate::stop::{Stop, ensure};
use crate::subject::{Reply, named};

/// Nothing else may be said of what lies outside: not even that it is no mask.
const OUTSIDE: &[ErrorCode] = &[ErrorCode::PermissionDenied, ErrorCode::NotFound];

fn failed(error: impl std::fmt::Display) -> Stop {
    Stop::Failed(format!("the kit cannot write its files: {error}"))
}

fn write(folder: &Path, name: &str, mask: &Mask) -> Result<PathBuf, Stop> {
    let opened = Dir::open_ambient_dir(folder, ambient_authority()).map_err(failed)?;
    write_mask(&opened, name, mask, &Limits::default()).map_err(failed)?;
    let path = folder.join(name);
    readable(&path);
    Ok(path)
}

/// A service of another user must be able to read it.
fn readable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)); // or it is left as it is
}

fn by_path(path: &Path) -> Content {
    Content::Path(path.to_string_lossy().into_owned())
}

pub(crate) fn inline_and_path(kit: &Kit) -> Result<(), Stop> {
    let folder = kit.folder()?;
    let service = kit.service()?;
    let kinds: [(&str, Arc<Mask>); 4] = [
        ("ordinary", masks::ordinary()),
        ("empty", masks::empty()),
        ("oblique", masks::oblique()),
        ("300-labels", masks::many_labels(300)),
    ];
    for (kind, mask) in kinds {
        let Ok(inline) = kit.result_of(&mask) else {
            continue; // told by another case
        };
        for ending in ["nii", "nii.gz"] {
            let path = write(folder, &format!("{kind}.{ending}"), &mask)?;
            let call = kit.call(&mask);
            let mut request = service.request(&call);
            let inputs = call.inputs.iter();
            request.inputs = inputs
                .map(|(name, mask)| named(name, by_path(&path), mask_labels(mask)))
                .collect();
            let reply = service.send(request, &call, kit.options.grace);
            let reply = reply.map_err(|error| Stop::Failed(format!("{kind} mask as .{ending}: {error}")))?;
            kit.check_promises(&call, &reply)?;
            same(&inline, &reply, &format!("for the {kind} mask as .{ending}"))?;
        }
    }
    Ok(())
}

pub(crate) fn large_mask(kit: &Kit) -> Result<(), Stop> {
    let path = write(kit.folder()?, "large.nii.gz", &masks::noisy())?;
    let service = kit.service()?;
    let mask = masks::noisy();
    let call = kit.call(&mask);
    let mut request = service.request(&call);
    let inputs = call.inputs.iter();
    request.inputs = inputs
        .map(|(name, mask)| named(name, by_path(&path), mask_labels(mask)))
        .collect();
    let reply = service.send(request, &call, kit.options.grace);
    let reply = reply.map_err(|error| Stop::Failed(error.to_string()))?;
    kit.check_promises(&call, &reply)
}

pub(crate) fn corrupt_file(kit: &Kit) -> Result<(), Stop> {
    let folder = kit.folder()?;
    let path = write(folder, "whole.nii.gz", &masks::ordinary())?;
    let whole = std::fs::read(&path).map_err(failed)?;
    let plain = std::fs::read(write(folder, "plain.nii", &masks::ordinary())?).map_err(failed)?;
    let spoiled = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(failed)?;
        readable(&path);
        Ok::<PathBuf, Stop>(path)
    };
    let codes = [
        ErrorCode::InvalidInput,
        ErrorCode::InvalidArgument,
        ErrorCode::NotFound,
    ];
    for (what, path) in [
        ("an empty file", spoiled("empty.nii", b"")?),
        (
            "a text",
            spoiled("text.nii.gz", b"this is no label map, whatever its name says")?,
        ),
        (
            "a file that is cut off",
            spoiled("cut.nii.gz", &whole[..whole.len() / 2])?,
        ),
        (
            "a header that says two lengths for one axis",
            spoiled("lengths.nii", &two_lengths(&plain))?,
        ),
        ("a folder", folder.to_owned()),
        ("a file that is not there", folder.join("absent.nii.gz")),
    ] {
        let answer = send(kit, Some(by_path(&path)), Vec::new())?;
        kit.expect_refusal(what, answer, &codes)?;
    }
    Ok(())
}

/// The file with another `pixdim[1]` than the affine has.
fn two_lengths(nifti: &[u8]) -> Vec<u8> {
    let mut bytes = nifti.to_vec();
    // The size of the header says which NIfTI it is.
    if bytes.starts_with(&348i32.to_le_bytes()) {
        bytes[80..84].copy_from_slice(&77f32.to_le_bytes());
    } else {
        bytes[112..120].copy_from_slice(&77f64.to_le_bytes());
    }
    bytes
}

pub(crate) fn outside_root(kit: &Kit) -> Result<(), Stop> {
    let folder = kit.folder()?;
    let outside = write(kit.outside(), "outside.nii.gz", &masks::ordinary())?;
    let up: PathBuf = folder.components().skip(1).map(|_| "..").collect();
    let below = outside.strip_prefix("/").map_err(failed)?;
    let link = folder.join("link.nii.gz");
    symlink(&outside, &link).map_err(failed)?;
    let folder_link = folder.join("link");
    symlink(kit.outside(), &folder_link).map_err(failed)?;
    let elsewhere = format!(
        "a mask at {}, which should lie outside of the service's root",
        outside.display()
    );
    for (what, path) in [
        (elsewhere.as_str(), outside.clone()),
        ("a mask elsewhere, by ..", folder.join(&up).join(below)),
        (
            "a mask elsewhere, by a relative path",
            Path::new("../../../../../../../../../../..").join(below),
        ),
        ("a link to a mask elsewhere", link),
        ("a folder that is a link", folder_link.join("outside.nii.gz")),
        ("a file of the system", PathBuf::from("/etc/passwd")),
    ] {
        let answer = send(kit, Some(by_path(&path)), mask_labels(&masks::ordinary()))?;
        kit.expect_refusal(what, answer, OUTSIDE)?;
    }
    std::fs::remove_file(&outside).map_err(failed)?;
    for exchange in [kit.outside(), &folder_link] {
        let mut call = kit.call(&masks::ordinary());
        call.exchange = Some(exchange.to_owned());
        call.artefacts = kit.description.artefacts.then(|| exchange.to_owned());
        if let Ok(reply) = kit.process(&call) {
            kit.check_promises(&call, &reply)?; // it had nothing to write
        }
        let mut left = std::fs::read_dir(kit.outside()).map_err(failed)?;
        ensure(left.next().is_none(), || {
            "it wrote to a folder elsewhere".to_owned()
        })?;
    }
    Ok(())
}

pub(crate) fn artefacts(kit: &Kit) -> Result<(), Stop> {
    let mut call = kit.call(&masks::ordinary());
    let reply = kit
        .process(&call)
        .map_err(|error| Stop::Failed(error.to_string()))?;
    ensure(reply.artefacts.is_empty(), || {
        "it wrote files without a folder".to_owned()
    })?;
    let first = folder_for(kit, "artefacts")?;
    call.artefacts = Some(first.clone());
    let answer = kit.process(&call);
    if !kit.description.artefacts {
        return kit.expect_refusal(
            "a folder for files that it does not write",
            answer,
            &[ErrorCode::InvalidArgument],
        );
    }
    let reply = answer.map_err(|error| Stop::Failed(error.to_string()))?;
    kit.check_promises(&call, &reply)?;
    named_files(&reply, &first)?;
    let second = folder_for(kit, "artefacts-again")?;
    call.artefacts = Some(second.clone());
    let again = kit
        .process(&call)
        .map_err(|error| Stop::Failed(error.to_string()))?;
    named_files(&again, &second)?;
    let names =
        |reply: &Reply| -> Vec<String> { reply.artefacts.iter().map(|(name, _)| name.clone()).collect() };
    ensure(names(&reply) == names(&again), || {
        format!(
            "it wrote {:?}, and {:?} the second time",
            names(&reply),
            names(&again)
        )
    })?;
    for name in names(&reply) {
        let bytes = |folder: &Path| std::fs::read(folder.join(&name)).map_err(failed);
        let are_same = bytes(&first)? == bytes(&second)?;
        ensure(are_same, || format!("{name} has other bytes the second time"))?;
    }
    Ok(())
}

/// A new folder that the operation may write to.
fn folder_for(kit: &Kit, name: &str) -> Result<PathBuf, Stop> {
    let folder = kit.folder()?.join(name);
    std::fs::create_dir(&folder).map_err(failed)?;
    if let Ok(metadata) = std::fs::metadata(kit.folder()?) {
        let _ = std::fs::set_permissions(&folder, metadata.permissions()); // as the folder around it
    }
    Ok(folder)
}

/// The reply names what lies in the folder, and nothing else.
fn named_files(reply: &Reply, folder: &Path) -> Result<(), Stop> {
    let mut named: Vec<&str> = Vec::new();
    for (name, path) in &reply.artefacts {
        ensure(*path == folder.join(name), || {
            format!("{name} lies at {}, outside of its folder", path.display())
        })?;
        ensure(path.is_file(), || format!("{name} is not there"))?;
        named.push(name);
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        ensure(named.contains(&name.as_str()), || {
            format!("it left {name} behind and does not name it")
        })?;
    }
    Ok(())
}
