use super::*;
use crate::store::state::KeyPart;

fn template(version: u32, run: &str) -> Template {
    let params = vec![("run".to_owned(), run.to_owned())];
    Template { rule: "command".to_owned(), version, params, ..Template::default() }
}

fn said(old: &Template, new: &Template) -> Vec<String> {
    let reasons = Changes::new(&StepRecord::default(), Some(old), new).finish(&[], |_| None);
    reasons.iter().map(ToString::to_string).collect()
}

fn input<'a>(path: &'a str, content: &str) -> Part<'a> {
    Part::Input { path, content: Digest::of(content.as_bytes()) }
}

fn record(parts: &[Part<'_>]) -> StepRecord {
    StepRecord { parts: parts.iter().map(Part::record).collect(), ..StepRecord::default() }
}

/// What is said of a step with these parts, whose record has those.
fn changed(then: &[Part<'_>], now: &[Part<'_>], names: &[&str]) -> Vec<Reason> {
    let (record, template) = (record(then), template(1, "a"));
    let mut changes = Changes::new(&record, Some(&template), &template);
    now.iter().for_each(|part| changes.see(None, part));
    changes.finish(&["out", "out2"], |hash| {
        names.iter().find(|n| input(n, "").name_hash() == *hash).map(|n| (*n).to_owned())
    })
}

#[test]
fn a_raised_rule_version_is_named() {
    assert_eq!(said(&template(1, "a"), &template(2, "a")), ["rule version: command, from 1 to 2"]);
    let reason = Reason::RuleVersion { rule: "command".into(), from: 1, to: 2 };
    let json = serde_json::to_value(&reason).unwrap();
    let expected = serde_json::json!({
        "kind": "rule-version", "text": "rule version: command, from 1 to 2", "what": "command", "from": "1", "to": "2"
    });
    assert_eq!(json, expected);
}

#[test]
fn an_edited_parameter_is_named_with_both_values() {
    assert_eq!(said(&template(1, "a"), &template(1, "b")), [r#"changed parameter: run, from "a" to "b""#]);
    assert_eq!(said(&template(1, "a"), &template(1, "a")), [""; 0]);
}

#[test]
fn inputs_are_told_as_changed_new_and_gone() {
    let told = changed(
        &[input("same", "1"), input("changed", "1"), input("gone", "1")],
        &[input("same", "1"), input("changed", "2"), input("new", "1")],
        &["gone"],
    );
    let (from, to) = (hex(&Digest::of(b"1").short()), hex(&Digest::of(b"2").short()));
    let changed = Reason::ChangedInput { input: "changed".into(), from, to };
    assert_eq!(told, [changed, Reason::NewInput("new".into()), Reason::LostInput("gone".into())]);
    let told = self::changed(&[input("b", "1"), input("a", "1"), input("c", "1")], &[], &["a", "b"]);
    assert_eq!(told, [Reason::LostInput("a".into()), Reason::LostInput("b".into()), Reason::LostInputs(1)]);
}

#[test]
fn inputs_in_another_order_are_told_from_the_first_that_moved() {
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| input(name, "1"));
    let told = changed(&[a, b, c, d, e], &[a, c, b, e, d], &["a", "b", "c", "d", "e"]);
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["inputs in another order: from b, c, d, … to c, b, e, …"]);
    // One that came or went puts no other in another order, and neither does one that is read twice: that is told by itself.
    assert_eq!(changed(&[a, b, c], &[b, c, d], &[]).len(), 2);
    assert_eq!(changed(&[a, b, a], &[a, b, a], &[]), []);
    let told = |then: &[Part<'_>], now: &[Part<'_>]| {
        let told = changed(then, now, &["a", "b", "c", "d"]);
        told.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(told(&[a, a], &[a]), r#"changed parameter: inputs, from "a, a" to "a""#);
    assert_eq!(told(&[a, a], &[a, b]), r#"new input: b; changed parameter: inputs, from "a, a" to "a""#);
    assert_eq!(told(&[a, b], &[a, b, a]), r#"changed parameter: inputs, from "…, b" to "…, b, a""#);
    assert_eq!(told(&[a, b, a], &[a, a, b]), r#"changed parameter: inputs, from "a, b, a" to "a, a, b""#);
}

#[test]
fn what_is_no_input_is_not_told_as_one() {
    let made: KeyPart = made_part("out", Digest::of(b"1"));
    let mut template = template(1, "a");
    template.bindings = vec!["n".to_owned()];
    let mut record = record(&[Part::Value { binding: "n", value: "1" }, Part::Output("out"), Part::Output("out2")]);
    record.parts.push(made);
    let mut changes = Changes::new(&record, Some(&template), &template);
    changes.see(None, &Part::Output("out"));
    let told: Vec<String> = changes.finish(&["out", "out2"], |_| None).iter().map(ToString::to_string).collect();
    assert_eq!(told, [r#"removed parameter: output, was "out2""#]);
}

#[test]
fn a_crowd_is_told_as_one() {
    let crowd = Part::Set { input: "1", content: Digest::of(b"crowd") };
    for (then, now) in [(vec![input("a", "1"), input("b", "1")], vec![crowd]), (vec![crowd], vec![input("a", "1")])] {
        let told = changed(&then, &now, &[]);
        assert!(matches!(&told[..], [Reason::ChangedInputs { of, .. }] if of == "input 1"), "{told:?}");
    }
}
