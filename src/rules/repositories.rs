//! The rule `repositories`: the names of all repositories of a namespace, or of the first that a search finds.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Asked, Asks, Common, Content, Failure, Job, Made, Rule, StepView, asks};
use crate::pipeline::Pipeline;
use crate::pipeline::keys::TEXTS;
use crate::pipeline::model::{Node, Pattern, Target};
use crate::pipeline::pattern;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::registry::{Answer, Repositories, Source, grammar};

/// The rule and its keys.
pub const KIND: Kind = Kind {
    name: "repositories",
    doc: "The repositories of a namespace, or of a search, as a JSON array.",
    keys: &[
        Key { name: "source", shape: Shape::Source, required: true, doc: "Where to ask." },
        Key { name: "namespace", shape: TEXTS, required: false, doc: "The namespace, or several." },
        Key { name: "search", shape: TEXTS, required: false, doc: "The words to look for, or several of them." },
        Key {
            name: "limit",
            shape: Shape::Int(1, 10_000),
            required: false,
            doc: "How many of what each search finds are taken (default 100).",
        },
    ],
};

const VERSION: u32 = 1;
const LIMIT: usize = 100;
/// No search is for longer words.
const WORDS_MAX: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Namespace,
    Search(usize),
}

struct RepositoriesRule {
    source: Arc<dyn Source>,
    by: By,
    names: Vec<Pattern>,
    common: Common,
}

/// Makes the rule of a target.
pub fn compile(
    target: &Target,
    pipeline: &Pipeline,
    sources: &[Option<Arc<dyn Source>>],
    problems: &mut Problems,
) -> Option<Arc<dyn Rule>> {
    let limit = target.keys.get("limit");
    let (key, node, by) = match (target.keys.get("namespace"), target.keys.get("search")) {
        (Some(node), None) => ("namespace", node, By::Namespace),
        (None, Some(node)) => ("search", node, By::Search(limit.and_then(Node::as_u64).map_or(LIMIT, |n| n as usize))),
        (_, both) => {
            let span = both.map_or(target.span, |node| node.span);
            problems.at(span, "`repositories` needs `namespace` or `search`", "one of the two");
            return None;
        }
    };
    if let (By::Namespace, Some(limit)) = (by, limit) {
        problems.at(limit.span, "`limit` without `search`", "a namespace is listed whole");
        return None;
    }
    let source = asks::source(target, pipeline, sources);
    if let Some(source) = &source {
        let (can, help) = match by {
            By::Namespace => (source.lister().is_some(), "sources that list: `dockerhub`, `registry`, `oci-layout`"),
            By::Search(_) => (source.searcher().is_some(), "sources that search: `dockerhub`"),
        };
        if !can {
            problems.at(node.span, format!("`{key}` is not for this source"), "it cannot be asked that").help(help);
            return None;
        }
    }
    let nodes: &[Node] = node.as_list().unwrap_or(std::slice::from_ref(node));
    if nodes.is_empty() {
        problems.at(node.span, format!("an empty `{key}`"), "nothing is in here");
        return None;
    }
    let names: Vec<_> = nodes.iter().map(|node| asks::text(node, target, pipeline, problems)).collect();
    let names = names.into_iter().collect::<Option<Vec<_>>>()?;
    let templates: Vec<String> = names.iter().map(|name| pattern::template(name, &target.bindings)).collect();
    let mut params = vec![(key.to_owned(), serde_json::to_string(&templates).expect("strings only"))];
    if let By::Search(limit) = by {
        params.push(("limit".into(), limit.to_string()));
    }
    let source = source?;
    let common = asks::common(&*source, (KIND.name, VERSION), params, asks::reads(&names), Asks::Always);
    Some(Arc::new(RepositoriesRule { source, by, names, common }))
}

impl RepositoriesRule {
    async fn found(&self, name: &str, job: &Job) -> Result<Answer<Repositories>, Failure> {
        let effort = asks::effort(job);
        let found = match (self.by, self.source.lister(), self.source.searcher()) {
            (By::Namespace, Some(lister), _) => lister.namespace(name, effort).await,
            (By::Search(limit), _, Some(searcher)) => searcher.search(name, limit, effort).await.map(Answer::Found),
            // The check has refused sources that do not.
            _ => Ok(Answer::Absent("this source cannot be asked that".into())),
        };
        found.map_err(asks::failure)
    }

    /// What the person should know of what was found.
    fn notes(&self, name: &str, found: &Repositories, notes: &mut Vec<String>) {
        if !found.left_out.is_empty() {
            let refused: Vec<_> = found.left_out.iter().map(|n| (n.clone(), NOT_A_NAME.to_owned())).collect();
            notes.push(asks::left_out(("repository", "repositories"), &refused));
        }
        let more = found.count.filter(|count| *count > found.len());
        notes.extend(more.map(|count| match self.by {
            By::Search(limit) => {
                let were = if limit == 1 { "was" } else { "were" };
                format!("of {count} repositories that were found for `{name}`, {limit} {were} taken")
            }
            By::Namespace => {
                let are = if found.len() == 1 { "is" } else { "are" };
                format!("`{name}` is said to have {count} repositories, and {} {are} listed", found.len())
            }
        }));
    }
}

