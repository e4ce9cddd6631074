//! The summary for programs.

use serde::Serialize;

use crate::build::outcome::{self, Account, Counts, Deferred, Empty, ReadsOrphans, Summary};
use crate::build::reason::Reason;
use crate::build::reasons::Reasons;
use crate::pipeline::Pipeline;
use crate::registry::HostNote;

/// What came of a run in all, as `--format json` and `--events` tell it.
#[derive(Debug, Serialize)]
pub struct Totals<'a> {
    #[serde(flatten)]
    counts: Counts,
    requests: u64,
    /// Bytes of bodies received.
    bytes: u64,
    /// Requests that were repeated after a fault.
    retries: u64,
    seconds: f64,
    interrupted: bool,
    /// Each step that failed by itself, and how many could not be made because of it.
    failures: Vec<Failure<'a>>,
    /// Why steps were deferred, by source.
    deferrals: Vec<Deferral<'a>>,
    /// Hosts that did not do as they should.
    hosts: Vec<Host<'a>>,
    /// Targets without steps, and the list that has nothing.
    empty: &'a [Empty],
    /// Steps that read what no step makes any more.
    reads_orphans: &'a [ReadsOrphans],
}

/// What `--format json` prints of a build or a plan.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    #[serde(flatten)]
    totals: Totals<'a>,
    /// What would have to be fetched of sources that count it; of a plan only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pulls: Vec<Pulls<'a>>,
    /// What was damaged in the state and set aside.
    set_aside: &'a [String],
    /// What `--refresh` and `--force` named in vain.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    in_vain: &'a [String],
    /// Every step that is not simply up to date.
    steps: Vec<Step<'a>>,
    /// Targets whose steps cannot all be told yet.
    unknown: Vec<Unknown<'a>>,
}

#[derive(Debug, Serialize)]
struct Step<'a> {
    step: &'a str,
    target: &'a str,
    outcome: &'static str,
    /// A word for the kind of reason, and the reason in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Its causes beside that one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more_reasons: Vec<&'a Reason>,
    /// How many there are beyond those.
    #[serde(skip_serializing_if = "is_none")]
    unlisted_reasons: usize,
    /// What a build would do first; of a plan only.
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<&'static str>,
    /// Whether it comes to that is seen only while building; of a plan only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    perhaps: bool,
    /// What a try that did not end was told, and is not asked for again; of a plan only.
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    output: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
    /// From its start to its end, where it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// How often its command was run, where it was.
    #[serde(skip_serializing_if = "is_zero")]
    attempts: u32,
}

/// A failure that is not the consequence of another one.
#[derive(Debug, Serialize)]
pub struct Failure<'a> {
    step: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    output: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
    /// Steps that could not be made because of it, directly or through others.
    blocks: usize,
}

fn failure(a: &Account) -> Failure<'_> {
    Failure {
        step: &a.step,
        message: a.message.as_deref().unwrap_or_default(),
        help: a.help.as_deref(),
        output: &a.output,
        log: a.log.as_deref(),
        blocks: a.blocks,
    }
}

/// A source that had no more to give.
#[derive(Debug, Serialize)]
pub struct Deferral<'a> {
    source: &'a str,
    why: &'a str,
    /// From when on it is worth building again, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// The steps that it put off itself; others wait for them.
    steps: usize,
}

fn deferral(d: &Deferred) -> Deferral<'_> {
    Deferral { source: &d.source, why: &d.why, until: d.until.map(time), steps: d.steps }
}

#[derive(Debug, Serialize)]
struct Host<'a> {
    host: &'a str,
    /// How often it was sent half as many requests at once as before.
    backed_off: u64,
    /// How often it sent other content than was asked for.
    wrong_content: u64,
}

fn host(note: &HostNote) -> Host<'_> {
    Host { host: &note.host, backed_off: note.backed_off, wrong_content: note.wrong_content }
}

#[derive(Debug, Serialize)]
struct Pulls<'a> {
    source: &'a str,
    /// At least.
    needed: usize,
    /// With what hangs on what a tag turns out to be, or on other steps.
    likely: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<String>,
    /// How many can be made at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<usize>,
    /// When the last of those that are likely could be made, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<Told<'a>>,
}

/// What the source said to the last build; the next one asks again.
#[derive(Debug, Serialize)]
struct Told<'a> {
    why: &'a str,
    /// In UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// When the last of those pulls could be made if that holds, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
}

fn pulls(p: &outcome::Pulls) -> Pulls<'_> {
    Pulls {
        source: &p.source,
        needed: p.needed,
        likely: p.likely,
        budget: p.forecast.map(|f| f.allowance.to_string()),
        left: p.forecast.map(|f| f.left),
        done: p.forecast.map(|f| time(f.done)),
        told: p.told.as_ref().map(|t| Told { why: &t.why, until: t.until.map(time), done: t.done(p.likely).map(time) }),
    }
}

/// In UTC, to the millisecond.
pub fn time(ms: i64) -> String {
    format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap_or_default())
}

fn is_none(n: &usize) -> bool {
    *n == 0
}

pub fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[derive(Debug, Serialize)]
struct Unknown<'a> {
    target: &'a str,
    because: &'a str,
    /// How many more steps have to be built.
    more: usize,
    /// The first of these.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    others: &'a [String],
    /// What may fail again as it did when it was last tried, so that they are not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_risk: Option<&'a str>,
    /// Targets that may come to make one file with it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rivals: &'a [String],
}

impl<'a> Totals<'a> {
    pub fn of(summary: &'a Summary) -> Self {
        Self {
            counts: summary.counts,
            requests: summary.requests,
            bytes: summary.bytes,
            retries: summary.retries,
            seconds: summary.elapsed.as_secs_f64(),
            interrupted: summary.interrupted,
            failures: summary.failures().map(failure).collect(),
            deferrals: summary.deferrals.iter().map(deferral).collect(),
            hosts: summary.hosts.iter().map(host).collect(),
            empty: &summary.empty,
            reads_orphans: &summary.reads_orphans,
        }
    }
}

impl<'a> Report<'a> {
    pub fn of(summary: &'a Summary, pipeline: &'a Pipeline) -> Self {
        let name = |target: usize| pipeline.targets[target].name.as_str();
        let step = |a: &'a Account| Step {
            step: &a.step,
            target: name(a.target),
            outcome: a.status.word(),
            reason_kind: a.reasons.as_ref().map(|r| r.first.kind()),
            reason: a.reasons.as_ref().map(|r| r.first.to_string()),
            more_reasons: a.reasons.iter().flat_map(|r| r.iter().skip(1)).collect(),
            unlisted_reasons: a.reasons.as_ref().map_or(0, Reasons::unlisted),
            work: a.work,
            earlier: a.earlier.as_deref(),
            perhaps: a.perhaps,
            message: a.message.as_deref(),
            help: a.help.as_deref(),
            output: &a.output,
            log: a.log.as_deref(),
            seconds: a.took.map(|t| t.as_secs_f64()),
            attempts: a.attempts,
        };
        let unknown = |u: &'a outcome::Unknown| Unknown {
            target: name(u.target),
            because: &u.because,
            more: u.more,
            others: &u.others,
            at_risk: u.at_risk.as_deref(),
            rivals: &u.rivals,
        };
        Self {
            totals: Totals::of(summary),
            pulls: summary.pulls.iter().map(pulls).collect(),
            set_aside: &summary.set_aside,
            in_vain: &summary.in_vain,
            steps: summary.accounts.iter().map(step).collect(),
            unknown: summary.unknown.iter().map(unknown).collect(),
        }
    }
}
