//! Which structures of a phantom have a label: all of them, or those that the demo models know.

use crate::anatomy::Structure;

/// Which structures the truth names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelSet {
    /// The six structures of the demo models: aorta, renal arteries, kidneys, veins, renal pelves, ureters; both sides
    /// of the body share a label, so that a model may be mirrored.
    Demo,
    /// Every structure by itself, left and right apart: about 70.
    Detailed,
}

/// The demo's labels; id is position + 1.
const DEMO: [&str; 6] = [
    "aorta",
    "renal_artery",
    "kidney",
    "vein",
    "renal_pelvis",
    "ureter",
];

/// A label of the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhantomLabel {
    /// Value in the label map; 0 is background and not listed.
    pub id: u8,
    /// Lower case, words joined by `_`.
    pub name: &'static str,
}

impl LabelSet {
    fn name_of(self, structure: &Structure) -> Option<&'static str> {
        match self {
            LabelSet::Demo => structure.demo_name,
            LabelSet::Detailed => structure.name,
        }
    }

    /// The labels, ids from 1 without gaps, and the label id of every structure.
    pub(crate) fn assign(self, structures: &[Structure]) -> (Vec<PhantomLabel>, Vec<u8>) {
        let mut names: Vec<&'static str> = match self {
            LabelSet::Demo => DEMO.to_vec(),
            LabelSet::Detailed => Vec::new(),
        };
        let ids = structures
            .iter()
            .map(|structure| match self.name_of(structure) {
                None => 0,
                Some(name) => {
                    let position = names.iter().position(|&known| known == name).unwrap_or_else(|| {
                        names.push(name);
                        names.len() - 1
                    });
                    position as u8 + 1
                }
            })
            .collect();
        let labels = names.iter().enumerate().map(|(i, &name)| PhantomLabel {
            id: i as u8 + 1,
            name,
        });
        (labels.collect(), ids)
    }
}
