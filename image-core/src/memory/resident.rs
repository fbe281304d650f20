//! A store of what stays in memory between requests, within a budget.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nephrite_types::CancelToken;

use crate::error::CoreError;

/// Something that is in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidentEntry<K> {
    /// What it was made from.
    pub key: K,
    /// As the request that made it named it.
    pub name: String,
    /// What it takes; of a model, all that its sessions hold.
    pub bytes: u64,
    /// Requests that use it now.
    pub users: usize,
}

/// Things that stay in memory between requests, within a budget; each is made once, however many requests want it at
/// once. What is in use is never dropped: an [`Arc`] is a lease.
#[derive(Debug)]
pub(crate) struct ResidentStore<K, V> {
    max_entries: usize,
    max_bytes: u64,
    state: Mutex<State<K, V>>,
    /// A load has ended.
    loaded: Condvar,
}

#[derive(Debug)]
struct State<K, V> {
    resident: HashMap<K, Resident<V>>,
    loading: HashSet<K>,
    /// Counts uses; the smallest `last_used` is the least recent.
    uses: u64,
}

#[derive(Debug)]
struct Resident<V> {
    value: Arc<V>,
    name: String,
    bytes: u64,
    last_used: u64,
}

impl<V> Resident<V> {
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.value) == 1
    }
}

impl<K: Clone + Eq + Hash, V> State<K, V> {
    /// Of what is idle and not wanted.
    fn least_recent(&self, is_wanted: &impl Fn(&K) -> bool) -> Option<K> {
        let idle = self
            .resident
            .iter()
            .filter(|(key, r)| r.is_idle() && !is_wanted(key));
        let oldest = idle.min_by_key(|(_, resident)| resident.last_used);
        oldest.map(|(key, _)| key.clone())
    }
}

/// A waiting request looks at its token this often.
const CANCEL_POLL: Duration = Duration::from_millis(50);

impl<K: Clone + Eq + Hash, V> ResidentStore<K, V> {
    /// An empty store.
    pub(crate) fn new(max_entries: usize, max_bytes: u64) -> Self {
        let state = State {
            resident: HashMap::new(),
            loading: HashSet::new(),
            uses: 0,
        };
        ResidentStore {
            max_entries,
            max_bytes,
            state: Mutex::new(state),
            loaded: Condvar::new(),
        }
    }

