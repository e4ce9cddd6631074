//! Why one step is, or is not, up to date; what it reads, and what would make it run again.

use crate::pipeline::model::Freshness;
use crate::rules::Lane;
use crate::store::Digest;
use crate::store::state::StepRecord;

use super::engine::{Engine, Selection};
use super::events::Silence;
use super::execute::relative;
use super::expand::parent_of;
use super::failures::Failed;
use super::neighbourhood::list_of;
use super::outcome::{Account, Status};
use super::reason::{self, Reason};
use super::request::{Asked, Unknown};
use super::session::{BuildError, Order, Session, looked};
use super::steps::{Bound, StepId, printable};

/// All that can be said of a step without running anything.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub step: String,
    pub status: Status,
    /// Why it would run: what was decided, then every other part of its key that moved.
    pub reasons: Vec<Reason>,
    /// Why it fails, is absent or is blocked.
    pub message: Option<String>,
    pub outputs: Vec<String>,
    /// The rule, its version, and its parameters as they are hashed.
    pub rule: (String, u32),
    pub params: Vec<(String, String)>,
    /// Its bindings with their values, and the digest that came with a value.
    pub values: Vec<(String, String, Option<String>)>,
    /// What its values were read out of: a step's label, or a list.
    pub read_out_of: Vec<String>,
    /// How long answers are kept, as the pipeline says it.
    pub fresh: String,
    /// The source that it asks or reads, by its identity.
    pub source: Option<String>,
    /// Paths of what it reads, with the start of the digest of each.
    pub inputs: Vec<(String, String)>,
    /// When its source was asked, or it was made; milliseconds since 1970.
    pub asked_at: Option<i64>,
    pub key: Option<Digest>,
    /// How it failed when it was last tried, where it did not come to an end since.
    pub last_failure: Option<Failed>,
    /// Why it was made, or brought back, when it last was.
    pub last_made: Option<String>,
    /// What its command printed then, where it printed anything.
    pub log: Option<String>,
}

/// Explains every step that was asked for.
pub fn explain(session: &Session, order: &Order) -> Result<Vec<Explanation>, BuildError> {
    let (engine, _) = looked(session, order, &mut Silence)?;
    let mut asked: Vec<StepId> = (0..u32::try_from(engine.steps.len()).unwrap_or(u32::MAX))
        .filter(|&id| order.asked.iter().any(|a| engine.is_asked(a, id)))
        .filter(|&id| engine.rules[engine.steps.step(id).target as usize].is_some())
        .collect();
    asked.sort_by_key(|&id| (engine.steps.step(id).target, engine.steps.step(id).row));
    Ok(asked.into_iter().map(|id| engine.explanation(id)).collect())
}

