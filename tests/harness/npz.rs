//! Arrays from numpy's `.npz`: a zip of `.npy` members.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use ndarray::{ArrayD, IxDyn};
use npyz::{Deserialize, NpyFile};
use zip::ZipArchive;

/// One open `.npz` file.
pub struct Npz {
    archive: ZipArchive<File>,
    name: String,
}

impl Npz {
    /// Opens `path`.
    ///
    /// # Errors
    /// If it cannot be opened or is no zip file.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| name.clone())?;
        Ok(Npz {
            archive: ZipArchive::new(file).with_context(|| name.clone())?,
            name,
        })
    }

    /// True if there is a member `key`.
    pub fn has(&self, key: &str) -> bool {
        self.archive.index_for_name(&format!("{key}.npy")).is_some()
    }

    /// The member `key`, in C order.
    ///
    /// # Errors
    /// If it is not there, or not of this type or order.
    pub fn array<T: Deserialize>(&mut self, key: &str) -> Result<ArrayD<T>> {
        let member = self
            .archive
            .by_name(&format!("{key}.npy"))
            .with_context(|| format!("{key} of {}", self.name))?;
        let npy = NpyFile::new(member)?;
        ensure!(
            npy.order() == npyz::Order::C,
            "{key} of {} is not in C order",
            self.name
        );
        let shape: Vec<usize> = npy
            .shape()
            .iter()
            .map(|&n| usize::try_from(n))
            .collect::<Result<_, _>>()?;
        let values = npy
            .into_vec::<T>()
            .with_context(|| format!("{key} of {}", self.name))?;
        Ok(ArrayD::from_shape_vec(IxDyn(&shape), values)?)
    }
}
