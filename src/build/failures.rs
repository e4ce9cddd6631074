//! The steps that failed, or were put off by their source, when they were last tried: kept beside the state, for those who look.

mod failed;
mod of_step;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

pub use self::failed::{Answered, Failed};
use super::clock::time_to_come;
use super::decide::{Run, Work};
use super::engine::{Engine, Mode};
use super::execute::started;
use super::outcome::{Status, Told};
use super::reason::Reason;
use super::reasons::Reasons;
use super::steps::StepId;
use crate::store::Sha256;

const FILE: &str = "failures.json";
/// A group makes nothing: its failure is kept by its name and this, with which no path of an output ends.
const OF_A_GROUP: char = '/';
/// Bytes. What is longer was not written by a build.
const LIMIT: u64 = 256 << 20;

/// By the path of a step's first output, or by a group's name. The file has one of these a line, each over those before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures(BTreeMap<String, Failed>);

impl Failures {
    /// Those that builds have left. What cannot be read tells of none.
    pub fn load(work_dir: &Path) -> Self {
        let mut all = Self::kept(work_dir);
        started::begun(work_dir).for_each(|(path, begun)| all.add(path, begun));
        all.standing()
    }

    /// Those that did not come to an end since.
    fn standing(mut self) -> Self {
        self.0.retain(|_, failed| !failed.over);
        self
    }

    /// The same without what was begun.
    pub(super) fn kept(work_dir: &Path) -> Self {
        let mut all = Self::default();
        lines(&work_dir.join(FILE)).for_each(|(path, failed)| all.add(path, failed));
        all
    }

    pub(super) fn of(path: &str, failed: Failed) -> Self {
        Self([(path.to_owned(), failed)].into())
    }

    /// One more; what was begun is known already where it failed since.
    fn add(&mut self, path: String, failed: Failed) {
        let before = self.0.get(&path);
        if failed.interrupted && before.is_some_and(|before| before.at >= failed.at) {
            return;
        }
        // What is at fault before a step is tried is seen by looking; how it failed when it was tried is not.
        let is_refused = !failed.was_tried() && !failed.over;
        if is_refused && before.is_some_and(|before| before.was_tried() && before.step == failed.step) {
            return;
        }
        let failed_before = failed.failed_before || failed.interrupted && before.is_some_and(Failed::may_recur);
        let before = before.filter(|before| before.step == failed.step);
        // What its source said holds until it is asked again.
        let heard = before.filter(|_| failed.is_silent());
        let put_off_before =
            failed.put_off_before || heard.is_some_and(|before| before.deferred || before.put_off_before);
        let (told, told_at) = match heard.filter(|_| failed.told.is_none()) {
            Some(before) => (before.told.clone(), before.told_at.or(before.told.as_ref().map(|_| before.at))),
            None => (failed.told.clone(), failed.told_at),
        };
        let answered = failed.answered.or_else(|| heard.and_then(|before| before.answered.clone()));
        self.0.insert(path, Failed { failed_before, put_off_before, told, told_at, answered, ..failed });
    }

    /// As a file keeps it.
    fn line(&self) -> serde_json::Result<Vec<u8>> {
        line(self)
    }

    /// Adds one to those that are kept.
    fn append(&self, log: &mut Option<File>, work_dir: &Path) -> io::Result<()> {
        let mut text = self.line()?;
        if log.is_none() {
            *log = Some(File::options().append(true).create(true).open(work_dir.join(FILE))?);
            text.insert(0, b'\n');
        }
        log.as_mut().map_or(Ok(()), |log| log.write_all(&text))
    }

    fn save(&self, work_dir: &Path) -> io::Result<()> {
        let path = work_dir.join(FILE);
        if self.0.is_empty() {
            return fs::remove_file(path);
        }
        let beside = work_dir.join(format!("{FILE}.tmp"));
        fs::write(&beside, serde_json::to_vec(self)?)?;
        fs::rename(beside, path)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first outputs of those that may come to the same again.
    pub fn that_may_recur(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|(_, failed)| failed.may_recur()).map(|(path, _)| path)
    }

