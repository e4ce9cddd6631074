//! The engine: steps become ready, are decided in parallel, run in their lanes, and wake what waits for them.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::pipeline::model::{Axis, Pattern, Pipeline, TargetId};
use crate::pipeline::problem::{Problems, Span};
use crate::registry::{Budgets, Traffic};
use crate::rules::{Lane, Rule};
use crate::store::Digest;
use crate::store::blobs::Blobs;
use crate::store::state::{PathId, State, StateError, StepRecord, StoredOutput};

use super::clock::Clock;
use super::decide::{Decision, Run, Verdict, Work};
use super::deferral::{Deferrals, PutOff};
use super::events::{Event, Listener, Progress};
use super::execute::said;
use super::expand::Pending;
use super::expand::{Rhythm, Scratch};
use super::failures::Failures;
use super::files::{Eyes, Look};
use super::key::Template;
use super::outcome::{Account, Counts, Standings, Status, Summary};
use super::place::Placer;
use super::possible::AxisValues;
use super::protected::Protected;
use super::reason::Reason;
use super::reasons::Reasons;
use super::request::{Asked, Wanted};
use super::schedule::Schedule;
use super::scratch::ScratchFolders;
use super::settings::Settings;
use super::steps::{Bound, FileId, StepId, Steps};
use super::task::Message;
use super::waits::{GroupId, Wait};

/// A target's rule, and what all its steps share of their keys.
pub(super) struct Compiled {
    pub rule: Arc<dyn Rule>,
    pub template: Template,
    /// What keys hash of it.
    pub template_digest: Digest,
    /// What records name: its whole text.
    pub recorded: Digest,
    /// Its outputs go to the store.
    pub cached: bool,
    /// It asks or reads a source.
    pub by_source: bool,
}

#[derive(Default)]
pub(super) struct Stats {
    pub total: usize,
    pub done: usize,
    /// Of those done, the ones that were given to their rule.
    pub ran: usize,
    /// No more steps can be found.
    pub all_known: bool,
}

pub(super) struct Engine<'p> {
    pub pipeline: &'p Pipeline,
    pub rules: Vec<Option<Compiled>>,
    pub settings: Vec<Settings>,
    pub state: State,
    pub blobs: Blobs,
    pub placer: Arc<Placer>,
    pub work_dir: PathBuf,
    pub scratch_folders: Arc<ScratchFolders>,
    pub traffic: Arc<Traffic>,
    pub budgets: Arc<Budgets>,
    pub deferrals: Deferrals,
    /// What failed when it was last tried (only where nothing is run).
    pub failures: Failures,
    /// Where those of this build are kept, once there is one.
    pub failure_log: Option<File>,
    /// Where the commands that this build begins are written down, once there is one.
    pub start_log: Option<File>,
    pub mode: Mode,
    /// What [`Mode::Adopt`] takes.
    pub adopt: Vec<Asked>,
    pub offline: bool,
    pub fail_fast: bool,
    pub refresh: Selection,
    pub force: Selection,
    pub clock: Clock,
    /// When the run began: what the ages of answers are reckoned from.
    pub now_ms: i64,

    pub steps: Steps<'p>,
    pub wanted: Vec<Wanted>,
    /// For each target, those that read values out of its outputs, producers first.
    pub readers: Vec<Vec<TargetId>>,
    /// Targets that can get no more rows.
    pub closed: Vec<bool>,
    /// Targets that read from several others and wait for them.
    pub waiting: Vec<TargetId>,
    pub eyes: Eyes,
    /// What was seen of each file that no step makes.
    pub looks: Vec<Leaf>,
    /// Why those of them that are there cannot be read.
    pub unusable: HashMap<FileId, String>,
    /// The paths of each target's last two steps, to find the next one near.
    pub rhythm: Rhythm,
    pub scratch: Scratch,
    pub protected: Protected,
    /// The values of the axes that were read from files, by what they are.
    pub columns: HashMap<String, Vec<Bound>>,
    /// The values of targets that were not expanded.
    pub axis_values: AxisValues,
    /// Paths by the hashes that records have of them, once one is asked for.
    pub input_names: OnceLock<HashMap<[u8; 8], PathId>>,
    /// The first output of the step that made each further one, as it was recorded when that was first asked for.
    pub kept_by: OnceLock<HashMap<PathId, PathId>>,
    /// For each target, the path of each input that is one file; `None` for a group of steps.
    pub direct: Vec<Vec<Option<Pattern>>>,
    pub ready: Vec<StepId>,
    pub to_expand: Vec<Pending>,
    pub check_group: Vec<GroupId>,
    pub problems: Problems,
    /// True until something may run: what clashes is then a mistake of the pipeline.
    pub before_build: bool,

    pub schedule: Schedule,
    pub runs: HashMap<StepId, Box<Run>>,
    pub accounts: HashMap<StepId, Account>,
    /// Steps that make the file of others, or need a folder where those make a file: none of them can be.
    pub clashes: HashMap<StepId, Vec<StepId>>,
    pub stats: Stats,
    /// Steps that failed where no one listened; they are told next.
    pub untold: Vec<StepId>,
    /// Nothing more is started.
    pub stopping: bool,
    /// The person wanted to stop.
    pub interrupted: bool,
    /// Steps that turned out to be wrong while they ran, and why.
    pub doomed: HashMap<StepId, String>,
    pub runtime: Arc<tokio::runtime::Runtime>,
    pub cancel: tokio::sync::watch::Sender<bool>,
    pub send: Sender<Message>,
}

