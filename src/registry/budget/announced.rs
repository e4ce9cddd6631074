//! What a server says of its limits: `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset`, `Retry-After`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::millis;

/// What an answer announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    pub limit: Option<u64>,
    pub remaining: Option<u64>,
    /// The time that the limit is for.
    pub window: Option<Duration>,
    /// When there is more, milliseconds since 1970.
    pub until: Option<i64>,
}

impl Announced {
    /// What these headers say at `now`; `None` where they say nothing of pulls.
    pub fn of(headers: &HeaderMap, now: i64) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let (limit, remaining) = (text("ratelimit-limit").map(quota), text("ratelimit-remaining").map(quota));
        if limit.is_none() && remaining.is_none() {
            return None;
        }
        let window = [limit, remaining].into_iter().flatten().find_map(|(_, window)| window);
        Some(Self {
            limit: limit.and_then(|(n, _)| n),
            remaining: remaining.and_then(|(n, _)| n),
            window,
            until: until(headers, now),
        })
    }
}

/// When a server says to come back, milliseconds since 1970.
pub fn until(headers: &HeaderMap, now: i64) -> Option<i64> {
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(now).ok()?);
    let names = [RETRY_AFTER.as_str(), "x-retry-after", "ratelimit-reset", "x-ratelimit-reset"];
    let wait = names.iter().find_map(|name| retry_after(headers.get(*name)?.to_str().ok()?, at))?;
    Some(now.saturating_add(millis(wait)))
}

/// `100;w=21600`, `100`, and what else may come: the number, and the window.
fn quota(text: &str) -> (Option<u64>, Option<Duration>) {
    let first = text.split(',').next().unwrap_or_default();
    let mut parts = first.split(';').map(str::trim);
    let number = parts.next().and_then(|n| n.parse().ok());
    let window = parts.find_map(|p| p.strip_prefix("w=")?.trim().parse().ok()).filter(|s| *s > 0);
    (number, window.map(Duration::from_secs))
}

/// Reads `Retry-After`: seconds, a date, or (as Docker Hub once did) the time itself in seconds since 1970.
pub fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    const NO_WAIT_IS_LONGER: u64 = 1_000_000_000;
    let until = |time: SystemTime| time.duration_since(now).unwrap_or_default();
    let text = text.trim();
    match text.parse::<u64>() {
        Ok(seconds) if seconds < NO_WAIT_IS_LONGER => Some(Duration::from_secs(seconds)),
        Ok(time) => Some(until(SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time))?)),
        Err(_) => httpdate::parse_http_date(text).ok().map(until),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn limits_are_read_with_and_without_their_window() {
        let of = |pairs| Announced::of(&headers(pairs), 1_000_000);
        let hub = of(&[("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "76;w=21600")]).unwrap();
        let window = Some(Duration::from_secs(21_600));
        assert_eq!(hub, Announced { limit: Some(100), remaining: Some(76), window, until: None });
        let plain = of(&[("ratelimit-remaining", " 0 "), ("ratelimit-reset", "30")]).unwrap();
        assert_eq!(plain, Announced { remaining: Some(0), until: Some(1_030_000), ..Announced::default() });
        let several = of(&[("ratelimit-limit", "10, 10;w=1, 50;w=60"), ("ratelimit-remaining", "many")]).unwrap();
        assert_eq!(several, Announced { limit: Some(10), ..Announced::default() });
        assert_eq!(of(&[("retry-after", "3")]), None);
    }

    #[test]
    fn retry_after_in_all_its_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
        let seconds = |text: &str| retry_after(text, now).map(|d| d.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds(&httpdate::fmt_http_date(now + Duration::from_secs(90))), Some(90));
        assert_eq!(seconds(&httpdate::fmt_http_date(now - Duration::from_secs(90))), Some(0));
        assert_eq!(seconds("1760000030"), Some(30));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-1"), None);
        assert_eq!(seconds("99999999999999999999"), None);
        assert!(seconds("18446744073709551615").is_none_or(|s| s > 600));
    }
}
