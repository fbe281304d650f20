//! What a step sent and got over the network, counted for the record.

use std::cell::Cell;
use std::ops::AddAssign;

use prost::Message;

/// What went to other processes and came from them.
///
/// Counted per thread, because calls are made on the thread of the step that needs them: [`Traffic::take`] before the
/// step forgets what was before, and [`Traffic::take`] after it gives the step's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of messages that arrived; of a call that was repeated, each time.
    pub sent: u64,
    /// Bytes of messages that came.
    pub received: u64,
    /// The largest of both.
    pub largest_message: u64,
    /// Masks that were too large for a message and went or came by file.
    pub exchange_files: u64,
}

thread_local! {
    static TRAFFIC: Cell<Traffic> = const {
        Cell::new(Traffic { sent: 0, received: 0, largest_message: 0, exchange_files: 0 })
    };
}

impl Traffic {
    /// That of this thread since the last time, which then begins anew.
    pub fn take() -> Traffic {
        TRAFFIC.take()
    }

    /// Counts a message that this thread has sent.
    pub fn count_sent(message: &impl Message) {
        let sent = message.encoded_len() as u64;
        count(Traffic {
            sent,
            largest_message: sent,
            ..Traffic::default()
        });
    }

    /// Counts a message that came for this thread.
    pub fn count_received(message: &impl Message) {
        let received = message.encoded_len() as u64;
        count(Traffic {
            received,
            largest_message: received,
            ..Traffic::default()
        });
    }

    pub(super) fn count_exchange_file() {
        count(Traffic {
            exchange_files: 1,
            ..Traffic::default()
        });
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        self.sent += other.sent;
        self.received += other.received;
        self.largest_message = self.largest_message.max(other.largest_message);
        self.exchange_files += other.exchange_files;
    }
}

fn count(more: Traffic) {
    let mut sum = TRAFFIC.get();
    sum += more;
    TRAFFIC.set(sum);
}

#[cfg(test)]
mod tests {
    use nephrite_proto::v1::CheckRequest;

    use super::*;

    #[test]
    fn messages_add_up_until_they_are_taken_and_threads_do_not_mix() {
        let message = |n| CheckRequest { path: "x".repeat(n) };
        Traffic::take();
        Traffic::count_sent(&message(10));
        Traffic::count_sent(&message(20));
        Traffic::count_received(&message(5));
        Traffic::count_exchange_file();
        assert_eq!(
            std::thread::spawn(Traffic::take).join().unwrap(),
            Traffic::default()
        );
        let expected = Traffic {
            sent: 12 + 22,
            received: 7,
            largest_message: 22,
            exchange_files: 1,
        };
        assert_eq!(Traffic::take(), expected);
        assert_eq!(Traffic::take(), Traffic::default());
    }
}
