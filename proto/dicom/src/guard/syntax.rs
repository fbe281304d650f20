//! Transfer syntaxes: how a data set is written, and how its pixels are.

/// How elements are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// Elements name their value representation.
    pub explicit: bool,
    /// Numbers are stored most significant byte first.
    pub big_endian: bool,
}

impl Encoding {
    /// The form of most files.
    pub const EXPLICIT_LITTLE: Encoding = Encoding {
        explicit: true,
        big_endian: false,
    };
    /// The default of the network protocol.
    pub const IMPLICIT_LITTLE: Encoding = Encoding {
        explicit: false,
        big_endian: false,
    };
    const EXPLICIT_BIG: Encoding = Encoding {
        explicit: true,
        big_endian: true,
    };
}

/// How pixels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelCoding {
    /// As numbers, one after the other.
    Native,
    /// PackBits per byte plane.
    Rle,
    /// JPEG: baseline, or lossless.
    Jpeg,
    /// JPEG 2000, classic or high-throughput.
    Jpeg2000,
    /// Not decoded.
    Unsupported,
}

/// A transfer syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferSyntax {
    /// As in the file.
    pub uid: String,
    /// For people; of a syntax that is not supported, with the reason.
    pub name: &'static str,
    /// Of the data set.
    pub encoding: Encoding,
    /// The data set is deflated.
    pub deflated: bool,
    /// Of the pixels.
    pub coding: PixelCoding,
    /// What was compressed is not what was measured, in every case.
    pub lossy: bool,
}

/// Name, deflated, coding and lossy, by the rest of the UID behind `1.2.840.10008.1.2`.
const STANDARD: &[(&str, &str, PixelCoding, bool)] = &[
    ("", "implicit VR little endian", PixelCoding::Native, false),
    (".1", "explicit VR little endian", PixelCoding::Native, false),
    (
        ".1.99",
        "deflated explicit VR little endian",
        PixelCoding::Native,
        false,
    ),
    (".2", "explicit VR big endian", PixelCoding::Native, false),
    (".4.50", "JPEG baseline", PixelCoding::Jpeg, true),
    (".4.51", "JPEG extended", PixelCoding::Unsupported, true),
    (".4.57", "JPEG lossless", PixelCoding::Jpeg, false),
    (
        ".4.70",
        "JPEG lossless, first-order prediction",
        PixelCoding::Jpeg,
        false,
    ),
    (".4.80", "JPEG-LS lossless", PixelCoding::Unsupported, false),
    (".4.81", "JPEG-LS near-lossless", PixelCoding::Unsupported, true),
    (".4.90", "JPEG 2000 lossless", PixelCoding::Jpeg2000, false),
    (".4.91", "JPEG 2000", PixelCoding::Jpeg2000, false),
    (
        ".4.92",
        "JPEG 2000 part 2 lossless",
        PixelCoding::Unsupported,
        false,
    ),
    (".4.93", "JPEG 2000 part 2", PixelCoding::Unsupported, false),
    (".4.110", "JPEG XL lossless", PixelCoding::Unsupported, false),
    (
        ".4.111",
        "JPEG XL JPEG recompression",
        PixelCoding::Unsupported,
        true,
    ),
    (".4.112", "JPEG XL", PixelCoding::Unsupported, true),
    (
        ".4.201",
        "high-throughput JPEG 2000 lossless",
        PixelCoding::Jpeg2000,
        false,
    ),
    (
        ".4.202",
        "high-throughput JPEG 2000 lossless with RPCL",
        PixelCoding::Jpeg2000,
        false,
    ),
    (
        ".4.203",
        "high-throughput JPEG 2000",
        PixelCoding::Jpeg2000,
        false,
    ),
    (".5", "RLE lossless", PixelCoding::Rle, false),
];

/// Implicit VR, yet numbers of pixels are big endian.
const GE_PRIVATE: &str = "1.2.840.113619.5.2";

impl TransferSyntax {
    /// The syntax with this UID; one that is not known reads as explicit little endian, as all encapsulated ones are.
    pub fn from_uid(uid: &str) -> TransferSyntax {
        let known = uid
            .strip_prefix("1.2.840.10008.1.2")
            .and_then(|rest| STANDARD.iter().find(|(suffix, ..)| *suffix == rest));
        let syntax = |name, encoding, coding, lossy| TransferSyntax {
            uid: uid.to_owned(),
            name,
            encoding,
            deflated: uid == "1.2.840.10008.1.2.1.99",
            coding,
            lossy,
        };
        match known {
            Some(&(suffix, name, coding, lossy)) => {
                let encoding = match suffix {
                    "" => Encoding::IMPLICIT_LITTLE,
                    ".2" => Encoding::EXPLICIT_BIG,
                    _ => Encoding::EXPLICIT_LITTLE,
                };
                syntax(name, encoding, coding, lossy)
            }
            None if uid == GE_PRIVATE => syntax(
                "GE private: implicit VR little endian with big endian pixels",
                Encoding::IMPLICIT_LITTLE,
                PixelCoding::Unsupported,
                false,
            ),
            None => syntax(
                "not known",
                Encoding::EXPLICIT_LITTLE,
                PixelCoding::Unsupported,
                false,
            ),
        }
    }

    /// The syntax of a data set without a file header, by its first element.
    pub(crate) fn guess(dataset: &[u8]) -> TransferSyntax {
        let explicit = dataset
            .get(4..6)
            .is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase));
        TransferSyntax::from_uid(if explicit {
            "1.2.840.10008.1.2.1"
        } else {
            "1.2.840.10008.1.2"
        })
    }
}
