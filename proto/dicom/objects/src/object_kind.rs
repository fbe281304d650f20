//! What an object from outside is, by its class.

use dicom_dictionary_std::{tags, uids};
use nephrite_dicom::DicomObject;

use crate::ObjectError;
use crate::attributes::text;

/// What is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A segmentation, for [`read_seg`](crate::read_seg).
    Segmentation,
    /// A structure set, for [`read_structure_set`](crate::read_structure_set), which needs the series that its contours lie on.
    StructureSet,
}

impl ObjectKind {
    /// By SOPClassUID.
    ///
    /// # Errors
    /// [`ObjectError::Object`] for any other class.
    pub fn of(file: &DicomObject) -> Result<ObjectKind, ObjectError> {
        match text(&file.header.object, tags::SOP_CLASS_UID)?.as_str() {
            uids::SEGMENTATION_STORAGE | uids::LABEL_MAP_SEGMENTATION_STORAGE => Ok(ObjectKind::Segmentation),
            uids::RT_STRUCTURE_SET_STORAGE => Ok(ObjectKind::StructureSet),
            other => {
                let reason = format!("is {other:.64}, which is no segmentation and no structure set");
                Err(ObjectError::object("SOPClassUID", reason))
            }
        }
    }
}
