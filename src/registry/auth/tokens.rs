//! The tokens that were granted: each is got once for all that wait for it, and serves until it runs out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::refusal::Refused;
use super::token::{self, Token, TokenKey};
use crate::registry::flight::Flights;
use crate::sync::lock;

/// How often one token may be renewed before its time, within the time that a token lasts at least.
const RENEWALS_MAX: usize = 4;
const RENEWALS_WITHIN: Duration = Duration::from_secs(token::SHORTEST_LIFE);

/// The tokens of one registry.
#[derive(Default)]
pub struct Tokens {
    kept: Mutex<HashMap<TokenKey, Arc<Token>>>,
    fetches: Flights<TokenKey, Result<Arc<Token>, Refused>>,
    renewals: Mutex<HashMap<TokenKey, Vec<Instant>>>,
}

impl Tokens {
    /// The token that there is, or else what `fetch` gets.
    pub async fn of(
        &self,
        key: &TokenKey,
        fetch: impl Future<Output = Result<Token, Refused>>,
    ) -> Result<Arc<Token>, Refused> {
        if let Some(token) = self.usable(key) {
            return Ok(token);
        }
        let fetch = async {
            if let Some(token) = self.usable(key) {
                return Ok(token);
            }
            let token = Arc::new(fetch.await?);
            self.keep(key, &token);
            Ok(token)
        };
        self.fetches.run(key.clone(), fetch).await
    }

    fn usable(&self, key: &TokenKey) -> Option<Arc<Token>> {
        lock(&self.kept).get(key).filter(|token| token.is_usable(Instant::now())).cloned()
    }

    /// Each repository has its own, and there may be many: before they take up more room, those that ran out leave theirs.
    fn keep(&self, key: &TokenKey, token: &Arc<Token>) {
        let (mut kept, now) = (lock(&self.kept), Instant::now());
        if kept.len() == kept.capacity() {
            kept.retain(|_, token| token.is_usable(now));
        }
        kept.insert(key.clone(), token.clone());
    }

    /// Whether another token may help where this one was refused. A host that refuses whatever it is shown is not given
    /// reason to be asked for tokens without end.
    pub fn may_renew(&self, key: &TokenKey, token: &Arc<Token>) -> bool {
        let now = Instant::now();
        if lock(&self.kept).get(key).is_none_or(|kept| !Arc::ptr_eq(kept, token)) {
            // Somebody has done it, or is at it: of many that are under way when a token ends, one renews it.
            return true;
        }
        if !token.may_have_run_out(now) {
            return false;
        }
        let mut renewals = lock(&self.renewals);
        let recent = renewals.entry(key.clone()).or_default();
        recent.retain(|at| now.duration_since(*at) < RENEWALS_WITHIN);
        let may = recent.len() < RENEWALS_MAX;
        if may {
            recent.push(now);
        }
        may
    }

    /// Forgets a token, unless another has taken its place.
    pub fn forget(&self, key: &TokenKey, token: &Arc<Token>) {
        let mut tokens = lock(&self.kept);
        if tokens.get(key).is_some_and(|kept| Arc::ptr_eq(kept, token)) {
            tokens.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_ran_out_do_not_pile_up() {
        let (tokens, realm) = (Tokens::default(), reqwest::Url::parse("https://r.example.com/token").unwrap());
        let keep = |n: usize, token: Token| {
            let scope = format!("repository:r{n}:pull");
            tokens.keep(
                &TokenKey { realm: realm.clone(), service: None, scope, repo: format!("r{n}") },
                &Arc::new(token),
            );
        };
        let token = || Token::read(br#"{"token": "t"}"#).unwrap();
        (0..1000).for_each(|n| keep(n, token().ran_out()));
        assert!(lock(&tokens.kept).len() < 10);
        (0..1000).for_each(|n| keep(n, token()));
        assert_eq!(lock(&tokens.kept).len(), 1000);
    }
}
