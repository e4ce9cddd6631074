//! A circle that no path tells of, among steps that wait.

use super::*;
use crate::build::session::unlooked;
use crate::build::steps::StepId;
use crate::build::steps::waits::Wait;

#[test]
fn steps_that_wait_for_each_other_fail_with_their_names_and_block_what_needs_them_alone() {
    let step = |name: &str, inputs: &str| {
        format!("  {name}: {{rule: command, inputs: [{inputs}], run: \"cat {{in}} > {{out}}\", output: o/{name}}}\n")
    };
    let steps = [step("a", "f.txt"), step("b", "f.txt"), step("c", "f.txt, a"), step("d", "f.txt")].concat();
    let bed = Bed::new(Arc::default());
    bed.write("f.txt", b"f\n");
    let session = bed.session(&format!("version: 1\ntargets:\n{steps}"));
    let order = Order { asked: request::everything(&session.pipeline), jobs: 2, ..Order::default() };
    let ((mut engine, receive), _) = unlooked(&session, &order).unwrap();
    engine.expand_static();
    let of = |target: usize| -> StepId { engine.steps.rows[target].steps[0] };
    let [a, b] = [of(0), of(1)];
    for (waits, first) in [(a, b), (b, a)] {
        engine.steps.wait_also(waits, &[Wait::Step(first)]);
        engine.withdrawn.insert(waits);
    }
    engine.drive(&receive, &mut Silence).unwrap();
    let accounts = engine.summary(std::time::Instant::now(), Vec::new()).accounts;
    let told = |step: &str| {
        let account = accounts.iter().find(|account| account.step == step);
        account.map(|account| (account.status, account.message.clone().unwrap_or_default()))
    };
    let circle = "these wait for each other: a, b".to_owned();
    assert_eq!(told("a"), Some((Status::Failed, circle.clone())));
    assert_eq!(told("b"), Some((Status::Failed, circle)));
    assert_eq!(told("c"), Some((Status::Blocked, "a".to_owned())));
    assert_eq!(told("d"), Some((Status::Stale, String::new())));
}
