//! What came of a step, and of a whole run.

mod counts;

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::counts::{Counts, Standings};
use super::failures::Failed;
use super::reason::Reason;
use super::reasons::Reasons;
use crate::registry::{Forecast, HostNote};

/// What is done first of a step whose source is asked.
pub const ASK: &str = "ask";
/// What is done first of a step whose outputs come back from the store.
pub const RESTORE: &str = "restore";

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waits for inputs.
    Pending,
    /// Waits for a lane, or runs.
    Busy,
    UpToDate,
    /// Without a record, its output was taken over as it is.
    Adopted,
    Built,
    Restored,
    Absent,
    Failed,
    /// What it needs failed.
    Blocked,
    /// A source has no more to give for now, to it or to what it needs.
    Deferred,
    /// Would run (only where nothing is run).
    Stale,
    /// The build was interrupted before it.
    Interrupted,
}

impl Status {
    pub fn is_done(self) -> bool {
        !matches!(self, Self::Pending | Self::Busy)
    }

    /// Its outputs are there to be used.
    pub fn has_outputs(self) -> bool {
        matches!(self, Self::UpToDate | Self::Adopted | Self::Built | Self::Restored)
    }

    /// What needs it cannot be made.
    pub fn blocks(self) -> bool {
        self.fails() || self == Self::Deferred
    }

    /// It went wrong, and what needs it with it.
    pub fn fails(self) -> bool {
        matches!(self, Self::Failed | Self::Blocked | Self::Interrupted)
    }

    /// The word for people and machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Busy => "running",
            Self::UpToDate => "up to date",
            Self::Adopted => "adopted",
            Self::Built => "built",
            Self::Restored => "restored",
            Self::Absent => "absent",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Deferred => "deferred",
            Self::Stale => "stale",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The word for where a step stands before a build, by how it failed when it was last tried and why it would run.
pub fn standing<'r>(
    status: Status,
    last_failure: Option<&Failed>,
    because: impl IntoIterator<Item = &'r Reason>,
) -> &'static str {
    match (status, last_failure) {
        (Status::Stale, Some(last)) if !last.interrupted => last.word(),
        (Status::Stale, _) if is_missing(because) => "missing",
        // What a build takes over is as it should be.
        (Status::Adopted, _) => Status::UpToDate.word(),
        _ => status.word(),
    }
}

/// Whether a step is not recorded as made, or an output of it is gone, whatever other cause there is. What is told as gone
/// after a folder that is not what it was is a file in that.
fn is_missing<'r>(because: impl IntoIterator<Item = &'r Reason>) -> bool {
    let mut folders = Vec::new();
    because.into_iter().any(|cause| match cause {
        Reason::FirstBuild | Reason::MissingRecord { .. } => true,
        Reason::ChangedOutput { path, .. } => {
            folders.push(path.as_str());
            false
        }
        Reason::MissingOutput(gone) => {
            !folders.iter().any(|folder| gone.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
        }
        _ => false,
    })
}

/// A step that is worth a word.
#[derive(Clone, Debug)]
pub struct Account {
    /// `target@binding=value,…`
    pub step: String,
    pub target: usize,
    pub status: Status,
    /// Why it ran, or would.
    pub reasons: Option<Reasons>,
    /// What would be done first: `ask`, `make` or `restore` (only where nothing is run).
    pub work: Option<&'static str>,
    /// Whether it comes to that is seen only while building: all its causes, or the step itself, hang on what is made
    /// before it (only where nothing is run).
    pub perhaps: bool,
    /// Its message is why it may fail before it is tried (only where nothing is run).
    pub may_fail: bool,
    /// Why it failed, is absent or is blocked; what is to be known of a step that was made.
    pub message: Option<String>,
    /// The same in words that others of its target share, which fail alike.
    pub shared_message: Option<String>,
    pub help: Option<String>,
    /// The last lines that its command printed.
    pub output: Vec<String>,
    /// Where the whole output of its command is kept, relative to the pipeline's folder.
    pub log: Option<String>,
    /// From its start to its end, where it was given to its rule.
    pub took: Option<Duration>,
    /// How often its command was run, where it was.
    pub attempts: u32,
    /// Who answered what it asked, and who sent what was fetched for it, where that was not its source's own address alone.
    pub by: Vec<String>,
    /// How many steps could not be made because this one failed, told with the summary.
    pub blocks: usize,
    /// How it failed when it was last tried, for a step that would run or is kept from that (only where nothing is run).
    pub last_failure: Option<Failed>,
    /// What a try that did not end was told, and is not asked for again, in words.
    pub earlier: Option<String>,
}

/// A source that had no more to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferred {
    pub source: String,
    pub why: String,
    /// From when on it is worth building again, milliseconds since 1970, where that is known.
    pub until: Option<i64>,
    /// The steps that it put off itself; others wait for them.
    pub steps: usize,
}

