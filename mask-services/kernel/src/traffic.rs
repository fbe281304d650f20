//! What a call of another process cost on the wire; part of its outcome.

use std::ops::AddAssign;

/// What went to other processes and came from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of messages that were sent; of a call that was repeated, of the one that arrived.
    pub sent: u64,
    /// Bytes of messages that came.
    pub received: u64,
    /// The largest of both.
    pub largest_message: u64,
    /// Masks that were too large for a message and went or came by file.
    pub exchange_files: u64,
}

impl Traffic {
    /// Of a message of so many bytes that was sent.
    pub fn of_sent(bytes: usize) -> Traffic {
        Traffic {
            sent: bytes as u64,
            largest_message: bytes as u64,
            ..Traffic::default()
        }
    }

    /// Of a message of so many bytes that came.
    pub fn of_received(bytes: usize) -> Traffic {
        Traffic {
            received: bytes as u64,
            largest_message: bytes as u64,
            ..Traffic::default()
        }
    }

    /// Of masks that went or came by file.
    pub fn of_files(n: usize) -> Traffic {
        Traffic {
            exchange_files: n as u64,
            ..Traffic::default()
        }
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
