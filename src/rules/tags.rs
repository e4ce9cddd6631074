//! The rule `tags`: every tag of a repository, with the digest that it points at.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use globset::{Glob, GlobSet, GlobSetBuilder};

use super::{Asked, Asks, Common, Content, Failure, Job, Made, Rule, StepView, Unrecorded, asks};
use crate::pipeline::Pipeline;
use crate::pipeline::model::{Node, Pattern, Target};
use crate::pipeline::pattern;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::registry::{Answer, Earlier, Source, TagFilter, grammar};
use crate::store::Sha256;

/// The rule and its keys.
pub const KIND: Kind = Kind {
    name: "tags",
    doc: "The tags of a repository and the digest of each, as a JSON object.",
    keys: &[
        Key { name: "source", shape: Shape::Source, required: true, doc: "Where to ask." },
        Key { name: "repo", shape: Shape::Text, required: false, doc: "The repository (default `{repo}`)." },
        Key {
            name: "only",
            shape: GLOBS,
            required: false,
            doc: "Globs: nothing is asked about tags that match none of them.",
        },
        Key { name: "omit", shape: GLOBS, required: false, doc: "Globs: nothing is asked about tags that match one." },
    ],
};

const GLOBS: Shape = Shape::Any(&[Shape::List(&Shape::Text), Shape::Text]);

const VERSION: u32 = 1;

struct TagsRule {
    source: Arc<dyn Source>,
    repo: Pattern,
    filter: TagFilter,
    /// The filter as it is written, for questions.
    filter_text: String,
    common: Common,
}

/// Makes the rule of a target.
pub fn compile(
    target: &Target,
    pipeline: &Pipeline,
    sources: &[Option<Arc<dyn Source>>],
    problems: &mut Problems,
) -> Option<Arc<dyn Rule>> {
    let repo = asks::pattern(target, pipeline, "repo", problems);
    let only = globs(target, "only", problems);
    let omit = globs(target, "omit", problems);
    let source = asks::source(target, pipeline, sources);
    let (repo, (only, only_text), (omit, omit_text)) = (repo?, only?, omit?);
    let source = source?;
    let params = vec![
        ("repo".into(), pattern::template(&repo, &target.bindings)),
        ("only".into(), only_text.clone()),
        ("omit".into(), omit_text.clone()),
    ];
    let common = asks::common(&*source, (KIND.name, VERSION), params, asks::reads([&repo]), Asks::Always);
    Some(Arc::new(TagsRule {
        common,
        source,
        repo,
        filter: TagFilter { only, omit },
        filter_text: format!("only {only_text}\nomit {omit_text}\n"),
    }))
}

/// The globs of a key, and how they are written; `None` where one is wrong.
fn globs(target: &Target, key: &str, problems: &mut Problems) -> Option<(Option<GlobSet>, String)> {
    let Some(node) = target.keys.get(key) else { return Some((None, String::new())) };
    let nodes: &[Node] = node.as_list().unwrap_or(std::slice::from_ref(node));
    let texts: Vec<String> = nodes.iter().map(|n| n.as_public().unwrap_or_default()).collect();
    let mut set = GlobSetBuilder::new();
    let before = problems.0.len();
    for (node, text) in nodes.iter().zip(&texts) {
        match Glob::new(text) {
            Ok(glob) => drop(set.add(glob)),
            Err(e) => drop(problems.at(node.span, "not a glob", e.kind().to_string())),
        }
    }
    if problems.0.len() > before {
        return None;
    }
    match set.build() {
        Ok(set) => Some((Some(set), serde_json::to_string(&texts).expect("strings only"))),
        Err(e) => {
            problems.at(node.span, "not globs", e.to_string());
            None
        }
    }
}

