//! How a model's mask is made: the one type that passes from the command line, a pipeline file or a message down to the
//! tile loop, with the declaration of each option.

use std::ops::{Bound, RangeBounds as _};

use serde::{Deserialize, Serialize};

/// In which arithmetic class sums and resampling run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Numerics {
    /// f32 throughout: faster and closer to the exact result than the reference.
    #[default]
    Fast,
    /// nnU-Net's own rounding on the CPU: class sums, folds and resampled logits in half precision, resampling in
    /// f64. For showing parity voxel by voxel.
    Reference,
}

/// How a mask is made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SegmentationOptions {
    /// Average over mirrored copies, along the axes that the model was trained for.
    pub mirroring: bool,
    /// Distance of tiles as a fraction of the patch, in (0, 1].
    pub tile_step_size: f64,
    /// Weight tiles by a Gaussian.
    pub gaussian: bool,
    /// Arithmetic.
    pub numerics: Numerics,
}

impl Default for SegmentationOptions {
    /// As `nnUNetv2_predict`: mirroring, half a patch, Gaussian; fast numerics.
    fn default() -> Self {
        SegmentationOptions {
            mirroring: true,
            tile_step_size: 0.5,
            gaussian: true,
            numerics: Numerics::Fast,
        }
    }
}

/// An option as people write it: a key of a pipeline file, and with dashes an option of the command line.
#[derive(Debug)]
pub struct OptionKey {
    /// Such as `tile_step_size`.
    pub name: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// What it may be, and what that sets.
    pub kind: OptionKind,
}

/// A word that an option may be, and what it sets.
pub(crate) type OptionWord = (&'static str, fn(&mut SegmentationOptions));

/// What an option may be, and what that sets.
#[derive(Debug)]
pub enum OptionKind {
    /// On or off; off by default.
    Switch(fn(&mut SegmentationOptions, bool)),
    /// A number.
    Number {
        /// What is right, for messages.
        expected: &'static str,
        /// The same.
        range: (Bound<f64>, Bound<f64>),
        /// Sets a number that is right.
        set: fn(&mut SegmentationOptions, f64),
        /// Reads it.
        get: fn(&SegmentationOptions) -> f64,
    },
    /// One of some words.
    Choice {
        /// What is right, for messages.
        expected: &'static str,
        /// Each with what it sets; the default first.
        words: &'static [OptionWord],
    },
}

impl SegmentationOptions {
    /// Every option, in the order of its type.
    pub const KEYS: &[OptionKey] = &[
        OptionKey {
            name: "no_mirroring",
            help: "do not average over mirrored copies: several times faster, slightly less exact",
            kind: OptionKind::Switch(|options, off| options.mirroring = !off),
        },
        OptionKey {
            name: "tile_step_size",
            help: "distance of tiles as a fraction of the patch",
            kind: OptionKind::Number {
                expected: "a number above 0 and up to 1",
                range: (Bound::Excluded(0.0), Bound::Included(1.0)),
                set: |options, size| options.tile_step_size = size,
                get: |options| options.tile_step_size,
            },
        },
        OptionKey {
            name: "no_gaussian",
            help: "weight all voxels of a tile alike",
            kind: OptionKind::Switch(|options, off| options.gaussian = !off),
        },
        OptionKey {
            name: "numerics",
            help: "`fast` sums in single precision; `reference` rounds to half precision wherever nnU-Net does",
            kind: OptionKind::Choice {
                expected: "fast or reference",
                words: &[
                    ("fast", |options| options.numerics = Numerics::Fast),
                    ("reference", |options| options.numerics = Numerics::Reference),
                ],
            },
        },
    ];

    /// # Errors
    /// The first option whose number is out of range, for callers that set fields themselves.
    pub fn check(&self) -> Result<(), OptionOutOfRange> {
        for key in Self::KEYS {
            if let OptionKind::Number {
                expected, range, get, ..
            } = key.kind
            {
                let found = get(self);
                if !range.contains(&found) {
                    let name = key.name;
                    return Err(OptionOutOfRange {
                        name,
                        expected,
                        found,
                    });
                }
            }
        }
        Ok(())
    }
}

/// An option's number is out of range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{name} is {found}, expected {expected}")]
pub struct OptionOutOfRange {
    /// Of the option.
    pub name: &'static str,
    /// What is right.
    pub expected: &'static str,
    /// What it is.
    pub found: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range_and_what_is_not_is_named() {
        assert_eq!(SegmentationOptions::default().check(), Ok(()));
        for tile_step_size in [0.0, -0.5, 1.000_001, f64::NAN, f64::INFINITY] {
            let options = SegmentationOptions {
                tile_step_size,
                ..Default::default()
            };
            assert_eq!(options.check().unwrap_err().name, "tile_step_size");
        }
    }

    #[test]
    fn setting_every_default_changes_nothing_and_every_key_changes_something() {
        for key in SegmentationOptions::KEYS {
            let mut options = SegmentationOptions::default();
            match key.kind {
                OptionKind::Switch(set) => set(&mut options, false),
                OptionKind::Number { set, get, .. } => {
                    set(&mut options, get(&SegmentationOptions::default()))
                }
                OptionKind::Choice { words, .. } => words[0].1(&mut options),
            }
            assert_eq!(options, SegmentationOptions::default(), "{}", key.name);
            match key.kind {
                OptionKind::Switch(set) => set(&mut options, true),
                OptionKind::Number { set, .. } => set(&mut options, 0.75),
                OptionKind::Choice { words, .. } => words[1].1(&mut options),
            }
            assert_ne!(options, SegmentationOptions::default(), "{}", key.name);
        }
    }
}
