//! A message in our hands, and what is said about it.

use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use async_nats::{Request, Subject};
use nephrite_jobs::JobId;

use crate::connect::Link;
use crate::names::job_of;

/// How long the answer to what is said of a message is waited for.
const ANSWER: Duration = Duration::from_secs(1);

/// A message in our hands. What is said about it counts only for when and whether it is delivered again: that it does not
/// arrive is never an error, since whoever gets the message next looks at the record.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    /// Where to say it.
    reply: Option<Subject>,
    /// The job that it is for.
    pub(crate) id: Option<JobId>,
}

impl Delivery {
    pub(crate) fn new(message: &Message) -> Delivery {
        Delivery {
            reply: message.reply.clone(),
            id: job_of(&message.subject),
        }
    }

    /// It is not needed any more.
    pub(crate) async fn done(&self, link: &Link) {
        self.say(link, AckKind::Ack).await;
    }

    /// Somebody works on it: it is not delivered again for another lease.
    pub(crate) async fn go_on(&self, link: &Link) {
        self.say(link, AckKind::Progress).await;
    }

    /// It shall be delivered again, after a while.
    pub(crate) async fn give_back(&self, link: &Link, after: Duration) {
        self.say(link, AckKind::Nak((!after.is_zero()).then_some(after)))
            .await;
    }

    async fn say(&self, link: &Link, what: AckKind) {
        let Some(reply) = &self.reply else { return };
        let request = Request::new().payload(what.into()).timeout(Some(ANSWER));
        if let Err(error) = link.client.send_request(reply.clone(), request).await {
            let job = self.id.as_ref().map(JobId::as_str);
            tracing::debug!(job, ?what, %error, "what was said of a message did not arrive");
        }
    }
}
