//! How a host wants to be asked. All of its repositories are taken to want what their siblings said, or else what the last
//! one said, until they say something else: a host may have several registries behind it, each with a token server of its
//! own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::challenge::Challenge;
use crate::sync::lock;

/// What was learnt of a host.
#[derive(Default)]
pub struct Demands(Mutex<Learnt>);

#[derive(Default)]
struct Learnt {
    last: Option<Arc<Challenge>>,
    /// What repositories said themselves.
    own: HashMap<String, Arc<Challenge>>,
    /// What all said that are in one namespace; `None` where they differ.
    shared: HashMap<String, Option<Arc<Challenge>>>,
}

/// How a repository is asked.
#[derive(Clone)]
pub struct Demand {
    pub challenge: Arc<Challenge>,
    /// Neither did it say so itself, nor did its siblings: another one of the host did.
    pub is_supposed: bool,
}

impl Demands {
    /// How a repository is asked; `None` where nobody wanted to know anything yet.
    pub fn of(&self, repo: &str) -> Option<Demand> {
        let learnt = lock(&self.0);
        let near = learnt.own.get(repo).or_else(|| learnt.shared.get(namespace(repo))?.as_ref());
        let challenge = near.or(learnt.last.as_ref())?.clone();
        Some(Demand { challenge, is_supposed: near.is_none() })
    }

    /// Takes in what a repository says.
    pub fn learn(&self, repo: &str, challenge: Challenge) -> Arc<Challenge> {
        let mut learnt = lock(&self.0);
        // Most say the same.
        let known = learnt.last.take().filter(|last| **last == challenge);
        let challenge = known.unwrap_or_else(|| Arc::new(challenge));
        learnt.last = Some(challenge.clone());
        learnt.own.insert(repo.to_owned(), challenge.clone());
        let shared = learnt.shared.entry(namespace(repo).to_owned()).or_insert_with(|| Some(challenge.clone()));
        if shared.as_ref().is_some_and(|shared| !shared.is_answered_as(&challenge)) {
            *shared = None;
        }
        challenge
    }
}

fn namespace(repo: &str) -> &str {
    repo.rsplit_once('/').map_or("", |(namespace, _)| namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_want_the_same_unless_they_say_something_else() {
        let bearer = |realm: &str| Challenge::Bearer {
            realm: format!("https://{realm}/token").parse().unwrap(),
            service: None,
            scope: None,
        };
        let demands = Demands::default();
        let told = |repo: &str| demands.of(repo).map(|demand| ((*demand.challenge).clone(), demand.is_supposed));
        assert_eq!(told("north/a"), None);
        demands.learn("north/a", bearer("n"));
        demands.learn("south/a", Challenge::Basic);
        assert_eq!(told("north/a"), Some((bearer("n"), false)));
        assert_eq!(told("north/b"), Some((bearer("n"), false)));
        assert_eq!(told("north/b/c"), Some((Challenge::Basic, true)), "what the last one said");
        demands.learn("north/b", bearer("m"));
        assert_eq!(told("north/c"), Some((bearer("m"), true)), "some want this, some that");
        assert_eq!(told("north/a"), Some((bearer("n"), false)));
    }
}
