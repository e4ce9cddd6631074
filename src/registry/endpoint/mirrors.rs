//! Mirrors: addresses with the same content, asked in order before a registry's own.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::Endpoint;
use crate::registry::{Answer, Effort, SourceError};
use crate::sync::lock;

/// How long a mirror that is down is left alone, so that it does not hold up every request.
const REST: Duration = Duration::from_secs(30);

/// A registry's own address, and its mirrors.
pub struct Endpoints {
    mirrors: Vec<Mirror>,
    own: Endpoint,
}

struct Mirror {
    endpoint: Endpoint,
    failed: Mutex<Option<Instant>>,
}

impl Endpoints {
    pub fn new(mirrors: Vec<Endpoint>, own: Endpoint) -> Self {
        let mirror = |endpoint| Mirror { endpoint, failed: Mutex::default() };
        Self { mirrors: mirrors.into_iter().map(mirror).collect(), own }
    }

    pub fn has_mirrors(&self) -> bool {
        !self.mirrors.is_empty()
    }

    /// The registry's own address, for what no mirror has all of.
    pub fn own(&self) -> &Endpoint {
        &self.own
    }

    /// Asks one after the other, as container runtimes do: a mirror has one attempt, and where it fails, or has not what
    /// is wanted, the next one is asked. What the registry itself says counts. What is found comes with who gave it.
    pub async fn ask<'a, T>(
        &'a self,
        effort: Effort,
        question: impl Fn(&'a Endpoint, Effort) -> BoxFuture<'a, Result<Answer<T>, SourceError>>,
    ) -> Result<Answer<(T, &'a Endpoint)>, SourceError> {
        let once = Effort { retries: Some(0), ..effort };
        let mut failures = Vec::new();
        for mirror in self.mirrors.iter().filter(|m| !m.rests()) {
            match question(&mirror.endpoint, once).await {
                Ok(Answer::Found(found)) => return Ok(Answer::Found((found, &mirror.endpoint))),
                Ok(Answer::Absent(_)) => {}
                Err(error) => {
                    if error.is_outage {
                        mirror.starts_to_rest();
                    }
                    failures.push(error.message);
                }
            }
        }
        let answer = question(&self.own, effort).await.map_err(|mut error| {
            for failure in failures {
                error.message = format!("{}; before that, of a mirror: {failure}", error.message);
            }
            error
        })?;
        Ok(answer.map(|found| (found, &self.own)))
    }
}

impl Mirror {
    fn starts_to_rest(&self) {
        *lock(&self.failed) = Some(Instant::now());
    }

    fn rests(&self) -> bool {
        let failed = lock(&self.failed);
        failed.is_some_and(|at| at.elapsed() < REST)
    }
}
