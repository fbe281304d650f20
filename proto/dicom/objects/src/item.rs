//! Data sets piece by piece: attributes with the types that the data dictionary gives them.

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _, VirtualVr};
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, DicomValue, Length, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::InMemDicomObject;

use crate::code::Code;
use crate::decimal::decimal;

/// A data set that is being made: the object itself, or an item of a sequence.
#[derive(Debug)]
pub(crate) struct Item(InMemDicomObject);

impl Item {
    pub(crate) fn new() -> Item {
        Item(InMemDicomObject::new_empty())
    }

    /// With what was copied.
    pub(crate) fn from_object(object: InMemDicomObject) -> Item {
        Item(object)
    }

    pub(crate) fn into_object(self) -> InMemDicomObject {
        self.0
    }

    /// Text of any kind, `\` between values; empty for an attribute without a value.
    pub(crate) fn text(mut self, tag: Tag, text: impl Into<String>) -> Item {
        let text: String = text.into();
        let value = if text.is_empty() {
            PrimitiveValue::Empty
        } else {
            PrimitiveValue::from(text)
        };
        self.0.put(DataElement::new(tag, vr_of(tag), value));
        self
    }

    /// Several texts.
    pub(crate) fn texts(self, tag: Tag, texts: impl IntoIterator<Item = String>) -> Item {
        let texts: Vec<String> = texts.into_iter().collect();
        self.text(tag, texts.join("\\"))
    }

    /// Decimal strings, each of 16 characters at most.
    pub(crate) fn decimals(self, tag: Tag, values: impl IntoIterator<Item = f64>) -> Item {
        self.texts(tag, values.into_iter().map(decimal))
    }

    /// 16-bit numbers.
    pub(crate) fn u16s(mut self, tag: Tag, values: impl IntoIterator<Item = u16>) -> Item {
        let value = PrimitiveValue::U16(values.into_iter().collect());
        self.0.put(DataElement::new(tag, VR::US, value));
        self
    }

    /// 32-bit numbers.
    pub(crate) fn u32s(mut self, tag: Tag, values: impl IntoIterator<Item = u32>) -> Item {
        let value = PrimitiveValue::U32(values.into_iter().collect());
        self.0.put(DataElement::new(tag, VR::UL, value));
        self
    }

    /// Tags as a value.
    pub(crate) fn tag(mut self, tag: Tag, value: Tag) -> Item {
        self.0
            .put(DataElement::new(tag, VR::AT, PrimitiveValue::from(value)));
        self
    }

    /// A double.
    pub(crate) fn double(mut self, tag: Tag, value: f64) -> Item {
        self.0
            .put(DataElement::new(tag, VR::FD, PrimitiveValue::from(value)));
        self
    }

    /// A sequence; without items it is there, and empty.
    pub(crate) fn sequence(mut self, tag: Tag, items: impl IntoIterator<Item = Item>) -> Item {
        let items: Vec<InMemDicomObject> = items.into_iter().map(Item::into_object).collect();
        let length = if items.is_empty() {
            Length(0)
        } else {
            Length::UNDEFINED
        };
        let value = DicomValue::from(DataSetSequence::new(items, length));
        self.0.put(DataElement::new(tag, VR::SQ, value));
        self
    }

    /// A sequence of one code.
    pub(crate) fn code(self, tag: Tag, code: &Code) -> Item {
        self.sequence(tag, [code_item(code)])
    }

    /// Changes something only where it applies.
    pub(crate) fn when<T>(self, value: Option<T>, change: impl FnOnce(Item, T) -> Item) -> Item {
        match value {
            Some(value) => change(self, value),
            None => self,
        }
    }

    /// Adds attributes without a value where they are missing.
    pub(crate) fn with_empty(mut self, tags: &[Tag]) -> Item {
        for &tag in tags {
            if self.0.get(tag).is_none() {
                self = self.text(tag, "");
            }
        }
        self
    }
}

/// Code Sequence Macro. Source: PS3.3 8.8.
pub(crate) fn code_item(code: &Code) -> Item {
    Item::new()
        .text(tags::CODE_VALUE, code.value.as_str())
        .text(tags::CODING_SCHEME_DESIGNATOR, code.scheme.as_str())
        .text(tags::CODE_MEANING, code.meaning.as_str())
}

/// The only type, or the first of those that the dictionary allows.
fn vr_of(tag: Tag) -> VR {
    let entry = StandardDataDictionary.by_tag(tag);
    match entry.map(|entry| entry.vr()) {
        Some(VirtualVr::Exact(vr)) => vr,
        _ => VR::UN,
    }
}
