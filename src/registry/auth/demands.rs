//! How a host wants to be asked. All of its repositories are taken to want what the last one said, until they say
//! something else: a host may have several registries behind it, each with a token server of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::challenge::Challenge;
use super::lock;

/// What was learnt of a host.
#[derive(Default)]
pub struct Demands(Mutex<Learnt>);

#[derive(Default)]
struct Learnt {
    last: Option<Arc<Challenge>>,
    /// What repositories said themselves.
    own: HashMap<String, Arc<Challenge>>,
}

/// How a repository is asked.
#[derive(Clone)]
pub struct Demand {
    pub challenge: Arc<Challenge>,
    /// It did not say so itself: another one of the host did.
    pub is_supposed: bool,
}

impl Demands {
    /// How a repository is asked; `None` where nobody wanted to know anything yet.
    pub fn of(&self, repo: &str) -> Option<Demand> {
        let learnt = lock(&self.0);
        let own = learnt.own.get(repo);
        let challenge = own.or(learnt.last.as_ref())?.clone();
        Some(Demand { challenge, is_supposed: own.is_none() })
    }

    /// Takes in what a repository says.
    pub fn learn(&self, repo: &str, challenge: Challenge) -> Arc<Challenge> {
        let mut learnt = lock(&self.0);
        // Most say the same.
        let known = learnt.last.take().filter(|last| **last == challenge);
        let challenge = known.unwrap_or_else(|| Arc::new(challenge));
        learnt.last = Some(challenge.clone());
        learnt.own.insert(repo.to_owned(), challenge.clone());
        challenge
    }
}
