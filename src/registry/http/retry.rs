//! Attempts, one after the other.

use std::time::Duration;

use super::{Fault, Http, LONGEST_RETRY_AFTER};
use crate::registry::{Effort, SourceError};

/// The first wait before another attempt; each further one is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl Http {
    /// Makes attempts until one succeeds, fails for good, or is the last.
    pub async fn retrying<T, F>(&self, effort: Effort, mut attempt: impl FnMut() -> F) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let retries = effort.retries();
        let mut made = 0;
        loop {
            let (what, wait, deferral) = match attempt().await {
                Ok(value) => return Ok(value),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Unreached(unreached)) if made == retries => return Err(unreached.error),
                Err(Fault::Unreached(unreached)) => (unreached.error.message, None, None),
                Err(Fault::Transient { what, wait, deferral, .. }) => (what, wait, deferral),
            };
            let is_too_long = wait.is_some_and(|w| w > LONGEST_RETRY_AFTER);
            if let Some(deferral) = deferral.filter(|_| made == retries || is_too_long) {
                return Err(SourceError::deferred(*deferral));
            }
            if made == retries {
                let attempts = if retries == 0 { "one attempt".into() } else { format!("{} attempts", retries + 1) };
                return Err(SourceError { is_outage: true, ..SourceError::new(format!("{what} ({attempts})")) });
            }
            if let Some(wait) = wait.filter(|_| is_too_long) {
                return Err(SourceError::new(format!("{what}, to be asked again in {} s", wait.as_secs()))
                    .help("run again then: what is done is kept"));
            }
            made += 1;
            self.repeats();
            // A server that says "at once" does not know how many there are who ask.
            tokio::time::sleep(wait.unwrap_or_default().max(backoff(made))).await;
        }
    }
}

/// Exponential, and spread out, so that many that failed together do not come back together.
pub fn backoff(attempt: u32) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_WAIT);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_spread() {
        for attempt in 1..40 {
            let longest = Duration::from_millis(100 * (1 << (attempt - 1).min(10))).min(LONGEST_WAIT);
            let wait = backoff(attempt);
            assert!(wait >= longest / 2 && wait <= longest, "{attempt}: {wait:?}");
        }
    }
}
