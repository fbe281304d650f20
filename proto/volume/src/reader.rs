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

    /// True for the two that follow ITK.
    pub(crate) fn is_itk(self) -> bool {
        matches!(self, Reader::SimpleItk | Reader::SimpleItkReorient)
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
