//! How the factors of products are held: f32, or pairs of bf16 in the place of one f32.
//!
//! A pair is a channel of one vector (the low half) and the same channel of the next vector (the high half): what the
//! instruction that multiplies pairs wants, and what whole vectors can be turned into without moving lanes.

use pulp::Simd;

use crate::view::{load, store};

/// How factors are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    F32,
    /// Two channels in one place; only with 16 lanes.
    Bf16Pairs,
}

/// Lanes of the one instruction set that multiplies pairs.
pub(crate) const PAIR_LANES: usize = 16;

/// Where one channel is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which f32.
    pub(crate) at: usize,
    pub(crate) half: Half,
}

/// Which bits of an f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Whole,
    Low,
    High,
}

impl Form {
    /// Places that the channels of one voxel take.
    pub(crate) fn n_places(self, pitch: usize) -> usize {
        match self {
            Form::F32 => pitch,
            Form::Bf16Pairs => (pitch / PAIR_LANES).div_ceil(2) * PAIR_LANES,
        }
    }

    /// The place of a channel among those.
    pub(crate) fn place(self, channel: usize) -> Place {
        match self {
            Form::F32 => Place {
                at: channel,
                half: Half::Whole,
            },
            Form::Bf16Pairs => {
                let vector = channel / PAIR_LANES;
                Place {
                    at: vector / 2 * PAIR_LANES + channel % PAIR_LANES,
                    half: if vector.is_multiple_of(2) {
                        Half::Low
                    } else {
                        Half::High
                    },
                }
            }
        }
    }
}

/// Added before the low bits are cut off: to the nearest, ties away from zero.
const HALF_UNIT: u32 = 0x8000;

/// Puts one value where it belongs; the other half stays.
pub(crate) fn put(to: &mut f32, half: Half, value: f32) {
    let rounded = value.to_bits().wrapping_add(HALF_UNIT);
    let bits = to.to_bits();
    *to = match half {
        Half::Whole => value,
        Half::Low => f32::from_bits(bits & 0xffff_0000 | rounded >> 16),
        Half::High => f32::from_bits(rounded & 0xffff_0000 | bits & 0xffff),
    };
}

/// The two values of a pair, low half first.
pub(crate) fn pair(bits: f32) -> [f32; 2] {
    let bits = bits.to_bits();
    [f32::from_bits(bits << 16), f32::from_bits(bits & 0xffff_0000)]
}

/// Puts the vector of the channels from `channel` on where it belongs, as [`put`] does. Vectors must come in order: the
/// first one of a pair overwrites both halves.
#[inline(always)]
pub(crate) fn put_vector<S: Simd, const PAIRS: bool>(
    simd: S,
    to: &mut [f32],
    first: usize,
    channel: usize,
    vector: S::f32s,
) {
    if !PAIRS {
        return store::<S>(to, first + channel, vector);
    }
    let n = channel / S::F32_LANES;
    let at = first + n / 2 * S::F32_LANES;
    let rounded = simd.add_u32s(simd.transmute_u32s_f32s(vector), simd.splat_u32s(HALF_UNIT));
    let bits = if n.is_multiple_of(2) {
        simd.wrapping_dyn_shr_u32s(rounded, simd.splat_u32s(16))
    } else {
        let low = simd.transmute_u32s_f32s(load::<S>(to, at));
        simd.or_u32s(low, simd.and_u32s(rounded, simd.splat_u32s(0xffff_0000)))
    };
    store::<S>(to, at, simd.transmute_f32s_u32s(bits));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_to_the_nearest_and_leave_each_other_alone() {
        let mut place = 0.0;
        put(&mut place, Half::Low, 1.0 + 1.0 / 128.0 + 1.0 / 512.0);
        put(&mut place, Half::High, -3.0 - 1.0 / 256.0);
        assert_eq!(pair(place), [1.0 + 1.0 / 128.0, -3.0]);
        put(&mut place, Half::Low, 2.0);
        assert_eq!(pair(place), [2.0, -3.0]);
        put(&mut place, Half::Whole, 0.1);
        assert_eq!(place, 0.1);
    }

    #[test]
    fn every_channel_has_a_place_of_its_own() {
        for (form, pitch) in [(Form::F32, 24), (Form::Bf16Pairs, 48), (Form::Bf16Pairs, 16)] {
            let places: Vec<Place> = (0..pitch).map(|channel| form.place(channel)).collect();
            assert!(places.iter().all(|place| place.at < form.n_places(pitch)));
            for (i, place) in places.iter().enumerate() {
                assert!(!places[..i].contains(place), "{form:?}, channel {i}");
            }
        }
    }
}