    /// The resident value, or what `load` gives with its bytes; and these bytes if it was loaded now, `None` if it was
    /// resident.
    ///
    /// Requests for something that is being loaded wait for it. If that load fails, the next one of them tries.
    ///
    /// # Errors
    /// What `load` returns; [`CoreError::Cancelled`] while waiting.
    pub(crate) fn get_or_load<F>(
        &self,
        key: K,
        name: &str,
        cancel: &CancelToken,
        load: F,
    ) -> Result<(Arc<V>, Option<u64>), CoreError>
    where
        F: FnOnce() -> Result<(V, u64), CoreError>,
    {
        let mut state = self.lock();
        loop {
            state.uses += 1;
            let uses = state.uses;
            if let Some(resident) = state.resident.get_mut(&key) {
                resident.last_used = uses;
                return Ok((resident.value.clone(), None));
            }
            if state.loading.insert(key.clone()) {
                break;
            }
            cancel.check()?;
            let woken = self.loaded.wait_timeout(state, CANCEL_POLL);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        let _loading = Loading {
            store: self,
            key: &key,
        };
        let (value, bytes) = load()?;
        let value = Arc::new(value);
        let mut state = self.lock();
        state.uses += 1;
        let resident = Resident {
            value: value.clone(),
            name: name.to_owned(),
            bytes,
            last_used: state.uses,
        };
        state.resident.insert(key.clone(), resident);
        let dropped = self.over_budget(&mut state);
        drop(state);
        drop(dropped); // ends engine threads; not under the lock
        Ok((value, Some(bytes)))
    }

    /// What is resident, most recently used first.
    pub(crate) fn list(&self) -> Vec<ResidentEntry<K>> {
        let state = self.lock();
        let mut entries: Vec<_> = state.resident.iter().collect();
        entries.sort_by_key(|(_, resident)| std::cmp::Reverse(resident.last_used));
        entries
            .into_iter()
            .map(|(key, resident)| ResidentEntry {
                key: key.clone(),
                name: resident.name.clone(),
                bytes: resident.bytes,
                users: Arc::strong_count(&resident.value) - 1,
            })
            .collect()
    }

    /// Forgets what `is_unwanted` and says how much that was. Requests that use it keep it until they end.
    pub(crate) fn forget(&self, is_unwanted: impl Fn(&K) -> bool) -> usize {
        let mut state = self.lock();
        let dropped: Vec<_> = state.resident.extract_if(|key, _| is_unwanted(key)).collect();
        drop(state);
        dropped.len()
    }

    /// Drops what is over the budget; called when a request has ended.
    pub(crate) fn trim(&self) {
        let dropped = {
            let mut state = self.lock();
            self.over_budget(&mut state)
        };
        drop(dropped);
    }

    /// Bytes of what nobody uses and nobody is about to use.
    pub(crate) fn idle_bytes(&self, is_wanted: impl Fn(&K) -> bool) -> u64 {
        self.idle_sum(is_wanted, |_, bytes| bytes)
    }

    /// As [`ResidentStore::idle_bytes`], of what `measure` says of a value and its bytes.
    pub(crate) fn idle_sum(&self, is_wanted: impl Fn(&K) -> bool, measure: impl Fn(&V, u64) -> u64) -> u64 {
        let state = self.lock();
        let idle = state
            .resident
            .iter()
            .filter(|(key, r)| r.is_idle() && !is_wanted(key));
        idle.fold(0, |sum, (_, resident)| {
            sum.saturating_add(measure(&resident.value, resident.bytes))
        })
    }

    /// The sum over all that is resident.
    pub(crate) fn sum(&self, measure: impl Fn(&K, &V) -> u64) -> u64 {
        let state = self.lock();
        let measures = state
            .resident
            .iter()
            .map(|(key, resident)| measure(key, &resident.value));
        measures.fold(0, u64::saturating_add)
    }

    /// Whether something is resident.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.lock().resident.contains_key(key)
    }

    /// Drops what is idle, least recently used first, until at least so many bytes are gone; says how many were.
    pub(crate) fn drop_idle(&self, bytes: u64, is_wanted: impl Fn(&K) -> bool) -> u64 {
        self.drop_sum(bytes, is_wanted, |_, bytes| bytes)
    }

    /// As [`ResidentStore::drop_idle`], of what `measure` says of a value and its bytes.
    pub(crate) fn drop_sum(
        &self,
        bytes: u64,
        is_wanted: impl Fn(&K) -> bool,
        measure: impl Fn(&V, u64) -> u64,
    ) -> u64 {
        let mut state = self.lock();
        let mut dropped: Vec<Resident<V>> = Vec::new();
        let mut sum = 0u64;
        while sum < bytes {
            let Some(key) = state.least_recent(&is_wanted) else {
                break;
            };
            if let Some(resident) = state.resident.remove(&key) {
                sum = sum.saturating_add(measure(&resident.value, resident.bytes));
                dropped.push(resident);
            }
        }
        drop(state);
        drop(dropped); // ends engine threads; not under the lock
        sum
    }

