//! The keys of a server's configuration that are about NVIDIA cards.

use std::ops::Bound;
use std::path::Path;

use nephrite_engine::Provider;
use nephrite_nnunet::{HalfCheck, Otherwise};
use nephrite_settings::Section;
use nephrite_settings::kind::{choice, list, number, parsed, path, text, whole};

use crate::model::{CudaSettings, Device};

/// What only provider `cuda` has.
pub(super) fn read_cuda(top: &mut Section<'_>, provider: Provider, folder: &Path) -> CudaSettings {
    let default = CudaSettings::default();
    let of_cuda = provider == Provider::Cuda;
    let devices = match of_cuda {
        true => list(
            parsed("a card such as \"cuda:0\""),
            1,
            "a list of at least one card such as \"cuda:0\"",
        ),
        false => list(
            text("none with any provider but cuda", |_| None::<Device>),
            1,
            "none with any provider but cuda",
        ),
    };
    let devices = top.option(
        "devices",
        devices,
        "[\"cuda:0\"]",
        "NVIDIA cards that run networks; one that is named twice counts as two with half of the memory each",
    );
    let read = |section: &mut Section<'_>| {
        let kinds = choice(&[
            ("f32", Some(Otherwise::Single)),
            ("refuse", Some(Otherwise::Refuse)),
            ("off", None),
        ]);
        let half_check = section.get(
            "half_check",
            kinds,
            Some(Otherwise::Single),
            "what becomes of a network that labels voxels otherwise in half precision than in f32: it runs in f32, is refused, or \
             nobody looks",
        );
        let min_agreement = section.get(
            "half_agreement",
            number((Bound::Included(0.0), Bound::Included(1.0))),
            HalfCheck::default().min_agreement,
            "share of the voxels of fixed tiles that must be labeled alike",
        );
        let max_memory_bytes = section.option(
            "max_card_bytes",
            whole(1..),
            "most of what is free",
            "bytes that may be taken on each card; a model that needs more is refused before it is loaded",
        );
        let libraries = section.option(
            "libraries",
            list(path("a folder"), 0, "a list of folders"),
            "where the system looks",
            "folders that hold cuDNN and NVRTC, relative to the file",
        );
        let cache = section.option(
            "cache",
            path("a folder"),
            "the user's cache folder",
            "where compiled kernels are kept for the next start",
        );
        CudaSettings {
            half_check: half_check.map(|otherwise| HalfCheck {
                min_agreement,
                otherwise,
            }),
            max_memory_bytes,
            libraries: libraries
                .unwrap_or_default()
                .into_iter()
                .map(|path| folder.join(path))
                .collect(),
            cache: cache.map(|path| folder.join(path)),
            ..CudaSettings::default()
        }
    };
    CudaSettings {
        devices: devices.unwrap_or(default.devices),
        ..top.table("cuda", "how cards run networks, with provider cuda", read)
    }
}