/// What a build will have to fetch of a source that counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulls {
    pub source: String,
    /// At least: what is sure to be asked for by its digest, and is not in the store.
    pub needed: usize,
    /// With what is only likely: where a tag or another step decides it.
    pub likely: usize,
    /// What its budget has for them, where it has one.
    pub forecast: Option<Forecast>,
    /// What it said when it was asked last, unless that is over.
    pub told: Option<Told>,
}

/// What a source said of what it has left. The next build asks it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its address.
    pub source: String,
    pub why: String,
    /// When it has more, milliseconds since 1970, where it said that.
    pub until: Option<i64>,
    /// How many pulls it gives then, and for how many milliseconds, where it said that.
    pub gives: Option<(usize, i64)>,
}

impl Told {
    /// When the last of so many pulls could be made, if it still holds.
    pub fn done(&self, pulls: usize) -> Option<i64> {
        let (windows, lasts) = match self.gives {
            Some((gives, lasts)) => (pulls.saturating_sub(1) / gives.max(1), lasts),
            None => (0, 0),
        };
        let more = lasts.saturating_mul(i64::try_from(windows).unwrap_or(i64::MAX));
        self.until.map(|until| until.saturating_add(more))
    }
}

/// A target whose steps are told once something else is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub target: usize,
    /// The first step of what has to be built.
    pub because: String,
    /// How many more steps of it have to be.
    pub more: usize,
    /// The first of these.
    pub others: Vec<String>,
    /// They are no steps that are still to be built: what their target would read them out of cannot be read.
    pub misread: bool,
    /// What may fail again as it did when it was last tried, so that they cannot be told, in words.
    pub at_risk: Option<String>,
    /// Other targets that may come to make one file with it: then both steps fail.
    pub rivals: Vec<String>,
}

impl Unknown {
    /// So many of the others are kept by their names; of more, it is counted how many there are.
    pub const KEPT: usize = 1000;

    /// What has to be built beside the first, a line each.
    pub fn and(&self) -> impl Iterator<Item = String> + '_ {
        let unlisted = Some(self.more - self.others.len()).filter(|more| *more > 0);
        let others = self.others.iter().map(|step| format!("and {step}"));
        others.chain(unlisted.map(|more| format!("and {more} more")))
    }

    /// What has to be built.
    pub fn what(&self) -> String {
        match self.more {
            0 => self.because.clone(),
            more => format!("{} (+{more} more)", self.because),
        }
    }

    /// When its steps are told, in words.
    pub fn when(&self) -> String {
        match self.misread {
            true => format!("its steps cannot be told: {} failed", self.what()),
            false => {
                let blocked = self.at_risk.as_ref().map(|risk| format!(" (blocked? {risk})")).unwrap_or_default();
                format!("its steps are told once {} is built{blocked}", self.what())
            }
        }
    }
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.when())?;
        if self.rivals.is_empty() {
            return Ok(());
        }
        write!(f, "; where it comes to make a file of {}, too, both fail", self.rivals.join(", "))
    }
}

/// Steps that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUp {
    /// The failures at fault, by their places among the accounts.
    pub by: Vec<usize>,
    pub steps: usize,
}

/// Targets that have no step, since a list has nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Empty {
    /// Their names.
    pub targets: Vec<String>,
    /// Which list.
    pub because: String,
}

impl std::fmt::Display for Empty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let have = if self.targets.len() == 1 { "has" } else { "have" };
        write!(f, "{} {have} no step: {}", self.targets.join(", "), self.because)
    }
}

/// A step that reads outputs which no step makes any more, a target whose list is one, or a group that names such: a fresh
/// checkout does not have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadsOrphans {
    pub step: String,
    #[serde(skip)]
    pub is_group: bool,
    pub files: Vec<OrphanRead>,
}

