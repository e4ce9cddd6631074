//! What is said before a build is what the build then does.

use std::collections::HashMap;

use super::*;
use crate::build::explain::{Standing, explain};
use crate::build::look;
use crate::build::outcome::{ASK, Account, RESTORE};
use crate::build::reasons::Reasons;

/// What is wrong with what was said before a build.
pub(super) fn misled(plan: &Summary, built: &Summary) -> Vec<String> {
    fn by_step(summary: &Summary) -> HashMap<&str, &Account> {
        summary.accounts.iter().map(|account| (account.step.as_str(), account)).collect()
    }
    let (told, done) = (by_step(plan), by_step(built));
    let to_come = |account: &Account| plan.unknown.iter().any(|unknown| unknown.target == account.target);
    let acts = |account: &&&Account| matches!(account.status, Status::Built | Status::Restored | Status::Absent);
    let untold = done.values().filter(acts).filter(|account| match told.get(account.step.as_str()) {
        Some(told) => matches!(told.status, Status::UpToDate | Status::Adopted),
        None => !to_come(account),
    });
    let mut wrong: Vec<String> =
        untold.map(|a| format!("untold: {} is {} ({:?})", a.step, a.status.word(), a.reasons)).collect();
    for account in told.values().filter(|account| account.status == Status::Stale && !account.perhaps) {
        let came = done.get(account.step.as_str()).map(|done| done.status);
        let kept = match (account.work, came) {
            // What a source answers may be what it answered before.
            (Some(ASK), _) => true,
            (_, None | Some(Status::UpToDate | Status::Adopted)) => false,
            (Some(RESTORE), Some(status)) => status != Status::Built,
            _ => true,
        };
        if !kept {
            wrong.push(format!("not done: {} ({:?}), but {came:?}", account.step, account.reasons));
        }
    }
    // What is told to go wrong does, with what needs it.
    let is_wrong = |account: &&&Account| matches!(account.status, Status::Failed | Status::Blocked) && !account.perhaps;
    for account in told.values().filter(is_wrong) {
        let came = done.get(account.step.as_str()).map(|done| done.status);
        // What is absent cannot be made either.
        let also = account.status == Status::Blocked && came == Some(Status::Absent);
        if came != Some(account.status) && !also {
            wrong.push(format!(
                "not {}: {} ({:?}), but {came:?}",
                account.status.word(),
                account.step,
                account.message
            ));
        }
    }
    wrong.sort();
    wrong
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
