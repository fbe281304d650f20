//! The fixed-size part of a NIfTI file, version 1 and 2, both byte orders.
//!
//! The `nifti` crate reads version 1 only and takes `dim` as unsigned, so that a negative length looks like a large
//! one; version 2 needs a parser anyway. One table of byte offsets per version serves both, for reading and for
//! writing; the tests hold it against the `nifti` crate.
//!
//! Source: nifti1.h and nifti2.h of the NIfTI standard.

use std::io::Read;

use crate::VolumeError;
use crate::input::Input;

/// Which NIfTI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 348 bytes, `n+1`.
    One,
    /// 540 bytes, `n+2`.
    Two,
}

/// All fields that matter to us, widened to the types of version 2; not yet checked, except for the magic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) version: Version,
    pub(crate) big_endian: bool,
    /// `dim[0]` is the number of axes, then x, y, z, …
    pub(crate) dim: [i64; 8],
    pub(crate) intent_code: i32,
    pub(crate) datatype: i16,
    /// `pixdim[0]` is qfac, then x, y, z, …
    pub(crate) pixdim: [f64; 8],
    pub(crate) vox_offset: f64,
    pub(crate) scl_slope: f64,
    pub(crate) scl_inter: f64,
    pub(crate) xyzt_units: i32,
    pub(crate) qform_code: i32,
    pub(crate) sform_code: i32,
    pub(crate) quatern_bcd: [f64; 3],
    pub(crate) qoffset: [f64; 3],
    pub(crate) srow: [[f64; 4]; 3],
    /// Where the first voxel lies in the (decompressed) file, if another format says so in place of `vox_offset`.
    pub(crate) data_offset: Option<u64>,
}

/// Byte offsets of the fields.
struct Layout {
    n_bytes: usize,
    /// Bytes up to the first voxel when there are no extensions.
    min_vox_offset: u64,
    magic: usize,
    dim: usize,
    intent_code: usize,
    datatype: usize,
    bitpix: usize,
    pixdim: usize,
    vox_offset: usize,
    scl_slope: usize,
    scl_inter: usize,
    xyzt_units: usize,
    qform_code: usize,
    sform_code: usize,
    quatern_bcd: usize,
    qoffset: usize,
    srow: usize,
}

const LAYOUT_1: Layout = Layout {
    n_bytes: 348,
    min_vox_offset: 352,
    magic: 344,
    dim: 40,
    intent_code: 68,
    datatype: 70,
    bitpix: 72,
    pixdim: 76,
    vox_offset: 108,
    scl_slope: 112,
    scl_inter: 116,
    xyzt_units: 123,
    qform_code: 252,
    sform_code: 254,
    quatern_bcd: 256,
    qoffset: 268,
    srow: 280,
};

const LAYOUT_2: Layout = Layout {
    n_bytes: 540,
    min_vox_offset: 544,
    magic: 4,
    dim: 16,
    intent_code: 504,
    datatype: 12,
    bitpix: 14,
    pixdim: 104,
    vox_offset: 168,
    scl_slope: 176,
    scl_inter: 184,
    xyzt_units: 500,
    qform_code: 344,
    sform_code: 348,
    quatern_bcd: 352,
    qoffset: 376,
    srow: 400,
};

const MAGIC_1: &[u8; 4] = b"n+1\0";
const MAGIC_2: &[u8; 8] = b"n+2\0\r\n\x1a\n";

/// Bytes of the longer header.
pub(crate) const MAX_HEADER_BYTES: usize = LAYOUT_2.n_bytes;
/// Bytes of `sizeof_hdr`, which tells version and byte order.
pub(crate) const SNIFF_BYTES: usize = 4;

impl Version {
    fn layout(self) -> &'static Layout {
        match self {
            Version::One => &LAYOUT_1,
            Version::Two => &LAYOUT_2,
        }
    }

    /// Bytes of the header.
    pub(crate) fn n_header_bytes(self) -> usize {
        self.layout().n_bytes
    }

    /// Bytes up to the first voxel when there are no extensions.
    pub(crate) fn min_vox_offset(self) -> u64 {
        self.layout().min_vox_offset
    }

    /// 1 or 2.
    pub fn number(self) -> u8 {
        match self {
            Version::One => 1,
            Version::Two => 2,
        }
    }

    /// Version and whether the file is big-endian, from its first four bytes.
    pub(crate) fn sniff(first: [u8; SNIFF_BYTES]) -> Option<(Version, bool)> {
        match (u32::from_le_bytes(first), u32::from_be_bytes(first)) {
            (348, _) => Some((Version::One, false)),
            (_, 348) => Some((Version::One, true)),
            (540, _) => Some((Version::Two, false)),
            (_, 540) => Some((Version::Two, true)),
            _ => None,
        }
    }
}

