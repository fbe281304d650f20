//! Voxels as they lie in a file.

use nephrite_types::Stored;

/// A voxel type that can be taken from, and put into, the bytes of a file.
pub(crate) trait FileVoxel: Stored {
    /// Appends the voxels in `bytes`, whose length is a multiple of the voxel's. With `only_finite`, NaN and infinities
    /// become 0.
    fn append_from_bytes(voxels: &mut Vec<Self>, bytes: &[u8], big_endian: bool, only_finite: bool);

    /// Appends the little-endian bytes of `voxels`.
    fn append_to_bytes(voxels: impl Iterator<Item = Self>, bytes: &mut Vec<u8>);
}

macro_rules! file_voxel {
    ($($t:ty: $finite:expr),*) => {$(
        impl FileVoxel for $t {
            fn append_from_bytes(voxels: &mut Vec<Self>, bytes: &[u8], big_endian: bool, only_finite: bool) {
                // One plain loop per case, so that each becomes a block copy or a vector loop.
                let (raw, _) = bytes.as_chunks::<{ size_of::<$t>() }>();
                let finite: fn($t) -> $t = $finite;
                match (big_endian, only_finite) {
                    (false, false) => voxels.extend(raw.iter().map(|&b| <$t>::from_le_bytes(b))),
                    (true, false) => voxels.extend(raw.iter().map(|&b| <$t>::from_be_bytes(b))),
                    (false, true) => voxels.extend(raw.iter().map(|&b| finite(<$t>::from_le_bytes(b)))),
                    (true, true) => voxels.extend(raw.iter().map(|&b| finite(<$t>::from_be_bytes(b)))),
                }
            }

            fn append_to_bytes(voxels: impl Iterator<Item = Self>, bytes: &mut Vec<u8>) {
                bytes.extend(voxels.flat_map(|v| v.to_le_bytes()));
            }
        }
    )*};
}
file_voxel!(
    u8: |v| v, i8: |v| v, u16: |v| v, i16: |v| v, u32: |v| v, i32: |v| v, u64: |v| v, i64: |v| v,
    f32: |v| if v.is_finite() { v } else { 0.0 }, f64: |v| if v.is_finite() { v } else { 0.0 }
);
