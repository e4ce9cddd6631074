//! What is said before a build is what the build then does.

use std::collections::HashMap;

use super::*;
use crate::build::explain::{Standing, explain};
use crate::build::look;
use crate::build::outcome::{ASK, Account, RESTORE};
use crate::build::reason::Reason;
use crate::build::reasons::Reasons;

/// What is wrong with what was said before a build.
pub(super) fn misled(plan: &Summary, built: &Summary) -> Vec<String> {
    let (told, done) = (by_step(plan), by_step(built));
    let mut wrong = untold(plan, &told, &done);
    for account in told.values() {
        let done = done.get(account.step.as_str()).copied();
        match account.status {
            Status::Stale if !account.perhaps => {
                wrong.extend(undone(account, done));
                // Where values are still to be read, other inputs may come of them.
                if plan.unknown.is_empty() {
                    wrong.extend(other_causes(account, done));
                }
            }
            Status::Failed | Status::Blocked if !account.perhaps => wrong.extend(not_wrong(account, done)),
            _ => {}
        }
    }
    wrong.sort();
    wrong
}

type ByStep<'s> = HashMap<&'s str, &'s Account>;

fn by_step(summary: &Summary) -> ByStep<'_> {
    summary.accounts.iter().map(|account| (account.step.as_str(), account)).collect()
}

/// What was done of which nothing was told.
fn untold(plan: &Summary, told: &ByStep<'_>, done: &ByStep<'_>) -> Vec<String> {
    let to_come = |account: &Account| plan.unknown.iter().any(|unknown| unknown.target == account.target);
    let acts = |account: &&&Account| matches!(account.status, Status::Built | Status::Restored | Status::Absent);
    let untold = done.values().filter(acts).filter(|account| match told.get(account.step.as_str()) {
        Some(told) => matches!(told.status, Status::UpToDate | Status::Adopted),
        None => !to_come(account),
    });
    untold.map(|a| format!("untold: {} is {} ({:?})", a.step, a.status.word(), a.reasons)).collect()
}

/// That a step did not run of which that was told.
fn undone(told: &Account, done: Option<&Account>) -> Option<String> {
    let came = done.map(|done| done.status);
    let kept = match (told.work, came) {
        // What a source answers may be what it answered before.
        (Some(ASK), _) => true,
        (_, None | Some(Status::UpToDate | Status::Adopted)) => false,
        (Some(RESTORE), Some(status)) => status != Status::Built,
        _ => true,
    };
    (!kept).then(|| format!("not done: {} ({:?}), but {came:?}", told.step, told.reasons))
}

/// The causes that were told of a step as certain and that it did not run for.
fn other_causes(told: &Account, done: Option<&Account>) -> Vec<String> {
    let Some(done) = done.filter(|done| done.status == Status::Built) else { return Vec::new() };
    let causes: Vec<&Reason> = done.reasons.iter().flat_map(Reasons::iter).collect();
    let certain = told.reasons.iter().flat_map(Reasons::iter).filter(|why| !why.is_uncertain());
    certain
        .filter(|why| !causes.iter().any(|done| is_same(why, done)))
        .map(|why| format!("other cause: {}: told {why:?}, done {causes:?}", told.step))
        .collect()
}

fn is_same(told: &Reason, done: &Reason) -> bool {
    match (told, done) {
        (Reason::ChangedInput { input, from, to }, Reason::UpstreamRebuilt { input: i, from: f, to: t, .. }) => {
            (input, from, to) == (i, f, t)
        }
        (Reason::LeftOut { input, .. }, Reason::LeftOut { input: i, .. }) => input == i,
        // Which is seen only where nothing else moved the key.
        (Reason::Rearranged(_), _) => true,
        _ => told == done,
    }
}

/// That a step did not go wrong of which that was told.
fn not_wrong(told: &Account, done: Option<&Account>) -> Option<String> {
    let came = done.map(|done| done.status);
    // What is absent cannot be made either.
    let also = told.status == Status::Blocked && came == Some(Status::Absent);
    let word = told.status.word();
    (came != Some(told.status) && !also)
        .then(|| format!("not {word}: {} ({:?}), but {came:?}", told.step, told.message))
}

/// In what an explanation of all steps, or of one by itself, says something else than the plan, or than each other.
pub(super) fn unlike(session: &Session, order: &Order, plan: &Summary, one: &prop::sample::Index) -> Vec<String> {
    let accounts: HashMap<&str, &Account> = plan.accounts.iter().map(|a| (a.step.as_str(), a)).collect();
    let (told, _) = explain(session, order, Vec::new()).unwrap();
    let steps: Vec<_> = told.iter().filter(|told| matches!(told.standing, Standing::Step(_))).collect();
    let mut unlike = Vec::new();
    for told in &steps {
        if told.rule.0 == "group" {
            continue;
        }
        let account = accounts.get(told.step.as_str());
        let status = account.map_or(Status::UpToDate, |account| account.status);
        let reasons: Vec<_> = account.iter().flat_map(|a| &a.reasons).flat_map(Reasons::iter).cloned().collect();
        let perhaps = account.is_some_and(|account| account.perhaps);
        if (told.standing, &told.reasons, told.perhaps) != (Standing::Step(status), &reasons, perhaps) {
            unlike.push(format!("{told:?}, but the plan says {account:?}"));
        }
    }
    if !steps.is_empty() {
        let all = steps[one.index(steps.len())];
        let asked = vec![request::parse(&session.pipeline, &all.step).unwrap()];
        let (alone, _) = explain(session, &Order { asked, ..order.clone() }, Vec::new()).unwrap();
        let found = alone.iter().find(|told| told.step == all.step).map(|told| format!("{told:?}"));
        if found.as_ref() != Some(&format!("{all:?}")) {
            unlike.push(format!("{all:?}, but by itself {found:?}"));
        }
    }
    unlike
}

fn told_history(
    mut drawn: Drawn,
    repos: BTreeMap<usize, BTreeMap<usize, u8>>,
    rounds: &[(Vec<Edit>, usize)],
    offline: &[bool],
    one: &prop::sample::Index,
) -> Result<(), TestCaseError> {
    let bed = Bed::new(Arc::new(Fake { repos: Mutex::new(repos), ..Fake::default() }));
    for ((edits, jobs), &offline) in rounds.iter().zip(offline) {
        for edit in edits {
            bed.apply(edit, &mut drawn);
        }
        let session = Session { offline, ..bed.drawn(&drawn) };
        let failing = bed.source.failing.lock().unwrap().clone();
        if offline {
            // As a source does that needs the network.
            bed.source.failing.lock().unwrap().extend(0..REPOS.len());
        }
        let order = Order { asked: request::everything(&session.pipeline), jobs: *jobs, ..Order::default() };
        let plan = look(&session, &order, &mut Silence).unwrap();
        prop_assert_eq!(unlike(&session, &order, &plan, one), Vec::<String>::new());
        let built = Bed::build(&session, *jobs, Selection::None);
        prop_assert_eq!(misled(&plan, &built), Vec::<String>::new());
        *bed.source.failing.lock().unwrap() = failing;
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn what_a_plan_says_is_what_the_build_after_it_does(
        (drawn, rounds) in cases(),
        repos in repos(),
        offline in prop::collection::vec(prop::bool::weighted(0.2), 4),
        one in any::<prop::sample::Index>(),
    ) {
        told_history(drawn, repos, &rounds, &offline, &one)?;
    }
}