/// A file that is read, and the step that made it, where its record tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrphanRead {
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
}

impl ReadsOrphans {
    /// What is to be done about it.
    pub const HELP: &str = "`layermill clean --orphans` removes what no step makes any more; once it is edited, or moved to \
                            where no step made it, it is a file of yours";

    /// Each file counts once, also where it is read by itself and in a folder.
    pub(crate) fn new(step: String, is_group: bool, mut files: Vec<OrphanRead>) -> Self {
        let mut known = HashSet::new();
        files.retain(|read| known.insert(read.file.clone()));
        Self { step, is_group, files }
    }
}

impl std::fmt::Display for ReadsOrphans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some((OrphanRead { file, made_by }, others)) = self.files.split_first() else { return Ok(()) };
        let made_by = made_by.as_deref().unwrap_or("a step");
        let reads = if self.is_group { "names" } else { "reads" };
        write!(f, "{} {reads} {file}, which {made_by} made and no step makes any more", self.step)?;
        match others.len() {
            0 => write!(f, ": a fresh checkout does not have it"),
            1 => write!(f, ", and another such file: a fresh checkout does not have them"),
            more => write!(f, ", and {more} more such files: a fresh checkout does not have them"),
        }
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Summary {
    pub counts: Counts,
    /// The same for each target, in file order.
    pub by_target: Vec<Counts>,
    /// For each target, those of its steps that would run (only where nothing is run).
    pub standings: Vec<Standings>,
    /// Every step that is not simply up to date, in the order of the targets and their rows.
    pub accounts: Vec<Account>,
    /// What could not be made because of failures.
    pub held_up: Vec<HeldUp>,
    /// Targets whose steps could not all be told before something else is built.
    pub unknown: Vec<Unknown>,
    /// Targets that were asked for, or are needed, and have no step; but not those whose values come of one of these.
    pub empty: Vec<Empty>,
    /// Steps that read what no step makes any more.
    pub reads_orphans: Vec<ReadsOrphans>,
    /// For each target, how many of its steps are up to date only if what their values were read out of, which is to be
    /// built again, still has them (only where nothing is run).
    pub in_doubt: Vec<usize>,
    pub requests: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Requests that were repeated after a fault.
    pub retries: u64,
    /// What is to be known of the hosts that were asked.
    pub hosts: Vec<HostNote>,
    pub elapsed: Duration,
    pub interrupted: bool,
    /// Why steps were deferred, by source.
    pub deferrals: Vec<Deferred>,
    /// What would have to be fetched (only where nothing is run).
    pub pulls: Vec<Pulls>,
    /// How many recorded outputs no step makes any more (only where nothing is run, and all targets were looked at).
    pub orphans: usize,
    /// What was damaged in the state and set aside.
    pub set_aside: Vec<String>,
    /// What `--refresh` and `--force` named in vain, in words.
    pub in_vain: Vec<String>,
}

impl Summary {
    /// The failures that are not the consequence of another one.
    pub fn failures(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter().filter(|a| a.status == Status::Failed)
    }

    /// 130 interrupted, 1 something failed, 75 deferred, 0 done. A conflict of steps counts as a failure.
    pub fn exit_code(&self) -> u8 {
        match () {
            () if self.interrupted => 130,
            () if self.counts.failed + self.counts.blocked + self.counts.unreached > 0 => 1,
            () if self.counts.deferred > 0 => 75,
            () => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_source_gives_at_a_time_is_reckoned_from_when_it_has_more() {
        let told = |until, gives| Told { source: "s".into(), why: "none are left".into(), until, gives };
        let hour = 3_600_000;
        let done = |pulls| told(Some(5), Some((100, hour))).done(pulls);
        assert_eq!([0, 1, 100, 101, 201].map(done), [5, 5, 5, 5 + hour, 5 + 2 * hour].map(Some));
        assert_eq!(told(Some(5), None).done(1000), Some(5), "at the soonest");
        assert_eq!(told(None, Some((100, hour))).done(1), None);
        assert_eq!(told(Some(i64::MAX), Some((1, i64::MAX))).done(usize::MAX), Some(i64::MAX));
    }
}
