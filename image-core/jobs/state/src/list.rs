//! Lists of jobs, page by page.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::job::Job;
use crate::priority::Priority;
use crate::state::JobState;

/// Jobs of one page at most.
pub const MAX_PAGE: usize = 1000;

/// Which jobs a list has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In one of these states; in any if empty.
    pub states: BTreeSet<JobState>,
    /// Of this tenant; of all if `None`.
    pub tenant: Option<String>,
    /// Of this priority; of all if `None`.
    pub priority: Option<Priority>,
}

/// A page of a list, the youngest job first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Which jobs.
    pub filter: Filter,
    /// Of one page, 1 to [`MAX_PAGE`].
    pub page_size: usize,
    /// Where the page begins: what the page before said; `None` of the first.
    pub token: Option<String>,
}

/// Jobs, and where the next ones begin.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The youngest first.
    pub jobs: Vec<Job>,
    /// Of the next page; `None` of the last.
    pub next: Option<String>,
}

/// A query that cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListFault {
    /// No token of ours.
    #[error("the page token is none that this server gave")]
    Token,
    /// It was given with another filter.
    #[error("the page token is of another list: filter and token must belong together")]
    OtherList,
    /// Too small or too large.
    #[error("a page has 1 to {MAX_PAGE} jobs, found {found}")]
    PageSize {
        /// As asked for.
        found: usize,
    },
}

impl Filter {
    /// Whether a job is in the list.
    pub fn holds(&self, job: &Job) -> bool {
        (self.states.is_empty() || self.states.contains(&job.state))
            && self
                .tenant
                .as_ref()
                .is_none_or(|tenant| *tenant == job.new.tenant)
            && self.priority.is_none_or(|priority| priority == job.new.priority)
    }

    /// Sixteen hexadecimal digits that tell it from others.
    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for state in &self.states {
            hash.update(state.name());
            hash.update(",");
        }
        hash.update(self.priority.map_or("", Priority::name));
        if let Some(tenant) = &self.tenant {
            hash.update("/");
            hash.update(tenant);
        }
        hash.finalize()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl Query {
    /// The number that jobs of this page lie below; `None` of the first page.
    ///
    /// # Errors
    /// [`ListFault`]
    pub fn below(&self) -> Result<Option<u64>, ListFault> {
        if self.page_size == 0 || self.page_size > MAX_PAGE {
            return Err(ListFault::PageSize {
                found: self.page_size,
            });
        }
        let Some(token) = &self.token else { return Ok(None) };
        let (digest, number) = token.split_once('-').ok_or(ListFault::Token)?;
        let is_hex = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex(digest) || !is_hex(number) {
            return Err(ListFault::Token);
        }
        if digest != self.filter.digest() {
            return Err(ListFault::OtherList);
        }
        u64::from_str_radix(number, 16)
            .map(Some)
            .map_err(|_| ListFault::Token)
    }

    /// The page, from all jobs below [`Query::below`], the youngest first.
    pub fn page<'a>(&self, jobs: impl Iterator<Item = &'a Job>) -> Page {
        let mut wanted = jobs.filter(|job| self.filter.holds(job));
        let jobs: Vec<Job> = wanted.by_ref().take(self.page_size).cloned().collect();
        let next = wanted.next().and(jobs.last());
        let next = next.map(|job| format!("{}-{:016x}", self.filter.digest(), job.number));
        Page { jobs, next }
    }
}