    /// The first output of those that failed by each that they had then.
    fn by_output(&self) -> HashMap<String, String> {
        let all = self.0.iter().filter(|(_, failed)| !failed.more_outputs.is_empty());
        let outputs = all.flat_map(|(first, failed)| {
            let outputs = std::iter::once(first).chain(&failed.more_outputs);
            outputs.map(move |output| (output.clone(), first.clone()))
        });
        outputs.collect()
    }

    pub fn get(&self, output: &str) -> Option<&Failed> {
        self.0.get(output)
    }

    fn get_with_name(&self, name: &str) -> Option<(&str, &Failed)> {
        self.0.get_key_value(name).map(|(name, failed)| (name.as_str(), failed))
    }
}

/// One step alone, as a file keeps it.
pub(super) fn line_of(path: &str, failed: &Failed) -> serde_json::Result<Vec<u8>> {
    struct One<'a>(&'a str, &'a Failed);
    impl Serialize for One<'_> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_map([(self.0, self.1)])
        }
    }
    line(&One(path, failed))
}

fn line(failures: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(failures)?;
    line.push(b'\n');
    Ok(line)
}

/// What a file has, line by line. What cannot be read tells of nothing, as does a line that a killed build did not write
/// to its end.
pub(super) fn lines(path: &Path) -> impl Iterator<Item = (String, Failed)> + use<> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
    if read.is_err() {
        bytes.clear();
    }
    let lines: Vec<Failures> =
        bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    lines.into_iter().flat_map(|line| line.0)
}

