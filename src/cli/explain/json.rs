//! What `explain --format json` prints.

use serde::Serialize;

use crate::build::clock::time;
use crate::build::explain::Explanation;
use crate::build::explain::reads::Read;
use crate::build::reason::Reason;

use super::of_failure;

#[derive(Serialize)]
pub struct Json<'a> {
    step: &'a str,
    status: &'static str,
    /// What a build would do first.
    work: Option<&'static str>,
    /// Whether it comes to that is seen only while building.
    perhaps: bool,
    reasons: &'a [Reason],
    /// How many more there are.
    unlisted_reasons: usize,
    message: Option<&'a str>,
    help: Option<&'a str>,
    /// Of a blocked step: what is at fault.
    faults: &'a [String],
    outputs: &'a [String],
    /// Of each file in one of these that was asked for: whether it is there, and was made.
    inside: &'a [String],
    rule: &'a str,
    rule_version: u32,
    parameters: &'a [(String, String)],
    settings: &'a [(&'static str, String)],
    values: &'a [(String, String, Option<String>)],
    notes: &'a [String],
    read_out_of: &'a [String],
    /// How that failed when it was last tried.
    list_failures: &'a [String],
    /// What has to be built before it is seen whether there still is such a step.
    in_doubt: Option<&'a str>,
    source: Option<&'a str>,
    /// That of when it was last made, where it is another one.
    other_source: Option<&'a str>,
    fresh: Option<&'a str>,
    /// What the last run read of its source by digest, and what that is.
    contents: &'a [(String, String)],
    /// What a build will ask its source for.
    asks: Option<&'a str>,
    inputs: Vec<Input<'a>>,
    /// What it names of which there is nothing to read.
    inputs_of_none: &'a [String],
    inputs_to_come: Vec<&'a str>,
    after: &'a [String],
    same_as: &'a [String],
    /// In what those differ, and what of that holds where they are built together.
    held: &'a [String],
    also_made_by: &'a [String],
    /// Of a step that fails, or is blocked, since two make one file: where it stands without the other.
    alone: Option<&'a str>,
    asked: Option<Asked<'a>>,
    last_made: Option<Made<'a>>,
    key: Option<String>,
    last_failure: Option<JsonFailed<'a>>,
    log: Option<&'a str>,
    /// The log is of the run that failed last, and not of that which made what is there.
    log_of_failure: bool,
    again_if: &'a [String],
}

#[derive(Serialize)]
struct Input<'a> {
    path: &'a str,
    digest: Option<&'a str>,
    /// What the last run read, where that is another.
    was: Option<&'a str>,
    there: Option<bool>,
    name: Option<&'a str>,
    step: Option<&'a str>,
    status: Option<&'a str>,
    found: bool,
    /// The last run did not read it.
    left_out: bool,
    /// A step made it, and none does any more.
    orphan: bool,
}

#[derive(Serialize)]
struct Asked<'a> {
    at: String,
    outcome: &'static str,
    /// Why it is absent, where it is.
    absent: Option<&'a str>,
    /// Who answered, where that was not the source's own address alone.
    by: Option<&'a str>,
    notes: &'a [String],
    causes: &'a [String],
    /// How much of the answer an earlier try was told.
    earlier: Option<&'a str>,
}

#[derive(Serialize)]
struct Made<'a> {
    at: String,
    causes: &'a [String],
    target: Option<&'a str>,
    /// Nothing was made: its source had none of it, and has had none since.
    absent: bool,
    /// It was taken over as it was, and not made.
    adopted: bool,
    /// What the file says then that it is of, where that is not what is recorded.
    says: Option<&'a str>,
    /// When and why it had been made before that.
    before: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonFailed<'a> {
    at: String,
    outcome: &'static str,
    message: &'a str,
    /// Why it ran, where it did.
    because: Option<&'a str>,
    /// In what the answer of its source, of which nothing came, differs from the one before.
    answered: Option<&'a str>,
    /// How often its command was run.
    attempts: u32,
    /// What it is made from is not what it was then.
    other_inputs: bool,
    /// It did not come to an end, or heard nothing of its source, and had failed, or had been put off, before that.
    failed_before: bool,
}

pub fn of(found: &Explanation) -> Json<'_> {
    Json {
        step: &found.step,
        status: found.word(),
        work: found.work,
        perhaps: found.perhaps,
        reasons: &found.reasons,
        unlisted_reasons: found.more_reasons,
        message: found.message.as_deref(),
        help: found.help.as_deref(),
        faults: &found.faults,
        outputs: &found.outputs,
        inside: &found.inside,
        rule: &found.rule.0,
        rule_version: found.rule.1,
        parameters: &found.params,
        settings: &found.settings,
        values: &found.values,
        notes: &found.notes,
        read_out_of: &found.read_out_of,
        list_failures: &found.list_failures,
        in_doubt: found.in_doubt.as_ref().map(|(step, _)| step.as_str()),
        source: found.source.as_deref(),
        other_source: found.other_source.as_deref(),
        fresh: found.fresh.as_deref(),
        contents: &found.contents,
        asks: found.asks.as_deref(),
        inputs: found.inputs.iter().map(input).collect(),
        inputs_of_none: &found.inputs_of_none,
        inputs_to_come: found.inputs_to_come.iter().map(|input| input.text.as_str()).collect(),
        after: &found.after,
        same_as: &found.same_as,
        held: &found.held,
        also_made_by: &found.rivals,
        alone: found.alone.as_deref(),
        asked: found.last_asked.as_ref().map(|a| Asked {
            at: time(a.at),
            outcome: a.outcome,
            absent: a.absent.as_deref(),
            by: a.by.as_deref(),
            notes: &a.notes,
            causes: &a.causes,
            earlier: a.earlier.as_deref(),
        }),
        last_made: found.last_made.as_ref().map(|m| Made {
            at: time(m.at),
            causes: &m.causes,
            target: m.target.as_deref(),
            absent: m.is_absent,
            adopted: m.causes.is_empty(),
            says: m.says.as_deref(),
            before: m.before.as_deref(),
        }),
        key: found.key.map(|k| k.to_string()),
        last_failure: found.last_failure.as_ref().map(|f| JsonFailed {
            at: time(f.at),
            outcome: f.word(),
            message: &f.message,
            because: f.because.as_deref(),
            answered: f.change(),
            attempts: f.attempts,
            other_inputs: f.moved,
            failed_before: f.had_failed().is_some(),
        }),
        log: found.log.as_deref(),
        log_of_failure: found.log.is_some() && of_failure(found),
        again_if: &found.again,
    }
}

fn input(read: &Read) -> Input<'_> {
    Input {
        path: &read.path,
        digest: read.digest(),
        was: read.was.as_deref(),
        there: read.there(),
        name: read.name.as_deref(),
        step: read.step.as_ref().map(|(step, _)| step.as_str()),
        status: read.step.as_ref().and_then(|(_, trouble)| trouble.as_deref()),
        found: read.found,
        left_out: read.left_out,
        orphan: read.orphan,
    }
}
