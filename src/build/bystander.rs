//! Damage of the state that is met by one who looks, or who writes records and makes nothing: told to the person, too.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::store::state::{Access, SetAside, State, StateError};
use crate::sync::lock;

use super::session::Session;

/// Says each damage once, however often a verb opens the state.
pub struct Bystander {
    say: fn(&str),
    said: Mutex<BTreeSet<String>>,
}

impl Bystander {
    pub fn new(say: fn(&str)) -> Self {
        Self { say, said: Mutex::default() }
    }

    fn tell(&self, found: &[SetAside]) {
        let mut said = lock(&self.said);
        found.iter().filter(|damage| said.insert(damage.0.clone())).for_each(|damage| (self.say)(&damage.0));
    }
}

impl Session {
    /// Opens the state for all but a build, whose listeners are told of its damage.
    pub(super) fn open_state(&self, access: Access) -> Result<(State, Vec<SetAside>), StateError> {
        let (state, set_aside) = State::open(&self.work_dir.join("state"), access)?;
        self.bystander.tell(&set_aside);
        Ok((state, set_aside))
    }
}
