//! Adler-32, of parts that are summed on their own and joined.
//!
//! Source: RFC 1950; `adler32_combine` of zlib.

const BASE: u32 = 65_521;

/// Most bytes before a sum of 32 bits has to be reduced.
const CHUNK: usize = 5552;

/// The checksum of some bytes: their sum plus one, and the sum of these sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Adler32 {
    a: u32,
    b: u32,
}

impl Adler32 {
    /// Of no bytes.
    pub(crate) const EMPTY: Adler32 = Adler32 { a: 1, b: 0 };

    pub(crate) fn of(bytes: &[u8]) -> Adler32 {
        let Adler32 { mut a, mut b } = Adler32::EMPTY;
        for chunk in bytes.chunks(CHUNK) {
            for &byte in chunk {
                a += u32::from(byte);
                b += a;
            }
            a %= BASE;
            b %= BASE;
        }
        Adler32 { a, b }
    }

    /// Of these bytes and then those of `other`, which are `n_bytes`.
    pub(crate) fn followed_by(self, other: Adler32, n_bytes: usize) -> Adler32 {
        let base = u64::from(BASE);
        let (n, a) = (n_bytes as u64 % base, u64::from(self.a));
        // every later sum is larger by what this one is over 1
        let b = u64::from(self.b) + u64::from(other.b) + n * (a + base - 1);
        Adler32 {
            a: ((a + u64::from(other.a) + base - 1) % base) as u32, // below the base
            b: (b % base) as u32,
        }
    }

    pub(crate) fn value(self) -> u32 {
        self.b << 16 | self.a
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        // python: zlib.adler32(b"Wikipedia"), zlib.adler32(bytes(range(256)) * 100)
        assert_eq!(Adler32::of(b"Wikipedia").value(), 0x11e6_0398);
        let bytes: Vec<u8> = (0..25_600).map(|i| i as u8).collect();
        assert_eq!(Adler32::of(&bytes).value(), ADLER_OF_RANGE);
    }

    const ADLER_OF_RANGE: u32 = 0x747fd0e0;

    proptest! {
        #[test]
        fn parts_make_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..20_000), cut in any::<prop::sample::Index>()) {
            let cut = cut.index(bytes.len() + 1);
            let (first, second) = bytes.split_at(cut);
            let joined = Adler32::of(first).followed_by(Adler32::of(second), second.len());
            prop_assert_eq!(joined, Adler32::of(&bytes));
        }
    }
}