impl Engine<'_> {
    /// Whether a step was asked for by name, and not only because something needs it.
    pub(super) fn is_asked(&self, asked: &Asked, id: StepId) -> bool {
        let rows = |target: usize| {
            self.steps.step(id).target as usize == target
                || self.steps.shared.get(&id).is_some_and(|also| also.iter().any(|&(t, _)| t == target))
        };
        match asked {
            Asked::Target(target) => rows(*target),
            Asked::Steps(target, values) => {
                let bound = self.steps.values_of(id);
                rows(*target) && values.iter().all(|(b, v)| bound.get(*b) == Some(&v.as_str()))
            }
            Asked::Output(path, _) => self.steps.find_path(&self.state, path) == Some(id),
        }
    }

    /// What was asked for by name and turns out not to be.
    pub(super) fn not_found(&self, order: &Order) -> Option<Unknown> {
        let found = |asked: &Asked| match asked {
            Asked::Target(_) => true,
            Asked::Steps(target, _) => self.steps.rows[*target].steps.iter().any(|&id| self.is_asked(asked, id)),
            Asked::Output(path, _) => self.steps.find_path(&self.state, path).is_some(),
        };
        // What `--refresh` and `--force` name may lie outside of what is built; it is missed only where it could be told.
        let told = |asked: &&Asked| match asked {
            Asked::Target(_) => false,
            Asked::Steps(target, _) => self.wanted[*target].all,
            Asked::Output(_, makers) => makers.iter().all(|(target, _)| self.wanted[*target].all),
        };
        let chosen = [&order.refresh, &order.force].into_iter().flat_map(|selection| match selection {
            Selection::Named(named) => named.as_slice(),
            Selection::None | Selection::All => &[],
        });
        let missing = order.asked.iter().chain(chosen.filter(told)).find(|asked| !found(asked))?;
        let message = match missing {
            Asked::Target(_) => return None,
            Asked::Output(path, _) => format!("no step makes {path}"),
            Asked::Steps(target, values) => {
                let target = &self.pipeline.targets[*target];
                let values: Vec<String> =
                    values.iter().map(|(b, v)| format!("{}={}", target.bindings[*b].name, printable(v))).collect();
                format!("no step {}@{}", target.name, values.join(","))
            }
        };
        Some(Unknown { message, help: Some("`layermill graph --steps` names all that can be told now".to_owned()) })
    }

    fn explanation(&self, id: StepId) -> Explanation {
        let target = self.steps.step(id).target as usize;
        let account = self.accounts.get(&id);
        let outputs: Vec<String> = self.paths(id).map(str::to_owned).collect();
        let record = outputs.first().and_then(|path| self.state.step(path));
        let mut reasons: Vec<Reason> = account.and_then(|a: &Account| a.reason.clone()).into_iter().collect();
        let mut inputs = Vec::new();
        let mut rule = (String::new(), 0);
        let mut params = Vec::new();
        if let Some(compiled) = &self.rules[target] {
            rule = (compiled.template.rule.clone(), compiled.template.version);
            params.clone_from(&compiled.template.params);
            let judged = !self.steps.step(id).status.blocks();
            if let Some(record) = record.as_ref().filter(|_| judged) {
                let more = self.changes(id, compiled, record, record.answer.as_ref());
                reasons.extend(more.into_iter().filter(|m| account.is_some_and(|a| a.reason.as_ref() != Some(m))));
            }
            if judged {
                self.each_input(id, &mut |_, path, content| {
                    inputs.push((path.to_owned(), reason::hex(&content.short())));
                });
                let found = record.iter().flat_map(|r| &r.found);
                inputs.extend(found.map(|f| (f.path.clone(), reason::hex(&f.content.short()))));
            }
        }
        let source = self.rules[target].as_ref().and_then(|c| match c.rule.lane() {
            Lane::Source(identity, _) => Some(identity),
            Lane::Compute | Lane::Process => None,
        });
        Explanation {
            source,
            fresh: match self.settings_of(id).fresh {
                Freshness::Exists => "exists".to_owned(),
                Freshness::Within(limit) => reason::span(limit.as_secs()),
                Freshness::Digest => "digest".to_owned(),
                Freshness::Always => "always".to_owned(),
            },
            values: self.values(id),
            read_out_of: self.read_out_of(id),
            step: self.steps.label(id),
            status: self.steps.step(id).status,
            reasons,
            message: account.and_then(|a| a.message.clone()),
            last_failure: account.and_then(|a| a.last_failure.clone()),
            rule,
            params,
            inputs,
            asked_at: record.as_ref().map(|r: &StepRecord| r.asked_at).filter(|&t| t > 0),
            last_made: record.as_ref().and_then(|r| r.why.clone()).map(|why| match why.as_str() {
                "" => Reason::FirstBuild.to_string(),
                _ => why,
            }),
            log: (!outputs.is_empty())
                .then(|| self.log_of(id))
                .filter(|log| log.is_file())
                .map(|log| relative(&log, &self.pipeline.root)),
            outputs,
            key: record.map(|r| r.key),
        }
    }

    fn values(&self, id: StepId) -> Vec<(String, String, Option<String>)> {
        let names = self.steps.target(id).bindings.iter().map(|b| b.name.clone());
        let value = |bound: &Bound| {
            let digest = self.steps.fingerprint(bound).map(ToString::to_string);
            (self.steps.names.get(bound.value).to_owned(), digest)
        };
        names.zip(self.steps.bound(id).iter().map(value)).map(|(name, (value, digest))| (name, value, digest)).collect()
    }

    fn read_out_of(&self, id: StepId) -> Vec<String> {
        let (step, target) = (self.steps.step(id), self.steps.target(id));
        let rows = &self.steps.rows[step.target as usize];
        let parent = parent_of(target).zip(rows.parents.get(step.row as usize));
        let parent = parent.map(|(parent, &row)| self.steps.label(self.steps.rows[parent].steps[row as usize]));
        target.axes.iter().filter_map(|axis| list_of(&axis.kind)).map(str::to_owned).chain(parent).collect()
    }
}
