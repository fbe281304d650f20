//! The four readers of nnU-Net, and the two worlds in which they place voxels.

use crate::VolumeError;

/// Which of nnU-Net's image readers to be. They differ in geometry, scale factors and NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reader {
    /// `SimpleITKIO`: as ITK reads NIfTI. The default of nnU-Net.
    SimpleItk,
    /// `SimpleITKIOWithReorient`: the same, then axes turned to R, A, S.
    SimpleItkReorient,
    /// `NibabelIO`: as nibabel reads NIfTI.
    Nibabel,
    /// `NibabelIOWithReorient`: the same, then axes turned to R, A, S.
    NibabelReorient,
}

/// Whose rules say where the voxels of a file lie.
///
/// A header can say it twice, and ITK and nibabel then believe different parts of it; a case settles for one of the two, so
/// that masks of one file can be related by voxel, and those of several files by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum World {
    /// ITK's.
    Itk,
    /// nibabel's.
    Nibabel,
}

impl World {
    /// `ITK` or `nibabel`.
    pub fn name(self) -> &'static str {
        match self {
            World::Itk => "ITK",
            World::Nibabel => "nibabel",
        }
    }

    /// The other one.
    pub fn other(self) -> World {
        match self {
            World::Itk => World::Nibabel,
            World::Nibabel => World::Itk,
        }
    }

    /// The reader that leaves axes as they are in the file.
    pub fn plain_reader(self) -> Reader {
        match self {
            World::Itk => Reader::SimpleItk,
            World::Nibabel => Reader::Nibabel,
        }
    }
}

impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Reader {
    /// All readers.
    pub const ALL: [Reader; 4] = [
        Reader::SimpleItk,
        Reader::SimpleItkReorient,
        Reader::Nibabel,
        Reader::NibabelReorient,
    ];

    /// nnU-Net's class name, as in `image_reader_writer` of `plans.json`.
    pub fn name(self) -> &'static str {
        match self {
            Reader::SimpleItk => "SimpleITKIO",
            Reader::SimpleItkReorient => "SimpleITKIOWithReorient",
            Reader::Nibabel => "NibabelIO",
            Reader::NibabelReorient => "NibabelIOWithReorient",
        }
    }

    /// The reader with nnU-Net's class name.
    ///
    /// # Errors
    /// [`VolumeError::UnknownReader`] for anything else, `NaturalImage2DIO` and `Tiff3DIO` among them.
    pub fn from_name(name: &str) -> Result<Reader, VolumeError> {
        Reader::ALL
            .into_iter()
            .find(|reader| reader.name() == name)
            .ok_or_else(|| VolumeError::UnknownReader {
                reader: name.to_owned(),
            })
    }

    /// True if axes are turned to R, A, S.
    pub fn reorients(self) -> bool {
        matches!(self, Reader::SimpleItkReorient | Reader::NibabelReorient)
    }

    /// Whose rules it follows.
    pub fn world(self) -> World {
        match self {
            Reader::SimpleItk | Reader::SimpleItkReorient => World::Itk,
            Reader::Nibabel | Reader::NibabelReorient => World::Nibabel,
        }
    }

    /// True for the two that follow ITK.
    pub(crate) fn is_itk(self) -> bool {
        self.world() == World::Itk
    }
}

impl std::fmt::Display for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused_by_name() {
        for reader in Reader::ALL {
            assert_eq!(Reader::from_name(reader.name()).unwrap(), reader);
        }
        for name in ["NaturalImage2DIO", "Tiff3DIO", "simpleitkio", ""] {
            let error = Reader::from_name(name).unwrap_err();
            assert!(matches!(&error, VolumeError::UnknownReader { reader } if reader == name));
            assert!(error.to_string().contains(name));
        }
    }
}