impl Rule for TagsRule {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, values: &[&str]) -> Result<(), String> {
        grammar::repository(&pattern::fill(&self.repo, values))
    }

    fn question(&self, step: &StepView) -> Option<String> {
        let repo = asks::of_step(&self.repo, step);
        Some(format!("tags {VERSION}\nsource {}\nrepo {repo}\n{}", self.source.identity(), self.filter_text))
    }

    fn ask<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Asked, Failure>> {
        Box::pin(async {
            let repo = asks::of_step(&self.repo, &job.step);
            let answer = self.source.tags(asks::about(job, &repo), &self.filter).await.map_err(asks::failure)?;
            Ok(match answer {
                Answer::Absent(why) => Asked::Absent(why),
                Answer::Found(tags) => Asked::Answer {
                    notes: (!tags.left_out.is_empty())
                        .then(|| asks::left_out(("tag", "tags"), &tags.left_out))
                        .into_iter()
                        .collect(),
                    bytes: render(&tags.tags),
                    earlier: tags.earlier,
                },
            })
        })
    }

    fn told_earlier(&self, step: &StepView, since: i64) -> Option<Earlier> {
        self.source.told_earlier(&asks::of_step(&self.repo, step), since)
    }

    fn difference(&self, before: &[u8], now: &[u8]) -> Option<String> {
        let read = |bytes| serde_json::from_slice::<BTreeMap<String, String>>(bytes).ok();
        let (before, now) = (read(before)?, read(now)?);
        let short = |id: &str| id.get(..8).unwrap_or(id).to_owned();
        let moved = now.iter().filter_map(|(tag, id)| {
            let was = before.get(tag).filter(|was| *was != id)?;
            Some(format!("{tag} from {} to {}", short(was), short(id)))
        });
        let came = now.keys().filter(|tag| !before.contains_key(*tag)).cloned();
        let gone = before.keys().filter(|tag| !now.contains_key(*tag)).cloned();
        let parts = [("moved", moved.collect()), ("came", came.collect()), ("gone", gone.collect::<Vec<_>>())];
        let parts: Vec<String> = parts.iter().filter_map(|(what, tags)| asks::some_of(what, tags)).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn adopt(&self, _: &StepView, found: &Unrecorded<'_>) -> Result<Option<Vec<u8>>, String> {
        recognise(found.bytes).map(|tags| Some(render(&tags)))
    }

    fn make<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Made, Failure>> {
        Box::pin(async {
            // The answer is the file.
            let answer = job.answer.clone().unwrap_or_else(|| render(&BTreeMap::new()));
            Ok(Made::Outputs(vec![Content::Bytes(answer)]))
        })
    }
}

/// The tag file: JSON, sorted by tag, two blanks a level, a newline at its end.
fn render(tags: &BTreeMap<String, Sha256>) -> Vec<u8> {
    let tags: BTreeMap<&str, String> = tags.iter().map(|(tag, digest)| (tag.as_str(), digest.hex())).collect();
    let mut out = serde_json::to_vec_pretty(&tags).expect("strings only");
    out.push(b'\n');
    out
}

