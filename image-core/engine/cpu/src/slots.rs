//! What the tasks of a step take, each its own.

use std::sync::{Mutex, PoisonError};

/// Something that one task takes, and no other.
pub(crate) type Slots<T> = Vec<Mutex<Option<T>>>;

pub(crate) fn slots<T>(items: impl IntoIterator<Item = T>) -> Slots<T> {
    items.into_iter().map(|item| Mutex::new(Some(item))).collect()
}

pub(crate) fn take<T>(slots: &[Mutex<Option<T>>], i: usize) -> T {
    let item = slots[i].lock().unwrap_or_else(PoisonError::into_inner).take();
    item.expect("every task runs once")
}
