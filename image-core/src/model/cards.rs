//! The NVIDIA cards of this process: who runs where, and what fits.

use std::sync::{Arc, Mutex, PoisonError};

use nephrite_cuda::{Card, CardInfo, CardOptions, CudaError};
use nephrite_server::memory::{Allowance, Idle, MemoryBudget, MemoryError, Reservation};
use nephrite_types::{CancelToken, Cancelled};

use super::CudaSettings;
use crate::error::CoreError;
use crate::memory::{Gate, Pass};

/// The cards, opened.
#[derive(Debug)]
pub(crate) struct Cards {
    slots: Vec<Slot>,
    /// Requests on each card, running and waiting.
    users: Mutex<Vec<usize>>,
}

/// A card, and what requests take of it.
#[derive(Debug)]
struct Slot {
    card: Arc<Card>,
    memory: MemoryBudget,
    /// One per network that may run.
    networks: Gate,
}

/// A request's place on a card, until dropped.
#[derive(Debug)]
pub(crate) struct CardLease<'c> {
    cards: &'c Cards,
    at: usize,
}

/// Of what is free on a card when it is opened, what libraries and other processes may come to take.
fn with_reserve(free: u64) -> u64 {
    free - free / 10
}

impl Cards {
    /// Opens the cards that are named. Networks run on each as many at once as `max_networks` says.
    ///
    /// # Errors
    /// As [`Card::open`].
    pub(crate) fn open(settings: &CudaSettings, max_networks: usize) -> Result<Self, CudaError> {
        let options = CardOptions {
            cache: settings.cache.clone(),
            libraries: settings.libraries.clone(),
        };
        let mut cards = Vec::new();
        for device in &settings.devices {
            let card = match settings.simulated {
                Some(bytes) => Card::twin(device.0, bytes),
                None => Card::open(device.0, &options)?,
            };
            tracing::info!(card = %card.info(), "opened");
            cards.push(card);
        }
        Ok(Cards::of(cards, settings.max_memory_bytes, max_networks))
    }

    /// Cards that are open.
    pub(crate) fn of(cards: Vec<Arc<Card>>, max_memory_bytes: Option<u64>, max_networks: usize) -> Self {
        let n_same = |card: &Arc<Card>| {
            let same = cards
                .iter()
                .filter(|other| other.info().ordinal == card.info().ordinal);
            same.count().max(1) as u64
        };
        let slots = cards.iter().map(|card| {
            let free = with_reserve(card.info().free_bytes / n_same(card));
            let bytes = max_memory_bytes.unwrap_or(free);
            Slot {
                card: card.clone(),
                memory: MemoryBudget::new(Allowance::configured(bytes), 0),
                networks: Gate::new(max_networks.max(1) as u64),
            }
        });
        Cards {
            slots: slots.collect(),
            users: Mutex::new(vec![0; cards.len()]),
        }
    }

    /// All of them, in the order of the settings.
    pub(crate) fn list(&self) -> impl Iterator<Item = &Card> {
        self.slots.iter().map(|slot| &*slot.card)
    }

    /// Whether one is left that is not lost.
    ///
    /// # Errors
    /// [`CoreError::CardsLost`]
    pub(crate) fn check_health(&self) -> Result<(), CoreError> {
        match self.list().any(|card| card.failure().is_none()) {
            true => Ok(()),
            false => Err(self.lost()),
        }
    }

    fn lost(&self) -> CoreError {
        let failures = self.list().filter_map(Card::failure);
        CoreError::CardsLost {
            cards: failures.map(CudaError::to_string).collect(),
        }
    }

