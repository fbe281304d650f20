//! Messages of masks that were sent lately: one mask often goes to several steps, and encoding it is most of a call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use nephrite_mask_codec::{CodecError, EncodedMask, Mask};
use nephrite_proto::v1;
use prost::Message as _;

/// Messages that are kept, of at most 1 MiB each.
const MAX_KEPT: usize = 8;
/// Of deflate. On the way to a service time counts more than bytes: a sixth more than level 6, in half of its time.
const LEVEL: u32 = 2;

/// A message stays as long as its mask does; masks do not change.
static RECENT: Mutex<VecDeque<(Weak<Mask>, Arc<v1::EncodedMask>)>> = Mutex::new(VecDeque::new());

/// The message of a mask; made anew unless it was sent lately. Of messages longer than `max_bytes` none is kept.
pub(super) fn message_of(mask: &Arc<Mask>, max_bytes: usize) -> Result<Arc<v1::EncodedMask>, CodecError> {
    let lock = || RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |kept: &Weak<Mask>| std::ptr::eq(kept.as_ptr(), Arc::as_ptr(mask)); // a weak one keeps the address taken
    if let Some((_, message)) = lock().iter().find(|(kept, _)| same(kept)) {
        return Ok(message.clone());
    }
    let message = Arc::new(v1::EncodedMask::from(EncodedMask::encode_at(mask, LEVEL)?));
    let mut recent = lock();
    recent.retain(|(kept, _)| kept.strong_count() > 0);
    if message.encoded_len() <= max_bytes {
        recent.truncate(MAX_KEPT - 1);
        recent.push_front((Arc::downgrade(mask), message.clone()));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use nephrite_mask_codec::{LabelTable, RunMask};
    use nephrite_types::{Affine, Geometry, Limits, Shape3, Spacing};

    use super::*;

    #[test]
    fn a_message_is_made_once_and_goes_with_its_mask() {
        let spacing = Spacing::new([1.0; 3]).unwrap();
        let geometry = Geometry {
            shape: Shape3::new([1, 2, 3]).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        };
        let mask = || {
            let runs = RunMask::empty(geometry, &Limits::default()).unwrap();
            Arc::new(Mask::new(runs, LabelTable::default()).unwrap())
        };
        let first = mask();
        let message = message_of(&first, 1000).unwrap();
        assert!(Arc::ptr_eq(&message, &message_of(&first, 1000).unwrap()));
        assert!(
            !Arc::ptr_eq(&message, &message_of(&mask(), 1000).unwrap()),
            "another mask"
        );
        let long = mask();
        assert!(!Arc::ptr_eq(
            &message_of(&long, 1).unwrap(),
            &message_of(&long, 1).unwrap()
        ));
        let weak = Arc::downgrade(&message);
        drop((first, message));
        message_of(&mask(), 1000).unwrap(); // sweeps
        assert!(weak.upgrade().is_none());
    }
}