    /// Takes out what is idle and least recently used until the rest fits.
    fn over_budget(&self, state: &mut State<K, V>) -> Vec<Resident<V>> {
        let mut dropped = Vec::new();
        loop {
            let bytes: u64 = state.resident.values().map(|resident| resident.bytes).sum();
            if state.resident.len() <= self.max_entries && bytes <= self.max_bytes {
                return dropped;
            }
            let Some(key) = state.least_recent(&|_| false) else {
                return dropped;
            };
            dropped.extend(state.resident.remove(&key));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a load, also when it fails or panics, and wakes those who wait for it.
struct Loading<'a, K: Clone + Eq + Hash, V> {
    store: &'a ResidentStore<K, V>,
    key: &'a K,
}

impl<K: Clone + Eq + Hash, V> Drop for Loading<'_, K, V> {
    fn drop(&mut self) {
        self.store.lock().loading.remove(self.key);
        self.store.loaded.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Store = ResidentStore<u64, u64>;

    fn store(max_entries: usize, max_bytes: u64) -> Store {
        Store::new(max_entries, max_bytes)
    }

    fn get(store: &Store, inode: u64, bytes: u64) -> (Arc<u64>, Option<u64>) {
        store
            .get_or_load(inode, "m", &CancelToken::new(), || Ok((inode, bytes)))
            .unwrap()
    }

    fn resident(store: &Store) -> Vec<u64> {
        store.list().iter().map(|model| model.key).collect()
    }

    #[test]
    fn many_requests_at_once_load_one_model_once() {
        let (store, loads) = (store(4, 100), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let load = || {
                        loads.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(20));
                        Ok((7, 10))
                    };
                    assert_eq!(
                        *store.get_or_load(1, "m", &CancelToken::new(), load).unwrap().0,
                        7
                    );
                });
            }
        });
        assert_eq!(loads.into_inner(), 1);
        assert_eq!(get(&store, 1, 10).1, None, "the second request reads no weights");
    }

    #[test]
    fn the_least_recently_used_idle_model_goes_first() {
        let store = store(2, 100);
        let (used, _) = get(&store, 1, 10);
        get(&store, 2, 10);
        get(&store, 3, 10);
        assert_eq!(resident(&store), [3, 1], "1 is older than 2 but in use");
        get(&store, 4, 95);
        assert_eq!(resident(&store), [4, 1], "over the bytes while 1 is in use");
        drop(used);
        store.trim();
        assert_eq!(resident(&store), [4]);
    }

    #[test]
    fn idle_things_are_dropped_on_demand_but_those_that_are_wanted() {
        let store = store(8, 1000);
        let (_used, _) = get(&store, 1, 10);
        for inode in [2, 3, 4] {
            get(&store, inode, 10);
        }
        let wanted = |k: &u64| *k == 2;
        assert_eq!(store.idle_bytes(wanted), 20);
        assert_eq!(store.idle_bytes(|_| false), 30);
        assert_eq!(store.drop_idle(5, wanted), 10);
        assert_eq!(resident(&store), [4, 2, 1], "3 was the oldest");
        assert_eq!(store.drop_idle(1000, wanted), 10);
        assert_eq!(resident(&store), [2, 1]);
    }

    #[test]
    fn a_failed_load_leaves_nothing_and_the_next_request_tries_again() {
        let store = store(2, 100);
        let failed = store.get_or_load(1, "m", &CancelToken::new(), || {
            Err(CoreError::Field {
                field: "x",
                expected: "y",
                found: "z".into(),
            })
        });
        assert!(failed.is_err());
        assert_eq!(get(&store, 1, 10).1, Some(10));
    }

    #[test]
    fn a_waiting_request_can_be_cancelled() {
        let store = store(2, 100);
        std::thread::scope(|scope| {
            let (started, is_started) = std::sync::mpsc::channel();
            let store = &store;
            scope.spawn(move || {
                let load = || {
                    started.send(()).unwrap();
                    std::thread::sleep(Duration::from_millis(300));
                    Ok((1, 1))
                };
                store.get_or_load(1, "m", &CancelToken::new(), load).unwrap();
            });
            is_started.recv().unwrap();
            let cancel = CancelToken::new();
            cancel.cancel();
            let waited = store.get_or_load(1, "m", &cancel, || Ok((2, 2)));
            assert!(matches!(waited, Err(CoreError::Cancelled(_))));
        });
    }

    #[test]
    fn unloading_forgets_all_models_of_a_folder() {
        let store = store(4, 100);
        get(&store, 1, 10);
        get(&store, 2, 10);
        assert_eq!(store.forget(|key| *key == 1), 1);
        assert_eq!(resident(&store), [2]);
        assert_eq!(store.forget(|key| *key == 1), 0);
    }
}