    /// A place for a request: on the card with the fewest requests, of these on one that has its models, of these on that with the
    /// most room. Lost cards are left out.
    ///
    /// # Errors
    /// [`CoreError::CardsLost`] if all are.
    pub(crate) fn lease(&self, is_there: impl Fn(usize) -> bool) -> Result<CardLease<'_>, CoreError> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let works = |at: &usize| self.slots[*at].card.failure().is_none();
        let order = |at: &usize| (users[*at], !is_there(*at), self.slots[*at].card.used_bytes());
        let at = (0..self.slots.len()).filter(works).min_by_key(order);
        let at = at.ok_or_else(|| self.lost())?;
        users[at] += 1;
        Ok(CardLease { cards: self, at })
    }

    /// Refuses what no card can ever hold.
    ///
    /// # Errors
    /// [`CoreError::CardMemory`], of the largest.
    pub(crate) fn check(&self, what: &'static str, bytes: u64) -> Result<(), CoreError> {
        let largest = self.slots.iter().max_by_key(|slot| slot.memory.capacity());
        largest.map_or(Ok(()), |slot| {
            let checked = slot.memory.check(what, bytes);
            checked.map_err(|error| of_card(slot, error))
        })
    }

    /// Versions of what runs networks on them, for reports. They share all but their names.
    pub(crate) fn versions(&self) -> Vec<(&'static str, String)> {
        let Some(CardInfo {
            driver,
            cuda,
            cudnn,
            nvrtc,
            ..
        }) = self.slots.first().map(|slot| slot.card.info())
        else {
            return Vec::new();
        };
        let mut names: Vec<&str> = self
            .slots
            .iter()
            .map(|slot| slot.card.info().name.as_str())
            .collect();
        names.dedup();
        let mut versions = vec![
            ("cards", names.join(", ")),
            ("cuda", cuda.clone()),
            ("cudnn", cudnn.clone()),
            ("nvrtc", nvrtc.clone()),
        ];
        versions.extend(driver.clone().map(|driver| ("nvidia_driver", driver)));
        versions
    }

    pub(crate) fn card(&self, at: usize) -> &Arc<Card> {
        &self.slots[at].card
    }
}

impl<'c> CardLease<'c> {
    /// Which of the cards of this process.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn card(&self) -> &'c Arc<Card> {
        &self.slot().card
    }

    fn slot(&self) -> &'c Slot {
        &self.cards.slots[self.at]
    }

    /// True if no other request is on the card.
    pub(crate) fn is_alone(&self) -> bool {
        let users = self.cards.users.lock().unwrap_or_else(PoisonError::into_inner);
        users[self.at] == 1
    }

    /// Waits until so many bytes fit on the card.
    ///
    /// # Errors
    /// [`CoreError::CardMemory`] at once if they can never fit; [`CoreError::Cancelled`].
    pub(crate) fn reserve(
        &self,
        what: &'static str,
        bytes: u64,
        idle: &dyn Idle,
        cancel: &CancelToken,
    ) -> Result<Reservation<'c>, CoreError> {
        let reserved = self.slot().memory.reserve(what, bytes, idle, cancel);
        reserved.map_err(|error| of_card(self.slot(), error))
    }

    /// Waits until the card is free for a network.
    pub(crate) fn enter(&self, cancel: &CancelToken) -> Result<Pass<'c>, Cancelled> {
        self.slot().networks.enter(1, cancel)
    }
}

fn of_card(slot: &Slot, error: MemoryError) -> CoreError {
    match error {
        MemoryError::Over {
            what,
            needed,
            available,
            ..
        } => CoreError::CardMemory {
            what,
            device: slot.card.info().device(),
            needed,
            available,
        },
        error => error.into(),
    }
}

impl Drop for CardLease<'_> {
    fn drop(&mut self) {
        let mut users = self.cards.users.lock().unwrap_or_else(PoisonError::into_inner);
        users[self.at] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use nephrite_server::memory::NothingIdle;
    use nephrite_types::{Coded, ErrorCode};

    use super::*;

    fn two() -> Cards {
        let cards = vec![Card::twin(0, 1000), Card::twin(1, 1000)];
        Cards::of(cards, None, 1)
    }

    #[test]
    fn requests_go_to_the_card_with_the_fewest_then_to_their_model() {
        let cards = two();
        let first = cards.lease(|at| at == 1).unwrap();
        assert_eq!(first.at(), 1, "its model is there");
        assert!(first.is_alone());
        let second = cards.lease(|at| at == 1).unwrap();
        assert_eq!(second.at(), 0, "the other is free");
        let third = cards.lease(|at| at == 1).unwrap();
        assert_eq!(third.at(), 1);
        assert!(!first.is_alone());
        drop((first, third));
        assert_eq!(cards.lease(|_| false).unwrap().at(), 1);
    }

    #[test]
    fn what_a_card_can_never_hold_is_refused_by_its_name() {
        let cards = two();
        let lease = cards.lease(|_| false).unwrap();
        let error = lease
            .reserve("a test", 901, &NothingIdle, &CancelToken::new())
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::LimitExceeded);
        assert_eq!(
            error.to_string(),
            "a test needs about 901 bytes on cuda:0, of which 900 may be taken"
        );
        lease
            .reserve("a test", 900, &NothingIdle, &CancelToken::new())
            .unwrap();
    }

    #[test]
    fn one_card_can_be_two_with_half_of_the_memory_each() {
        let cards = Cards::of(vec![Card::twin(0, 1000), Card::twin(0, 1000)], None, 1);
        assert!(cards.check("a test", 451).is_err());
        assert!(cards.check("a test", 450).is_ok());
    }
}