/// Reads a tag file, ours or the seed's. One without tags is what the seed left of a repository that it could not get.
/// The error says, after "it", what else it is.
fn recognise(bytes: &[u8]) -> Result<BTreeMap<String, Sha256>, String> {
    if bytes.is_empty() {
        return Err("is empty".to_owned());
    }
    let tags: BTreeMap<String, String> =
        serde_json::from_slice(bytes).map_err(|e| format!("is no list of tags with their digests ({e})"))?;
    let read = |(tag, id): (String, String)| {
        if !grammar::is_tag(&tag) {
            return Err(format!("names what is no tag: {tag:?}"));
        }
        let digest = Sha256::from_hex(&id);
        Ok((tag.clone(), digest.ok_or_else(|| format!("has no digest of 64 hex digits for {tag}, but {id:?}"))?))
    };
    let tags: BTreeMap<_, _> = tags.into_iter().map(read).collect::<Result<_, String>>()?;
    if tags.is_empty() { Err("has no tags".to_owned()) } else { Ok(tags) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing;
    use crate::rules::asks::tests::{adopt, compiled, problems_of};

    #[test]
    fn tag_file_as_the_seed_prints_it() {
        let ids = ["b".repeat(64), "a".repeat(64)];
        let tags: BTreeMap<_, _> = ["1.0", "latest"]
            .iter()
            .zip(&ids)
            .map(|(tag, id)| (tag.to_string(), Sha256::from_hex(id).unwrap()))
            .collect();
        let file = render(&tags);
        let expected = format!("{{\n  \"1.0\": \"{}\",\n  \"latest\": \"{}\"\n}}\n", ids[0], ids[1]);
        assert_eq!(String::from_utf8(file.clone()).unwrap(), expected);
        assert_eq!(recognise(&file), Ok(tags));
        assert_eq!(render(&BTreeMap::new()), b"{}\n");
    }

    #[test]
    fn lists_of_tags_differ_in_what_moved_came_and_went() {
        let rule = compiled(
            "{rule: tags, source: s, repo: library/nginx, output: o.json}",
            testing::registry("https://r.example.com"),
        );
        let list = |tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(tag, id)| (tag.to_string(), Sha256::from_hex(&id.repeat(64)).unwrap()));
            render(&tags.collect())
        };
        let before = list(&[("1", "a"), ("2", "a"), ("old", "b")]);
        let now = list(&[("1", "c"), ("2", "a"), ("n1", "d"), ("n2", "d"), ("n3", "d"), ("n4", "d")]);
        let difference = rule.difference(&before, &now).unwrap();
        assert_eq!(difference, "moved: 1 from aaaaaaaa to cccccccc; came: n1, n2, n3 and 1 more; gone: old");
        assert_eq!(rule.difference(&now, &now), None);
        assert_eq!(rule.difference(b"[", &now), None);
    }

    #[test]
    fn what_is_no_tag_file() {
        let id = "a".repeat(64);
        for bad in [
            "",
            "{}",
            "[]",
            "not json",
            "<html></html>",
            r#"{"a": 1}"#,
            &format!(r#"{{"../x": "{id}"}}"#),
            &format!(r#"{{"a": "sha256:{id}"}}"#),
            &format!(r#"{{"a": "{}"}}"#, id.to_uppercase()),
            &format!(r#"{{"a": "{id}""#),
        ] {
            assert!(recognise(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_that_are_wrong_are_named() {
        let with = |keys: &str| problems_of(&format!("{{rule: tags, source: s, output: o.json, {keys}}}"));
        assert_eq!(with("only: ['1.*']"), ["no `repo` @ t"]);
        assert_eq!(with("repo: library/nginx, only: ['1.*', '[']"), ["not a glob @ '['"]);
        assert_eq!(with("repo: library/nginx, omit: '{a'"), ["not a glob @ '{a'"]);
    }

    #[test]
    fn the_question_is_all_that_the_answer_hangs_on() {
        let source = testing::registry("https://me:pw@r.example.com/");
        let target = "{rule: tags, source: s, output: 'o/{repo}', foreach: {repo: [x]}, only: 1.*, omit: ['*-rc']}";
        let rule = compiled(target, source);
        let step = StepView { values: vec!["library/nginx".into()], fingerprints: vec![None], outputs: vec![] };
        let question =
            "tags 1\nsource registry https://r.example.com\nrepo library/nginx\nonly [\"1.*\"]\nomit [\"*-rc\"]\n";
        assert_eq!(rule.question(&step).as_deref(), Some(question));
        assert!(rule.check(&["library/nginx"]).is_ok() && rule.check(&["Library"]).is_err());
        let id = "a".repeat(64);
        let compact = format!("{{\"b\":\"{id}\",\"a\":\"{id}\"}}");
        let canonical = format!("{{\n  \"a\": \"{id}\",\n  \"b\": \"{id}\"\n}}\n");
        assert_eq!(adopt(&rule, &step, compact.as_bytes()), Ok(Some(canonical.into_bytes())));
    }
}
