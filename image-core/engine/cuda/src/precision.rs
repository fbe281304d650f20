//! In what a network computes on a card.

/// In what a network computes on a card. Sums, statistics, and class sums are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// Values and factors in f32.
    Single,
    /// Values in f32, factors of convolutions in tf32: 10 bits of mantissa.
    Tf32,
    /// Values and factors in half precision.
    #[default]
    Half,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 3] = [Precision::Single, Precision::Tf32, Precision::Half];

    /// What its values are held in.
    pub(crate) fn element(self) -> Element {
        match self {
            Precision::Half => Element::Half,
            Precision::Single | Precision::Tf32 => Element::Single,
        }
    }
}

/// In what values between layers are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Element {
    Single,
    Half,
}

impl Element {
    /// Bytes of a value.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Element::Single => 4,
            Element::Half => 2,
        }
    }

    /// Values that are read and written together: 16 bytes.
    pub(crate) fn vector(self) -> usize {
        16 / self.bytes()
    }
}