/// Numbers out of, and into, the bytes of a header.
macro_rules! number_access {
    ($get:ident, $put:ident, $t:ty) => {
        fn $get(bytes: &[u8], at: usize, big_endian: bool) -> $t {
            let mut raw = [0; size_of::<$t>()];
            raw.copy_from_slice(&bytes[at..at + size_of::<$t>()]);
            if big_endian {
                <$t>::from_be_bytes(raw)
            } else {
                <$t>::from_le_bytes(raw)
            }
        }

        fn $put(bytes: &mut [u8], at: usize, big_endian: bool, value: $t) {
            let raw = if big_endian {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            };
            bytes[at..at + size_of::<$t>()].copy_from_slice(&raw);
        }
    };
}
number_access!(get_i16, put_i16, i16);
number_access!(get_i32, put_i32, i32);
number_access!(get_i64, put_i64, i64);
number_access!(get_f32, put_f32, f32);
number_access!(get_f64, put_f64, f64);

impl Header {
    /// Reads the fields of `bytes`, which are as many as [`Version::n_header_bytes`] says.
    pub(crate) fn parse(
        bytes: &[u8],
        version: Version,
        big_endian: bool,
        name: &str,
    ) -> Result<Header, VolumeError> {
        let at = version.layout();
        check_magic(&bytes[at.magic..], version, name)?;
        let e = big_endian;
        // The four kinds of field that have another width in version 2.
        let dim = |i| match version {
            Version::One => i64::from(get_i16(bytes, at.dim + 2 * i, e)),
            Version::Two => get_i64(bytes, at.dim + 8 * i, e),
        };
        let real = |offset, i| match version {
            Version::One => f64::from(get_f32(bytes, offset + 4 * i, e)),
            Version::Two => get_f64(bytes, offset + 8 * i, e),
        };
        let code = |offset| match version {
            Version::One => i32::from(get_i16(bytes, offset, e)),
            Version::Two => get_i32(bytes, offset, e),
        };
        Ok(Header {
            version,
            big_endian,
            dim: std::array::from_fn(dim),
            intent_code: code(at.intent_code),
            datatype: get_i16(bytes, at.datatype, e),
            pixdim: std::array::from_fn(|i| real(at.pixdim, i)),
            vox_offset: match version {
                Version::One => real(at.vox_offset, 0),
                // Exact up to 2^53; anything near that is far over every limit.
                Version::Two => get_i64(bytes, at.vox_offset, e) as f64,
            },
            scl_slope: real(at.scl_slope, 0),
            scl_inter: real(at.scl_inter, 0),
            xyzt_units: match version {
                Version::One => i32::from(bytes[at.xyzt_units]),
                Version::Two => get_i32(bytes, at.xyzt_units, e),
            },
            qform_code: code(at.qform_code),
            sform_code: code(at.sform_code),
            quatern_bcd: std::array::from_fn(|i| real(at.quatern_bcd, i)),
            qoffset: std::array::from_fn(|i| real(at.qoffset, i)),
            srow: std::array::from_fn(|r| std::array::from_fn(|c| real(at.srow, 4 * r + c))),
            data_offset: None,
        })
    }

