//! Whether a new job can be taken at all.

use nephrite_job_state::NewJob;

use crate::error::JobError;
use crate::settings::JobSettings;

/// Bytes of a key.
const MAX_KEY: usize = 256;
/// Bytes of a tenant's name.
const MAX_TENANT: usize = 64;
/// Bytes of a request.
const MAX_REQUEST: usize = 256 << 10;

/// Whether a new job can be taken, as far as it says so itself.
///
/// # Errors
/// [`JobError::New`], naming the part.
pub fn check_new(new: &NewJob, settings: &JobSettings) -> Result<(), JobError> {
    let wrong = |field, reason: String| Err(JobError::New { field, reason });
    let is_plain = |text: &str| !text.chars().any(char::is_control);
    if new.key.is_empty() || new.key.len() > MAX_KEY || !is_plain(&new.key) {
        let reason = format!(
            "has {} bytes, expected 1 to {MAX_KEY}, and no control characters",
            new.key.len()
        );
        return wrong("key", reason);
    }
    if new.tenant.len() > MAX_TENANT || !is_plain(&new.tenant) {
        let reason = format!(
            "has {} bytes, expected {MAX_TENANT} at most, and no control characters",
            new.tenant.len()
        );
        return wrong("tenant", reason);
    }
    // A call that waits for its case names no tenant.
    let is_named = !new.attached || !new.tenant.is_empty();
    if is_named && !settings.tenants.is_empty() && !settings.tenants.contains(&new.tenant) {
        return wrong(
            "tenant",
            format!("is {:?}, known are {}", new.tenant, settings.tenants.join(", ")),
        );
    }
    if let Some(capability) = &new.needs.capability
        && !settings.capabilities.contains(capability)
    {
        let found: String = capability.chars().take(MAX_TENANT).collect();
        return wrong(
            "capability",
            format!("is {found:?}, known are {}", settings.capabilities.join(", ")),
        );
    }
    if new.request.len() > MAX_REQUEST {
        return wrong(
            "request",
            format!("has {} bytes, expected {MAX_REQUEST} at most", new.request.len()),
        );
    }
    let now = settings.clock.unix_ms();
    match new.deadline_unix_ms {
        Some(deadline) if deadline <= now => wrong(
            "deadline",
            format!("passed {:.1} s ago", (now - deadline) as f64 / 1000.0),
        ),
        _ => Ok(()),
    }
}