impl Engine<'_> {
    /// Keeps what a killed build had begun and not brought to an end.
    pub(super) fn keep_interrupted(&mut self, begun: Vec<(String, Failed)>) {
        if begun.is_empty() {
            return;
        }
        let mut before = Failures::kept(&self.work_dir);
        let failed: HashMap<String, i64> = before.0.iter().map(|(path, failed)| (path.clone(), failed.at)).collect();
        begun.into_iter().for_each(|(path, begun)| before.add(path, begun));
        before.0.retain(|path, begun| failed.get(path) != Some(&begun.at) && self.stands(path, begun));
        if !before.is_empty() && before.append(&mut self.failure_log, &self.work_dir).is_err() {
            self.failure_log = None;
        }
    }

    /// Keeps that a step failed, or was put off, at once: a build may be killed before its end. `unheard`: its source was not
    /// to be reached.
    pub(super) fn keep_failure(&mut self, id: StepId, run: Option<&Run>, unheard: bool) {
        let Some(account) = self.accounts.get(&id).filter(|_| self.mode == Mode::Build) else { return };
        // That it cannot be, or that another step makes its file, too, is no attempt of its own.
        if self.clashes.contains_key(&id) || self.steps.is_refused(id) {
            return;
        }
        // What waits for others has nothing of its own to tell.
        let deferred = account.status == Status::Deferred && account.reasons.is_some();
        let interrupted = account.status == Status::Interrupted && account.reasons.is_some();
        let tried = deferred || interrupted || account.status == Status::Failed;
        let Some(path) = self.kept_by_name(id).filter(|_| tried) else { return };
        let mut message = account.message.clone().unwrap_or_default();
        let mut told = self.deferrals.told_to(id).filter(|_| deferred).cloned();
        if let Some(until) = told.as_ref().and_then(|told| told.until) {
            message = format!("{message}; build again at {}", time_to_come(until));
        }
        told = told.filter(|told| !self.is_spent_by_us(&told.source));
        let mut failed = Failed {
            step: self.steps.label(id),
            more_outputs: self.paths(id).skip(1).map(str::to_owned).collect(),
            at: self.clock.now_ms(),
            message,
            deferred,
            interrupted,
            over: false,
            failed_before: false,
            put_off_before: false,
            unheard: unheard || self.offline,
            running: false,
            told,
            told_at: None,
            because: account.reasons.as_ref().map(|reasons| match run {
                Some(Run { work: Work::Ask, .. }) => Reasons::of_asking(&reasons.to_record()).join("; "),
                _ => reasons.listed().join("; "),
            }),
            work: run.map(|run| run.work.word().to_owned()),
            answered: run.and_then(|run| self.answered_otherwise(&path, run)),
            attempts: account.attempts,
            key: self.plain_key(id),
            moved: false,
        };
        if interrupted {
            failed.message = format!("the build was interrupted while {}", failed.under_way());
        }
        let kept = Failures::of(&path, failed);
        // It is only told: a disk that is full has been told of already.
        if kept.append(&mut self.failure_log, &self.work_dir).is_err() {
            // The next one begins a line anew.
            self.failure_log = None;
        }
    }

    /// What its source answered a step, where that is not what is recorded of it.
    fn answered_otherwise(&self, path: &str, run: &Run) -> Option<Answered> {
        let before = self.state.step(path).and_then(|record| record.answer);
        let digest = run.record.answer.filter(|now| run.work == Work::Ask && Some(*now) != before)?;
        let is_change = |cause: &&Reason| matches!(cause, Reason::ChangedAnswer { .. });
        let change = run.reasons.iter().find(is_change).map(ToString::to_string);
        Some(Answered { digest: digest.to_string(), change })
    }

    /// What its source answered the last try of a step that heard of it, which it put off then, by the digest of that.
    pub(super) fn answered_in_vain(&self, id: StepId) -> Option<Sha256> {
        let last = self.failure_of(id);
        last.filter(|last| last.deferred || last.put_off_before)?.answered?.digest.parse().ok()
    }

    /// Keeps that a step came to its end whose answer is older than what was begun: a build may be killed before its own.
    pub(super) fn keep_end(&mut self, id: StepId) {
        let Some(path) = self.paths(id).next() else { return };
        let over = Failed { step: self.steps.label(id), at: self.clock.now_ms(), over: true, ..Failed::default() };
        if Failures::of(path, over).append(&mut self.failure_log, &self.work_dir).is_err() {
            self.failure_log = None;
        }
    }

    /// Forgets what did not fail again in this build.
    pub(super) fn tidy_failures(&self) {
        let before = Failures::kept(&self.work_dir);
        let mut now = before.clone().standing();
        now.0.retain(|path, failed| {
            if path.ends_with(OF_A_GROUP) {
                return self.group_still_fails(path);
            }
            self.step_that_failed(path, failed).is_none_or(|id| match self.steps.step(id).status {
                // That what it needs was not there says nothing of a step that is absent.
                Status::Absent => failed.because.is_some() && failed.stands(self.record_of(id).as_ref()),
                // Of what is well as it is, one that was of other inputs tells nothing, but where another target makes it so,
                // as one of another pipeline file does.
                status if status.has_outputs() => {
                    let is_mended = self.has_moved(id, failed) && self.goes_by(id, &failed.step);
                    failed.stands(self.record_of(id).as_ref()) && !is_mended && !self.resumed.contains(&id)
                }
                _ => true,
            })
        });
        if now != before || self.failure_log.is_some() {
            let _ = now.save(&self.work_dir);
        }
    }

    /// Marks what would run, or is kept from that, and failed when it was last tried.
    pub(super) fn mark_failures(&mut self) {
        let failed: Vec<_> = self.accounts.keys().filter_map(|&id| Some((id, self.earlier_failure(id)?))).collect();
        for (id, failed) in failed {
            if let Some(account) = self.accounts.get_mut(&id) {
                account.last_failure = Some(failed);
            }
        }
    }

    /// Whether it is the pipeline's own budget that is spent: what is left of it is known at any time.
    fn is_spent_by_us(&self, source: &str) -> bool {
        self.budgets.of(source, None).forecast(0).is_some_and(|forecast| forecast.left == 0)
    }

    /// What sources told the steps that are still to be made, by address; what they said for a time that is over, or that
    /// was to come by a clock that went back, is not known any more.
    pub(super) fn told_by_sources(&self) -> HashMap<String, Told> {
        let mut latest: HashMap<String, (i64, Told)> = HashMap::new();
        let open = self.accounts.iter().filter(|(_, a)| matches!(a.status, Status::Stale | Status::Deferred));
        for failed in open.filter_map(|(&id, _)| self.failure_of(id)) {
            let at = failed.told_at.unwrap_or(failed.at);
            let holds = |told: &Told| (at..told.until.unwrap_or(i64::MAX)).contains(&self.now_ms);
            let Some(told) = failed.told.clone().filter(holds) else { continue };
            let kept = latest.entry(told.source.clone()).or_insert((at, told.clone()));
            if (at, told.until) > (kept.0, kept.1.until) {
                *kept = (at, told);
            }
        }
        latest.into_iter().map(|(source, (_, told))| (source, told)).collect()
    }

    /// How a step failed, or was put off, when it was last tried.
    pub(super) fn failure_of(&self, id: StepId) -> Option<Failed> {
        let failed = self.kept_of(id)?.1.clone();
        let is_seen = self.steps.step(id).status == Status::Failed;
        // An absence that is a failure stands until its source is asked again.
        let is_kept = self.settings_of(id).missing_is_error && self.was_absent(id);
        if !failed.was_tried() && !is_seen && !is_kept {
            // What is at fault before a step is tried is seen by looking: it is mended, but for what may still come, and for
            // what its command read, where it runs for another cause.
            let message =
                self.lacks_as_before(id, &failed.message).or_else(|| self.reads_as_before(id, &failed.message))?;
            return Some(Failed { message, ..failed });
        }
        let moved = self.has_moved(id, &failed);
        let is_over = moved && self.steps.step(id).status.has_outputs();
        (!is_over).then_some(Failed { moved, ..failed })
    }

    /// What is missing of a group as it was in the last build, where a step that is to come may make it: the group fails
    /// again unless it does.
    pub(super) fn group_lacks_as_before(&self, id: StepId) -> Option<String> {
        (self.mode == Mode::Look).then(|| self.failure_of(id)).flatten().map(|failed| failed.message)
    }

    /// How a step failed when it was last tried that is to come, by the path of its first output.
    pub(super) fn failure_at(&self, path: &str, step: &str) -> Option<Failed> {
        self.failure_of_any(path).filter(|failed| failed.step == step)
    }

    /// The same of whichever step was to make it.
    pub(super) fn failure_of_any(&self, path: &str) -> Option<Failed> {
        self.failures.get(path).filter(|failed| failed.was_tried() && self.stands(path, failed)).cloned()
    }

    /// How any step failed, or was put off, when it was last tried, but where what is told of the step tells it.
    pub(super) fn earlier_failure(&self, id: StepId) -> Option<Failed> {
        let (status, account) = (self.steps.step(id).status, self.accounts.get(&id));
        let message = account.and_then(|account| account.message.as_ref());
        // That it was put off before, too, tells nothing of one that is put off; nor does what is at fault now as then.
        let is_told = |last: &Failed| match status {
            Status::Deferred => last.deferred && last.change().is_none(),
            Status::Failed => !last.was_tried() || message == Some(&last.message),
            _ => false,
        };
        self.failure_of(id).filter(|last| !is_told(last))
    }

    /// Whether a step was made from something else when it failed than it would be now. Of what waits for others, that is
    /// not known.
    fn has_moved(&self, id: StepId, failed: &Failed) -> bool {
        let waits = matches!(self.steps.step(id).status, Status::Blocked | Status::Deferred);
        !waits && failed.key.is_some() && failed.key != self.plain_key(id)
    }

    /// Whether a failure came after all that is recorded of its step.
    fn stands(&self, path: &str, failed: &Failed) -> bool {
        failed.stands(self.state.step(path).as_ref())
    }

    /// The key of a step that asks its source nothing, in hex.
    fn plain_key(&self, id: StepId) -> Option<String> {
        let compiled = self.rules[self.steps.step(id).target as usize].as_ref()?;
        let asks = compiled.rule.question(&self.view(id)).is_some();
        (!asks).then(|| self.key(id, compiled, None).to_string())
    }
}