    /// The bytes of the header and of the four that say "no extensions". Values are rounded to the widths of the
    /// version; the caller has made sure that lengths fit.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let at = self.version.layout();
        let e = self.big_endian;
        let mut bytes = vec![0u8; at.n_bytes + 4];
        put_i32(
            &mut bytes,
            0,
            e,
            if self.version == Version::One { 348 } else { 540 },
        );
        put_i16(&mut bytes, at.datatype, e, self.datatype);
        put_i16(&mut bytes, at.bitpix, e, bits_per_voxel(self.datatype));
        let real = |bytes: &mut [u8], offset: usize, i: usize, value: f64| match self.version {
            Version::One => put_f32(bytes, offset + 4 * i, e, value as f32),
            Version::Two => put_f64(bytes, offset + 8 * i, e, value),
        };
        for i in 0..8 {
            match self.version {
                Version::One => put_i16(&mut bytes, at.dim + 2 * i, e, self.dim[i] as i16),
                Version::Two => put_i64(&mut bytes, at.dim + 8 * i, e, self.dim[i]),
            }
            real(&mut bytes, at.pixdim, i, self.pixdim[i]);
        }
        for i in 0..3 {
            real(&mut bytes, at.quatern_bcd, i, self.quatern_bcd[i]);
            real(&mut bytes, at.qoffset, i, self.qoffset[i]);
            for c in 0..4 {
                real(&mut bytes, at.srow, 4 * i + c, self.srow[i][c]);
            }
        }
        real(&mut bytes, at.scl_slope, 0, self.scl_slope);
        real(&mut bytes, at.scl_inter, 0, self.scl_inter);
        match self.version {
            Version::One => {
                bytes[at.magic..at.magic + 4].copy_from_slice(MAGIC_1);
                bytes[38] = b'r'; // `regular`, wanted by ANALYZE readers
                put_f32(&mut bytes, at.vox_offset, e, self.vox_offset as f32);
                bytes[at.xyzt_units] = self.xyzt_units as u8;
                put_i16(&mut bytes, at.intent_code, e, self.intent_code as i16);
                put_i16(&mut bytes, at.qform_code, e, self.qform_code as i16);
                put_i16(&mut bytes, at.sform_code, e, self.sform_code as i16);
            }
            Version::Two => {
                bytes[at.magic..at.magic + 8].copy_from_slice(MAGIC_2);
                put_i64(&mut bytes, at.vox_offset, e, self.vox_offset as i64);
                put_i32(&mut bytes, at.xyzt_units, e, self.xyzt_units);
                put_i32(&mut bytes, at.intent_code, e, self.intent_code);
                put_i32(&mut bytes, at.qform_code, e, self.qform_code);
                put_i32(&mut bytes, at.sform_code, e, self.sform_code);
            }
        }
        bytes
    }
}

fn check_magic(magic: &[u8], version: Version, name: &str) -> Result<(), VolumeError> {
    let not_nifti = |reason| VolumeError::NotNifti {
        name: name.to_owned(),
        reason,
    };
    if magic.starts_with(b"ni1\0") || magic.starts_with(b"ni2\0") {
        return Err(VolumeError::SeparateHeader {
            name: name.to_owned(),
        });
    }
    match version {
        Version::One if magic.starts_with(MAGIC_1) => Ok(()),
        Version::One => Err(not_nifti("an ANALYZE-like header without the NIfTI magic n+1")),
        Version::Two if !magic.starts_with(&MAGIC_2[..4]) => Err(not_nifti("the magic n+2 is missing")),
        // Like PNG's: shows a file that was copied as text. Some writers leave it zero.
        Version::Two if magic[4..8] == MAGIC_2[4..] || magic[4..8] == [0; 4] => Ok(()),
        Version::Two => Err(not_nifti("the line-end mark after the magic n+2 was altered")),
    }
}

fn bits_per_voxel(datatype: i16) -> i16 {
    match datatype {
        2 | 256 => 8,
        4 | 512 => 16,
        8 | 16 | 768 => 32,
        64 | 1024 | 1280 => 64,
        _ => 0,
    }
}

/// The rest of a header that begins with `first`, and how many bytes it took.
pub(crate) fn read_nifti_header<R: Read>(
    input: &mut Input<'_, R>,
    first: [u8; SNIFF_BYTES],
    version: Version,
    big_endian: bool,
    name: &str,
) -> Result<(Header, u64), VolumeError> {
    let mut bytes = [0; MAX_HEADER_BYTES];
    bytes[..SNIFF_BYTES].copy_from_slice(&first);
    let n_header = version.n_header_bytes();
    let n = SNIFF_BYTES + input.read_up_to(&mut bytes[SNIFF_BYTES..n_header])?;
    if n < n_header {
        return Err(VolumeError::TruncatedHeader {
            name: name.to_owned(),
            expected: n_header as u64,
            found: n as u64,
        });
    }
    Ok((
        Header::parse(&bytes[..n_header], version, big_endian, name)?,
        n_header as u64,
    ))
}