/// What was seen of a file that no step makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Leaf {
    #[default]
    Unseen,
    /// It is there, and the state has its record.
    There,
    Missing,
    /// [`Engine::unusable`] says why.
    Unusable,
}

/// What a run may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Bring steps up to date.
    Build,
    /// Change nothing; what would run is stale.
    Look,
    /// Run nothing; outputs of the steps asked for are taken as they are.
    Adopt,
}

/// What `--refresh[=TARGET]` and `--force[=TARGET]` choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    #[default]
    None,
    All,
    /// Targets, steps, and the steps that make these outputs.
    Named(Vec<Asked>),
}

/// How often what changed is made safe against the loss of power.
const SYNC_EVERY: Duration = Duration::from_millis(500);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// Below this, handing steps to other threads costs more than deciding them here.
const PARALLEL_FROM: usize = 16;
/// So many files are looked at before what was seen is taken in: what is seen of one takes more room than what is kept.
const LOOKS: usize = 1 << 14;

impl Engine<'_> {
    pub(super) fn forced(&self, id: StepId) -> bool {
        self.chosen(&self.force, id)
    }

    pub(super) fn refreshed(&self, id: StepId) -> bool {
        self.chosen(&self.refresh, id)
    }

    fn chosen(&self, selection: &Selection, id: StepId) -> bool {
        match selection {
            Selection::None => false,
            Selection::All => true,
            Selection::Named(named) => named.iter().any(|asked| self.is_asked(asked, id)),
        }
    }

    /// Runs until nothing is ready and nothing is under way.
    pub(super) fn drive(&mut self, receive: &Receiver<Message>, listener: &mut dyn Listener) -> Result<(), StateError> {
        let (mut synced, mut told) = (Instant::now(), Instant::now() - TELL_EVERY);
        self.before_build = false;
        loop {
            self.decide_ready(listener);
            self.tell_untold(listener);
            if !self.stopping {
                self.launch(listener);
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                listener.hear(&Event::Progress(self.progress()));
            }
            if self.schedule.running() == 0 && (self.stopping || self.ready.is_empty()) {
                if self.decide_put_off(listener) {
                    continue;
                }
                break;
            }
            if self.mode != Mode::Build {
                continue;
            }
            self.state.flush()?;
            match receive.recv_timeout(TELL_EVERY) {
                Ok(message) => self.handle(message, listener),
                Err(_) => continue,
            }
            while let Ok(message) = receive.try_recv() {
                self.handle(message, listener);
            }
            if synced.elapsed() >= SYNC_EVERY {
                self.state.flush()?;
                self.state.sync()?;
                synced = Instant::now();
            }
        }
        if !self.stopping {
            self.fail_unreached();
        }
        self.tell_untold(listener);
        Ok(())
    }

    /// Every step has an end; one that has none would otherwise be passed over in silence.
    fn fail_unreached(&mut self) {
        let ids = 0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        for id in ids.filter(|&id| !self.steps.step(id).status.is_done()).collect::<Vec<_>>() {
            let message = "it never became ready: this is a mistake of layermill's, please report it".to_owned();
            self.account(id, Status::Failed, None, Some(message), None);
            self.steps.step_mut(id).status = Status::Failed;
            self.untold.push(id);
        }
    }

    /// Tells the failures of steps that never became ready.
    fn tell_untold(&mut self, listener: &mut dyn Listener) {
        for id in std::mem::take(&mut self.untold) {
            self.keep_failure(id, None);
            if let Some(account) = self.accounts.get(&id) {
                listener.hear(&Event::Finished { id, account });
            }
        }
    }

    fn progress(&mut self) -> Progress {
        self.stats.all_known = self.stats.all_known || !self.may_grow();
        Progress {
            total: self.stats.total,
            grows: !self.stats.all_known,
            done: self.stats.done,
            ran: self.stats.ran,
            running: self.schedule.running(),
            requests: self.traffic.requests(),
            bytes: self.traffic.bytes(),
            retries: self.traffic.retries(),
            budget_wait: self.budgets.waits_for(),
        }
    }

    /// Steps are left that others are read out of.
    fn may_grow(&self) -> bool {
        let unread = |target: TargetId| {
            !self.readers[target].is_empty()
                && self.steps.rows[target].steps.iter().any(|&id| !self.steps.step(id).status.is_done())
        };
        !self.waiting.is_empty() || (0..self.readers.len()).any(unread)
    }

    /// Decides all that is ready, wave after wave, until what is left needs to run.
    fn decide_ready(&mut self, listener: &mut dyn Listener) {
        self.after_settling();
        while !self.ready.is_empty() && !self.stopping {
            let ready = std::mem::take(&mut self.ready);
            let ready = self.name_files(ready);
            self.eyes.blink();
            self.look_at_files(&ready);
            let verdicts: Vec<Option<Box<Verdict>>> = if ready.len() < PARALLEL_FROM {
                ready.iter().map(|&id| self.decide(id)).collect()
            } else {
                let this = &*self;
                ready.par_iter().with_min_len(PARALLEL_FROM).map(|&id| this.decide(id)).collect()
            };
            for (id, verdict) in ready.into_iter().zip(verdicts) {
                match verdict {
                    None => self.finish(id, Status::UpToDate),
                    Some(verdict) => self.apply(id, *verdict, listener),
                }
            }
            self.after_settling();
        }
    }

    /// Looks at the files that these steps read and no step makes: once a run, whoever reads them.
    fn look_at_files(&mut self, ready: &[StepId]) {
        self.looks.resize_with(self.steps.files.len(), Leaf::default);
        let mut due: Vec<u32> = Vec::new();
        for &id in ready {
            for slot in self.steps.slots_of(id) {
                if let Wait::File(file) = slot.wait
                    && self.looks[file as usize] == Leaf::Unseen
                {
                    // Marked at once, so that it is listed once.
                    self.looks[file as usize] = Leaf::Missing;
                    due.push(file);
                }
            }
        }
        for due in due.chunks(LOOKS) {
            let this = &*self;
            let seen: Vec<Option<Look>> =
                due.par_iter().with_min_len(PARALLEL_FROM).map(|&file| this.look_at_file(file)).collect();
            for (&file, look) in due.iter().zip(seen) {
                self.looks[file as usize] = match look {
                    None | Some(Look::Same(_)) => Leaf::There,
                    Some(Look::Hashed(record)) => {
                        self.state.put_file_at(self.steps.files[file as usize], record);
                        Leaf::There
                    }
                    Some(Look::Missing) => Leaf::Missing,
                    Some(Look::Unusable(why)) => {
                        self.unusable.insert(file, why);
                        Leaf::Unusable
                    }
                };
            }
        }
    }

    pub(super) fn after_settling(&mut self) {
        loop {
            self.settle_groups();
            if self.to_expand.is_empty() {
                return;
            }
            self.expand_due();
        }
    }

    fn apply(&mut self, id: StepId, verdict: Verdict, listener: &mut dyn Listener) {
        for (path, record) in verdict.files {
            self.state.put_file_at(path, record);
        }
        match verdict.decision {
            Decision::Done { status, message, record } => {
                if let Some(record) = record.filter(|_| self.mode != Mode::Look) {
                    self.remember(id, &record);
                }
                if status == Status::Absent && self.mode == Mode::Build {
                    self.remove_outputs(id);
                }
                if status == Status::Blocked && self.is_blocked_perhaps(id) {
                    self.account(id, status, None, message, None);
                    self.mark_perhaps(id, true);
                    return self.settle_told(id, status, listener);
                }
                self.settle(id, status, None, message, listener);
            }
            Decision::PutOff(step) => {
                let perhaps = self.accounts.get(&step).is_some_and(|account| account.perhaps);
                self.account(id, Status::Deferred, None, Some(self.steps.label(step)), None);
                self.mark_perhaps(id, perhaps);
                self.settle_told(id, Status::Deferred, listener);
            }
            Decision::Failed { message, help } => {
                self.account(id, Status::Failed, None, Some(message), help);
                self.mark_perhaps(id, self.mode == Mode::Look && self.in_doubt(id).is_some());
                self.keep_failure(id, None);
                self.settle_told(id, Status::Failed, listener);
            }
            Decision::Run(run) if self.mode != Mode::Build => {
                if let Some(why) = self.needs_network(id, &run) {
                    let help = Some("run without `--offline`".to_owned());
                    self.account(id, Status::Failed, Some(run.reasons), Some(why), help);
                    return self.settle_told(id, Status::Failed, listener);
                }
                if let Some(PutOff { why, perhaps }) = self.puts_off(id, &run) {
                    let perhaps = perhaps || self.in_doubt(id).is_some();
                    self.account(id, Status::Deferred, Some(run.reasons), Some(why), None);
                    self.mark_perhaps(id, perhaps);
                    return self.settle_told(id, Status::Deferred, listener);
                }
                let perhaps = self.may_not_run(id, &run.reasons);
                let told = run.reasons.iter().any(|why| matches!(why, Reason::UpstreamThatFailed(_)));
                let blocked = || self.blocked_as_before(id).filter(|_| !told);
                let (message, work) = (said(&run.notes).or_else(blocked), run.work.word());
                self.account(id, Status::Stale, Some(run.reasons), message, None);
                if let Some(account) = self.accounts.get_mut(&id) {
                    account.work = Some(work);
                }
                self.mark_perhaps(id, perhaps);
                if let (Mode::Look, Work::Restore(stored)) = (self.mode, run.work) {
                    self.will_restore(id, stored);
                }
                self.settle_told(id, Status::Stale, listener);
            }
            Decision::Run(mut run) => {
                // What is taken over is compared with what its source answers as if it had been made.
                if let Some(adopted) = run.adopted.take() {
                    self.remember(id, &adopted);
                }
                self.steps.step_mut(id).status = Status::Busy;
                self.queue(id, run);
            }
        }
    }

    /// Whether what is told of a step is seen only while building.
    pub(super) fn mark_perhaps(&mut self, id: StepId, perhaps: bool) {
        if let Some(account) = self.accounts.get_mut(&id) {
            account.perhaps = perhaps;
        }
    }

    /// Puts a step in line for its rule.
    pub(super) fn queue(&mut self, id: StepId, run: Box<Run>) {
        let target = self.steps.step(id).target as usize;
        let lane = self.rules[target].as_ref().map_or(&Lane::Compute, |c| &c.rule.common().lane);
        self.schedule.push(id, lane, self.pipeline.targets[target].pool);
        self.runs.insert(id, run);
    }

    /// Where nothing is run: what a step will have made is known, unless values are read out of it and cannot be read.
    fn will_restore(&mut self, id: StepId, stored: Vec<StoredOutput>) {
        let is_read = !self.readers[self.steps.step(id).target as usize].is_empty();
        if !is_read || stored.first().is_some_and(|first| self.blobs.peek(&first.blob).is_some()) {
            self.steps.restores.insert(id, stored);
        }
    }

    /// Keeps what a step was made from.
    pub(super) fn remember(&mut self, id: StepId, record: &StepRecord) {
        let target = self.steps.step(id).target as usize;
        // The text is one for all of a target's steps.
        if let Some(compiled) = &self.rules[target]
            && self.state.template(&compiled.recorded).is_none()
        {
            self.state.put_template(&compiled.template.text());
        }
        let paths = self.steps.outputs(id).to_vec();
        let left = self.left_behind(id);
        self.state.put_step_at(paths[0], record);
        left.iter().for_each(|(path, record)| self.state.put_step_at(*path, record));
        // Whoever made these by themselves before does not any more.
        for &path in &paths[1..] {
            if self.state.step_key_at(path).is_some() {
                let file = self.state.file_at(path);
                let name = self.state.path(path).to_owned();
                self.state.remove(&name);
                file.into_iter().for_each(|file| self.state.put_file_at(path, file));
            }
        }
    }

    /// Removes the outputs of a step that has become absent, where they are ours, and what is remembered of them.
    pub(super) fn remove_outputs(&mut self, id: StepId) {
        for (path, record) in self.left_behind(id) {
            self.state.put_step_at(path, &record);
        }
        for position in 0..self.steps.outputs(id).len() {
            let path = self.path(id, position).to_owned();
            if self.state.file(&path).is_some() {
                // What cannot be removed has no record any more, and is not believed by anyone.
                let _ = self.placer.remove(&path);
                self.state.remove(&path);
            }
        }
    }

    /// A step is done.
    pub(super) fn settle(
        &mut self,
        id: StepId,
        status: Status,
        reasons: Option<Reasons>,
        message: Option<String>,
        listener: &mut dyn Listener,
    ) {
        if !matches!(status, Status::UpToDate | Status::Pending | Status::Busy) || message.is_some() {
            self.account(id, status, reasons, message, None);
        }
        self.settle_told(id, status, listener);
    }

    pub(super) fn settle_told(&mut self, id: StepId, status: Status, listener: &mut dyn Listener) {
        if let Some(account) = self.accounts.get(&id) {
            listener.hear(&Event::Finished { id, account });
        }
        self.finish(id, status);
    }

    /// Marks a step as done and wakes what waits for it.
    pub(super) fn finish(&mut self, id: StepId, status: Status) {
        self.steps.step_mut(id).status = status;
        if status == Status::Failed && self.fail_fast {
            self.stop();
        }
        self.stats.done += 1;
        self.mark_risk(id);
        self.steps.wake_step(id, &mut self.ready);
        let step = self.steps.step(id);
        let (target, row) = (step.target as usize, step.row);
        self.row_done(target, row, id);
        if !self.steps.shared.is_empty() {
            for (target, row) in self.steps.shared.get(&id).cloned().unwrap_or_default() {
                self.row_done(target, row, id);
            }
        }
    }

    pub(super) fn account(
        &mut self,
        id: StepId,
        status: Status,
        reasons: Option<Reasons>,
        message: Option<String>,
        help: Option<String>,
    ) {
        let account = Account {
            step: self.steps.label(id),
            target: self.steps.step(id).target as usize,
            status,
            reasons,
            work: None,
            perhaps: false,
            message,
            help,
            output: Vec::new(),
            log: None,
            took: None,
            attempts: 0,
            blocks: 0,
            last_failure: None,
        };
        self.accounts.insert(id, account);
    }

    /// A step that cannot be: it fails before it is ever ready.
    pub(super) fn fail(&mut self, id: StepId, message: String, help: Option<String>) {
        self.account(id, Status::Failed, None, Some(message), help);
        self.untold.push(id);
        self.finish(id, Status::Failed);
    }

    /// A step turns out to be wrong after others have come to know it.
    pub(super) fn fail_late(&mut self, id: StepId, message: String) {
        match self.steps.step(id).status {
            Status::Failed => {}
            status if status.is_done() => {
                self.account(id, Status::Failed, None, Some(message), None);
                self.untold.push(id);
                self.steps.step_mut(id).status = Status::Failed;
                self.steps.mark_all(id);
            }
            Status::Busy if self.schedule.withdraw(id) => {
                self.runs.remove(&id);
                self.fail(id, message, None);
            }
            Status::Busy => drop(self.doomed.insert(id, message)),
            _ => {
                self.ready.retain(|&r| r != id);
                self.fail(id, message, None);
            }
        }
    }

    /// A target's values cannot be told.
    pub(super) fn fail_target(&mut self, _target: TargetId, axis: &Axis, message: String) {
        self.problem(axis.span, "cannot read the values of this axis", message);
    }

    pub(super) fn problem(&mut self, span: Span, message: &str, label: String) {
        self.problems.at(span, message, label);
    }

    /// How the steps that would run stand, for each target: a step of several counts for each of them.
    fn standings(&self) -> Vec<Standings> {
        let mut standings = vec![Standings::default(); self.pipeline.targets.len()];
        for (&id, account) in self.accounts.iter().filter(|(_, account)| account.status == Status::Stale) {
            let others = self.steps.shared.get(&id).into_iter().flatten().map(|&(target, _)| target);
            others.chain([account.target]).for_each(|target| standings[target].add(account));
        }
        standings
    }

    /// Everything as it stands, in the order of the targets and their rows.
    pub(super) fn summary(&mut self, started: Instant, set_aside: Vec<String>) -> Summary {
        for (id, blocks) in self.blame() {
            if let Some(account) = self.accounts.get_mut(&id) {
                account.blocks = blocks;
            }
        }
        let mut summary = Summary {
            by_target: vec![Counts::default(); self.pipeline.targets.len()],
            standings: self.standings(),
            requests: self.traffic.requests(),
            bytes: self.traffic.bytes(),
            retries: self.traffic.retries(),
            hosts: self.traffic.hosts(),
            elapsed: started.elapsed(),
            interrupted: self.interrupted,
            deferrals: self.deferrals.told(),
            pulls: self.deferrals.pulls(&self.told_by_sources()),
            set_aside,
            ..Summary::default()
        };
        for &target in &self.pipeline.order {
            if self.rules[target].is_none() {
                continue;
            }
            for (row, &id) in self.steps.rows[target].steps.iter().enumerate() {
                let step = self.steps.step(id);
                summary.by_target[target].add(step.status);
                let home = step.target as usize == target && step.row as usize == row;
                if home {
                    summary.counts.add(step.status);
                    if !self.accounts.is_empty() {
                        summary.accounts.extend(self.accounts.remove(&id));
                    }
                }
            }
        }
        self.tell_doubts(&mut summary);
        summary
    }
}
