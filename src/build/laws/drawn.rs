//! A pipeline of every rule, as it may be edited.

use proptest::prelude::*;

use super::source::REPOS;

/// What may be edited of a pipeline.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    /// The `fresh` of each target.
    pub fresh: [u8; 6],
    pub select: [u8; 2],
    pub filter: u8,
    pub columns: bool,
    pub word: u8,
    pub partial: bool,
    pub list: Vec<usize>,
    /// Nothing may be kept that the source no longer says.
    pub strict: bool,
}

const SELECTS: [&str; 4] = ["all", "latest", "{newest: 2}", "{glob: '1*'}"];

impl Drawn {
    fn fresh(&self, target: usize) -> &'static str {
        let spans: &[&str] =
            if self.strict { &["digest", "always"] } else { &["exists", "24h", "digest", "always", "1h"] };
        spans[usize::from(self.fresh[target]) % spans.len()]
    }

    pub fn text(&self) -> String {
        let fresh = |target| self.fresh(target);
        let filter = ["", "    omit: ['x']\n", "    only: ['1*', latest]\n"][usize::from(self.filter)];
        let [some, more] = self.select.map(|s| SELECTS[usize::from(s)]);
        let columns = if self.columns { "    columns: [repo, tag, digest]\n" } else { "" };
        let command = |n: usize| if fresh(n) == "digest" { "exists" } else { fresh(n) };
        format!(
            "version: 1
sources: {{s: {{kind: registry, url: 'https://r.example.com'}}}}
targets:
  tags:
    rule: tags
    source: s
    foreach: {{repo: {{lines: repos.lst}}}}
    output: result/tags/{{repo}}.json
    fresh: {}
{filter}  some:
    rule: layers
    source: s
    foreach: {{tag: {{from: tags, select: {some}}}}}
    output: result/layers/{{repo}}/{{tag}}.json
    fresh: {}
  more:
    rule: layers
    source: s
    foreach: {{tag: {{from: tags, select: {more}}}}}
    output: result/layers/{{repo}}/{{tag}}.json
    fresh: {}
  pinned:
    rule: layers
    source: s
    foreach: {{repo: [a, c/d], tag: ['1.0', latest]}}
    output: result/pinned/{{repo}}/{{tag}}.json
    fresh: {}
  stat:
    rule: stat
    inputs: [some]
    output: result/stat.csv
{columns}  both: {{inputs: [stat, pinned]}}
  note:
    rule: command
    foreach: {{tag: {{from: tags, select: {more}}}, side: [p, q]}}
    inputs: [more]
    run: '(wc -c < {{in}}; echo {} {{side}}) > {{out}}'
    output: result/note/{{repo}}/{{tag}}/{{side}}
    fresh: {}
  sum:
    rule: command
    inputs: [{{target: note, partial: {}}}]
    run: 'cat {{in}} < /dev/null > {{out}}'
    output: result/sum/sum.txt
    fresh: {}
",
            fresh(0),
            fresh(1),
            fresh(2),
            fresh(3),
            self.word,
            command(4),
            self.partial,
            command(5),
        )
    }
}

pub(super) fn drawn(strict: bool) -> impl Strategy<Value = Drawn> {
    let list = prop::sample::subsequence((0..REPOS.len()).collect::<Vec<_>>(), 1..=REPOS.len()).prop_shuffle();
    (any::<[u8; 6]>(), [0..4u8, 0..4u8], 0..3u8, any::<bool>(), 0..2u8, any::<bool>(), list).prop_map(
        move |(fresh, select, filter, columns, word, partial, list)| Drawn {
            fresh,
            select,
            filter,
            columns,
            word,
            partial,
            list,
            strict,
        },
    )
}