/// The header without trailing axes of length 1 beyond the third.
pub(crate) fn without_trailing_axes(mut header: Header) -> Header {
    while let n @ 4..=7 = header.dim[0]
        && header.dim[n as usize] == 1
    {
        header.dim[0] -= 1;
    }
    header
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn plain(version: Version, big_endian: bool) -> Header {
        Header {
            version,
            big_endian,
            dim: [3, 4, 3, 2, 1, 1, 1, 1],
            intent_code: 0,
            datatype: 4,
            pixdim: [1.0, 2.0, 3.0, 4.0, 1.0, 1.0, 1.0, 1.0],
            vox_offset: version.min_vox_offset() as f64,
            scl_slope: 1.0,
            scl_inter: 0.0,
            xyzt_units: 2,
            qform_code: 0,
            sform_code: 1,
            quatern_bcd: [0.0; 3],
            qoffset: [0.0; 3],
            srow: [[2.0, 0.0, 0.0, 5.0], [0.0, 3.0, 0.0, 6.0], [0.0, 0.0, 4.0, 7.0]],
            data_offset: None,
        }
    }

    fn parse(bytes: &[u8]) -> Result<Header, VolumeError> {
        let (version, big_endian) = Version::sniff(bytes[..4].try_into().unwrap()).unwrap();
        Header::parse(&bytes[..version.n_header_bytes()], version, big_endian, "t.nii")
    }

    prop_compose! {
        fn header()(
            two in any::<bool>(), big_endian in any::<bool>(), dim in prop::array::uniform7(1i64..2000),
            n_dims in 1i64..8, reals in prop::array::uniform32(-1000.0f32..1000.0), codes in prop::array::uniform4(0i32..9),
        ) -> Header {
            let r = |i: usize| f64::from(reals[i]);
            Header {
                dim: std::array::from_fn(|i| if i == 0 { n_dims } else { dim[i - 1] }),
                intent_code: codes[0],
                pixdim: std::array::from_fn(|i| if i == 0 { -1.0 } else { r(i) }),
                scl_slope: r(8),
                scl_inter: r(9),
                xyzt_units: codes[1],
                qform_code: codes[2],
                sform_code: codes[3],
                quatern_bcd: std::array::from_fn(|i| r(10 + i)),
                qoffset: std::array::from_fn(|i| r(13 + i)),
                srow: std::array::from_fn(|row| std::array::from_fn(|c| r(16 + 4 * row + c))),
                ..plain(if two { Version::Two } else { Version::One }, big_endian)
            }
        }
    }

    proptest! {
        #[test]
        fn encode_then_parse_is_identity(header in header()) {
            prop_assert_eq!(parse(&header.encode()).unwrap(), header);
        }

        /// The `nifti` crate as a second opinion on every offset of version 1.
        #[test]
        fn the_nifti_crate_reads_the_same_fields(header in header()) {
            let ours = Header { version: Version::One, vox_offset: 352.0, ..header };
            let theirs = nifti::NiftiHeader::from_reader(&ours.encode()[..348]).unwrap();
            let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
            prop_assert_eq!(theirs.dim.map(i64::from), ours.dim);
            prop_assert_eq!(wide(&theirs.pixdim), ours.pixdim);
            prop_assert_eq!(wide(&theirs.srow_x), ours.srow[0]);
            prop_assert_eq!(wide(&theirs.srow_y), ours.srow[1]);
            prop_assert_eq!(wide(&theirs.srow_z), ours.srow[2]);
            prop_assert_eq!(wide(&[theirs.quatern_b, theirs.quatern_c, theirs.quatern_d]), ours.quatern_bcd);
            prop_assert_eq!(wide(&[theirs.quatern_x, theirs.quatern_y, theirs.quatern_z]), ours.qoffset);
            prop_assert_eq!(wide(&[theirs.scl_slope, theirs.scl_inter]), [ours.scl_slope, ours.scl_inter]);
            prop_assert_eq!((theirs.datatype, theirs.bitpix), (4, 16));
            prop_assert_eq!(i32::from(theirs.qform_code), ours.qform_code);
            prop_assert_eq!(i32::from(theirs.sform_code), ours.sform_code);
            prop_assert_eq!(i32::from(theirs.intent_code), ours.intent_code);
            prop_assert_eq!(i32::from(theirs.xyzt_units), ours.xyzt_units);
            prop_assert_eq!(f64::from(theirs.vox_offset), ours.vox_offset);
        }
    }

    #[test]
    fn wrong_magic_is_refused() {
        let mut bytes = plain(Version::One, false).encode();
        bytes[344..348].copy_from_slice(b"ni1\0");
        assert!(matches!(parse(&bytes), Err(VolumeError::SeparateHeader { .. })));
        bytes[344..348].fill(0);
        assert!(matches!(parse(&bytes), Err(VolumeError::NotNifti { .. })));
        let mut bytes = plain(Version::Two, true).encode();
        bytes[8] = b'\n';
        assert!(matches!(parse(&bytes), Err(VolumeError::NotNifti { .. })));
        bytes[8..12].fill(0);
        assert!(parse(&bytes).is_ok());
    }
}
