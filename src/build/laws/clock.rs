//! The times that are told are those of the build's own clock.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::source::Fake;
use super::{Bed, HOUR};
use crate::build::clock::time;
use crate::build::engine::Selection;
use crate::build::explain::explain;
use crate::build::request;
use crate::build::session::Order;

const TEXT: &str = "version: 1\nsources: {s: {kind: registry, url: 'https://r.example.com'}}\ntargets:\n  t: {rule: tags, \
                    source: s, foreach: {repo: [a]}, output: 'result/{repo}.json', fresh: 24h}\n";

#[test]
fn the_ages_in_reasons_and_the_times_of_steps_are_by_the_builds_clock() {
    let tags = BTreeMap::from([(0, BTreeMap::from([(0, 1)]))]);
    let bed = Bed::new(Arc::new(Fake { repos: Mutex::new(tags), ..Fake::default() }));
    let begin = 1_000_000 * HOUR;
    bed.clock.store(begin, Ordering::Relaxed);
    let explained = || {
        let session = bed.session(TEXT);
        let order = Order { asked: request::everything(&session.pipeline), ..Order::default() };
        explain(&session, &order, Vec::new()).unwrap().0.0.remove(0)
    };
    Bed::build(&bed.session(TEXT), 1, Selection::None);
    bed.clock.store(begin + 30 * HOUR, Ordering::Relaxed);
    let told = explained();
    let reasons: Vec<String> = told.reasons.iter().map(ToString::to_string).collect();
    assert_eq!(reasons, ["freshness: asked 30h ago, limit 24h"]);
    assert_eq!((told.last_made.unwrap().at, told.last_asked.unwrap().at), (begin, begin));
    assert!(told.again[0].contains(&time(begin + 24 * HOUR)), "{:?}", told.again);

    Bed::build(&bed.session(TEXT), 1, Selection::None);
    let told = explained();
    assert_eq!((told.last_made.unwrap().at, told.last_asked.unwrap().at), (begin, begin + 30 * HOUR));

    bed.source.failing.lock().unwrap().extend([0]);
    bed.clock.store(begin + 60 * HOUR, Ordering::Relaxed);
    Bed::build(&bed.session(TEXT), 1, Selection::None);
    assert_eq!(explained().last_failure.unwrap().at, begin + 60 * HOUR);
}

#[test]
fn what_was_made_in_the_future_is_told_as_that() {
    let bed = Bed::new(Arc::default());
    let text = "version: 1\ntargets:\n  t: {rule: command, run: 'date > {out}', output: t.txt, fresh: 1h}\n";
    let begin = 1_000_000 * HOUR;
    bed.clock.store(begin, Ordering::Relaxed);
    Bed::build(&bed.session(text), 1, Selection::None);
    let explained = |now: i64| {
        bed.clock.store(now, Ordering::Relaxed);
        let session = bed.session(text);
        let order = Order { asked: request::everything(&session.pipeline), ..Order::default() };
        let told = explain(&session, &order, Vec::new()).unwrap().0.0.remove(0);
        (told.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(), told.again[0].clone())
    };
    let (reasons, again) = explained(begin - 23 * HOUR);
    assert_eq!(reasons, ["freshness: made 23h in the future, as the clock says now, limit 1h"]);
    assert_eq!(again, format!("a build comes before {}: the clock went back since it was made", time(begin)));
    assert_eq!(explained(begin + 3 * HOUR).0, ["freshness: made 3h ago, limit 1h"]);
    let (reasons, again) = explained(begin);
    assert_eq!(reasons, [""; 0]);
    assert_eq!(again, format!("a build comes after {}: it was made 1h before", time(begin + HOUR)));
}
