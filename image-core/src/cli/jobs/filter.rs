//! Which jobs a command is about, and all of them, page by page.

use clap::ValueEnum;
use nephrite_proto::{Client, RemoteError, v1};

/// Jobs of one page: their requests may be long, and a page is one message.
const PAGE: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateArgument {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    Expired,
    Dead,
}

impl From<StateArgument> for v1::JobState {
    fn from(state: StateArgument) -> Self {
        match state {
            StateArgument::Queued => v1::JobState::Queued,
            StateArgument::Running => v1::JobState::Running,
            StateArgument::Succeeded => v1::JobState::Succeeded,
            StateArgument::Failed => v1::JobState::Failed,
            StateArgument::Cancelled => v1::JobState::Cancelled,
            StateArgument::Expired => v1::JobState::Expired,
            StateArgument::Dead => v1::JobState::Dead,
        }
    }
}

/// States as a message has them.
pub(super) fn wire_states(states: &[StateArgument]) -> Vec<i32> {
    let wire = |state: &StateArgument| v1::JobState::from(*state).into();
    states.iter().map(wire).collect()
}

/// Gives the jobs of a filter to `take`, the youngest first; at most `limit` of them.
pub(super) async fn each_job(
    client: &Client,
    filter: &v1::ListJobsRequest,
    limit: Option<usize>,
    mut take: impl FnMut(v1::Job),
) -> Result<(), RemoteError> {
    let mut request = filter.clone();
    let mut left = limit;
    loop {
        request.page_size = Some(page_size(left));
        let page = client.list_jobs(request.clone()).await?;
        for job in page.jobs {
            match &mut left {
                Some(0) => return Ok(()),
                Some(left) => *left -= 1,
                None => {}
            }
            take(job);
        }
        if page.next_page_token.is_empty() || left == Some(0) {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

/// Jobs to ask for, if so many are wanted still.
fn page_size(left: Option<usize>) -> u32 {
    left.map_or(PAGE, |left| left.clamp(1, PAGE)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_what_is_wanted_and_not_more_than_a_message_may() {
        assert_eq!(page_size(None), 200);
        assert_eq!(page_size(Some(50)), 50);
        assert_eq!(page_size(Some(100_000)), 200);
        assert_eq!(page_size(Some(0)), 1, "a page of none is refused");
    }

    #[test]
    fn states_have_the_names_of_the_contract() {
        for state in StateArgument::value_variants() {
            let typed = state.to_possible_value().unwrap().get_name().to_owned();
            let wire = v1::JobState::from(*state).as_str_name();
            assert_eq!(format!("JOB_STATE_{}", typed.to_uppercase()), wire);
        }
    }
}
