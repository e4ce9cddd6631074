//! Steps to which nothing happened, which are nearly all: told apart without keeping anything.

use rustix::fs::AtFlags;

use crate::build::engine::{Compiled, Engine, Leaf};
use crate::build::steps::StepId;
use crate::build::steps::waits::Wait;
use crate::rules::Asks;

impl Engine<'_> {
    /// The common case of a step to which nothing happened, told without keeping anything: it has one output and its
    /// answer cannot age.
    pub(super) fn is_plainly_up_to_date(&self, id: StepId) -> bool {
        let target = self.steps.step(id).target as usize;
        let Some(compiled) = self.rules[target].as_ref().filter(|_| self.settings_of(id).plain) else { return false };
        let upstream = self.steps.slots_of(id).iter().enumerate().all(|(position, slot)| match slot.wait {
            Wait::Step(step) => self.steps.step(step).status.has_outputs() && self.at_risk(step).is_none(),
            Wait::Group(group) => {
                let group = &self.steps.groups[group as usize];
                // A group of one may be absent: that is told at length.
                group.blocked_by.is_none() && group.stale.is_none() && group.at_risk.is_none() && group.rows.len() > 1
            }
            Wait::File(file) => {
                self.looks[file as usize] == Leaf::There && self.in_a_made_folder(id, position, file).is_none()
            }
            Wait::None => true,
        });
        let &[path] = self.steps.outputs(id) else { return false };
        !self.asks_a_source(id, compiled)
            && upstream
            && self
                .state
                .file_at(path)
                .is_some_and(|file| self.eyes.same(self.state.path(path), &file, AtFlags::SYMLINK_NOFOLLOW))
            && self.state.step_key_at(path) == Some(self.key(id, compiled, None))
    }

    /// Whether a step has a question for its source.
    pub(crate) fn asks_a_source(&self, id: StepId, compiled: &Compiled) -> bool {
        match compiled.rule.common().asks {
            Asks::Never => false,
            Asks::Always => true,
            Asks::Unless(binding) => self.steps.fingerprint(&self.steps.bound(id)[binding]).is_none(),
        }
    }
}