const NOT_A_NAME: &str = "not a name by the grammar of repositories";

impl Rule for RepositoriesRule {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, values: &[&str]) -> Result<(), String> {
        let check = |name: String| match self.by {
            By::Namespace => {
                grammar::repository(&name).map_err(|why| why.replace("a repository's name", "a namespace"))
            }
            By::Search(_) if name.trim().is_empty() => Err("a search for nothing".into()),
            By::Search(_) if name.len() > WORDS_MAX || name.contains(char::is_control) => {
                Err(format!("a search is for up to {WORDS_MAX} bytes, without control characters"))
            }
            By::Search(_) => Ok(()),
        };
        self.names.iter().map(|name| pattern::fill(name, values)).try_for_each(check)
    }

    fn question(&self, step: &StepView) -> Option<String> {
        let names: Vec<String> = self.names.iter().map(|name| asks::of_step(name, step)).collect();
        let names = serde_json::to_string(&names).expect("strings only");
        let by = match self.by {
            By::Namespace => format!("namespace {names}\n"),
            By::Search(limit) => format!("search {names}\nlimit {limit}\n"),
        };
        Some(format!("repositories {VERSION}\nsource {}\n{by}", self.source.identity()))
    }

    fn difference(&self, before: &[u8], now: &[u8]) -> Option<String> {
        let read = |bytes| serde_json::from_slice::<BTreeSet<String>>(bytes).ok();
        let (before, now) = (read(before)?, read(now)?);
        let names = |a: &BTreeSet<String>, b| a.difference(b).cloned().collect::<Vec<_>>();
        let parts = [asks::some_of("came", &names(&now, &before)), asks::some_of("gone", &names(&before, &now))];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn ask<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Asked, Failure>> {
        Box::pin(async {
            let (mut all, mut notes, mut absent) = (BTreeSet::new(), Vec::new(), Vec::new());
            for name in self.names.iter().map(|name| asks::of_step(name, &job.step)) {
                match self.found(&name, job).await? {
                    Answer::Found(found) => {
                        self.notes(&name, &found, &mut notes);
                        all.extend(found.names);
                    }
                    Answer::Absent(why) => absent.push(why),
                }
            }
            if absent.len() == self.names.len() {
                return Ok(Asked::Absent(absent.join("; ")));
            }
            notes.extend(absent);
            Ok(Asked::Answer { bytes: asks::array(&all), notes, earlier: None })
        })
    }

    fn make<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Made, Failure>> {
        Box::pin(async {
            // The answer is the file.
            let answer = job.answer.clone().unwrap_or_else(|| asks::array(&BTreeSet::new()));
            Ok(Made::Outputs(vec![Content::Bytes(answer)]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing;
    use crate::rules::asks::tests::{compiled, problems_of};

    fn hub() -> Arc<dyn Source> {
        testing::open("dockerhub", &[], &testing::shared(std::path::Path::new("/")))
    }

    fn view(values: &[&str]) -> StepView {
        let fingerprints = vec![None; values.len()];
        StepView { values: values.iter().map(|v| (*v).into()).collect(), fingerprints, outputs: Vec::new() }
    }

    #[test]
    fn the_question_is_all_that_the_answer_hangs_on() {
        let target = "{rule: repositories, source: s, output: 'o/{n}.json', foreach: {n: [x]}, namespace: ['{n}', b]}";
        let rule = compiled(target, hub());
        let source = "repositories 1\nsource dockerhub https://hub.docker.com https://registry-1.docker.io\n";
        assert_eq!(rule.question(&view(&["a"])), Some(format!("{source}namespace [\"a\",\"b\"]\n")));
        assert!(rule.check(&["bitnami"]).is_ok() && rule.check(&["../x"]).is_err() && rule.check(&["A"]).is_err());
        let rule = compiled("{rule: repositories, source: s, output: o, search: a b, limit: 7}", hub());
        assert_eq!(rule.question(&view(&[])), Some(format!("{source}search [\"a b\"]\nlimit 7\n")));
        assert_eq!(rule.check(&[]), Ok(()));
        for words in ["' '", "\"a\\nb\"", &format!("'{}'", "x".repeat(257))] {
            let rule = compiled(&format!("{{rule: repositories, source: s, output: o, search: {words}}}"), hub());
            assert!(rule.check(&[]).is_err(), "{words}");
        }
    }

    #[test]
    fn keys_that_are_wrong_are_named() {
        let with = |keys: &str| problems_of(&format!("{{rule: repositories, source: s, output: o.json{keys}}}"));
        assert_eq!(with(""), ["`repositories` needs `namespace` or `search` @ t"]);
        assert_eq!(with(", namespace: a, search: b"), ["`repositories` needs `namespace` or `search` @ b"]);
        assert_eq!(with(", namespace: a, limit: 7"), ["`limit` without `search` @ 7"]);
        assert_eq!(with(", namespace: []"), ["an empty `namespace` @ []"]);
        assert_eq!(with(", namespace: ['{x}']"), ["unknown binding `x` @ {x}"]);
    }
}
