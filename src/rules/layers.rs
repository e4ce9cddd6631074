//! The rule `layers`: the layers of one image, as imagelayers' `POST /registry/analyze` answered.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::tagged::{self, Looked, Tagged};
use super::{Asked, Common, Content, Failure, Job, Made, Pull, Rule, StepView, asks};
use crate::pipeline::Pipeline;
use crate::pipeline::model::{Pattern, Target};
use crate::pipeline::pattern;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::registry::layer_file::{self, Ids};
use crate::registry::{self, Answer, Platform, Source};
use crate::store::Sha256;
use crate::store::blobs::Blobs;

/// The rule and its keys.
pub const KIND: Kind = Kind {
    name: "layers",
    doc: "The layers of an image: ids, parents, commands and sizes, as a JSON list of one.",
    keys: &[
        Key { name: "source", shape: Shape::Source, required: true, doc: "Where to ask." },
        Key { name: "repo", shape: Shape::Text, required: false, doc: "The repository (default `{repo}`)." },
        Key { name: "tag", shape: Shape::Text, required: false, doc: "The tag (default `{tag}`)." },
        Key {
            name: "platform",
            shape: Shape::Text,
            required: false,
            doc: "OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT: what is taken of an index (default linux/amd64). \
                  Bindings are filled in. `all`: one file a platform, which is the binding `{platform}`.",
        },
        Key {
            name: "ids",
            shape: Shape::Word(&["shared", "docker"]),
            required: false,
            doc: "How layers get their ids: `shared` by images that share a layer and all below it (the default), or \
                  as `docker` made them.",
        },
        Key {
            name: "sizes",
            shape: Shape::Word(&["compressed", "uncompressed"]),
            required: false,
            doc: "Which sizes: `compressed`, as the manifest gives them (the default), or `uncompressed`, those of the \
                  unpacked layers.",
        },
    ],
};

const VERSION: u32 = 2;

struct LayersRule {
    tagged: Tagged,
    /// `None`: the one that is meant where none is said.
    platform: Option<Pattern>,
    ids: Ids,
    is_unpacked: bool,
    common: Common,
}

/// Makes the rule of a target.
pub fn compile(
    target: &Target,
    pipeline: &Pipeline,
    sources: &[Option<Arc<dyn Source>>],
    problems: &mut Problems,
) -> Option<Arc<dyn Rule>> {
    let tagged = Tagged::read(target, pipeline, sources, problems);
    let platform = platform(target, pipeline, problems);
    let word = |key: &str| target.keys.get(key).and_then(|n| n.as_public());
    let ids = match word("ids").as_deref() {
        Some("docker") => Ids::Docker,
        _ => Ids::Shared,
    };
    if asks::source(target, pipeline, sources).is_some_and(|source| source.analyst().is_some()) {
        let chosen = ["platform", "ids", "sizes"].iter().filter_map(|key| Some((key, target.keys.get(key)?)));
        let before = problems.0.len();
        for (key, node) in chosen {
            problems.at(node.span, format!("`{key}` is not for this source"), "its layer files are taken as they come");
        }
        if problems.0.len() > before {
            return None;
        }
    }
    let (tagged, platform) = (tagged?, platform?);
    let is_unpacked = word("sizes").is_some_and(|word| word == layer_file::UNCOMPRESSED);
    let sizes_word = if is_unpacked { layer_file::UNCOMPRESSED } else { "compressed" };
    let ids_word = if ids == Ids::Docker { "docker" } else { "shared" };
    let platform_text = match &platform {
        Some(platform) => pattern::template(platform, &target.bindings),
        None => Platform::default().to_string(),
    };
    let mut params = tagged.params(target);
    params.extend(
        [("platform", &*platform_text), ("ids", ids_word), ("sizes", sizes_word)].map(|(n, v)| (n.into(), v.into())),
    );
    let reads = asks::reads([&tagged.repo, &tagged.tag].into_iter().chain(&platform));
    let common = tagged.common(KIND.name, VERSION, params, reads);
    Some(Arc::new(LayersRule { tagged, platform, ids, is_unpacked, common }))
}

/// The platform, in which bindings may be filled in; the outer `None` where it is wrong.
fn platform(target: &Target, pipeline: &Pipeline, problems: &mut Problems) -> Option<Option<Pattern>> {
    let Some(node) = target.keys.get("platform") else { return Some(None) };
    let pattern = asks::pattern(target, pipeline, "platform", problems)?;
    if asks::reads([&pattern]).is_empty()
        && let Err(e) = pattern::fill(&pattern, &[]).parse::<Platform>()
    {
        problems.at(node.span, "not a platform", e.to_string());
        return None;
    }
    Some(Some(pattern))
}

impl LayersRule {
    /// The platform for these values.
    fn platform(&self, values: &[&str]) -> Result<Platform, String> {
        let Some(pattern) = &self.platform else { return Ok(Platform::default()) };
        let text = pattern::fill(pattern, values);
        text.parse().map_err(|e| format!("`{text}` is not a platform: {e}"))
    }

    fn platform_of(&self, step: &StepView) -> Platform {
        let values: Vec<&str> = step.values.iter().map(|v| &**v).collect();
        // The check has refused what is none.
        self.platform(&values).unwrap_or_default()
    }
}

impl Rule for LayersRule {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, values: &[&str]) -> Result<(), String> {
        self.tagged.check(values)?;
        self.platform(values).map(drop)
    }

    fn question(&self, step: &StepView) -> Option<String> {
        self.tagged.question(KIND.name, VERSION, step)
    }

    fn difference(&self, before: &[u8], now: &[u8]) -> Option<String> {
        tagged::difference(before, now)
    }

    fn ask<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Asked, Failure>> {
        Box::pin(asks::unless_interrupted(job, self.tagged.ask(job)))
    }

    fn pull(&self, step: &StepView, answer: Option<&[u8]>, blobs: &Blobs) -> Option<Pull> {
        let budget = self.tagged.source.budget()?.clone();
        let what = match self.tagged.known(step, answer) {
            Some(digest) => registry::way(blobs, digest, &self.platform_of(step)).missing()?.to_string(),
            None => {
                let (repo, tag) = self.tagged.of(step);
                format!("{repo}:{tag}")
            }
        };
        Some(Pull { budget, what, is_sure: !self.tagged.source.has_mirrors() })
    }

    fn contents(
        &self,
        step: &StepView,
        answer: Option<&[u8]>,
        made: Option<&[u8]>,
        blobs: &Blobs,
    ) -> Vec<(Sha256, String)> {
        let Some(digest) = self.tagged.known(step, answer).filter(|_| self.tagged.source.analyst().is_none()) else {
            return Vec::new();
        };
        let (platform, way) = (self.platform_of(step), registry::way(blobs, digest, &self.platform_of(step)));
        let (repo, tag) = self.tagged.of(step);
        let told = made.and_then(|bytes| layer_file::recognise(bytes, &repo, &tag).ok()?.digest);
        // Where that of the tag was not to be had, the file is of the one that the tag pointed at by then.
        if let Some(told) = told.filter(|told| !way.manifests.contains(told)) {
            let lacks = if blobs.contains(&digest) { "" } else { ", not in the store" };
            let what = ["the manifest that the file is of".to_owned(), format!("what the tag had{lacks}")];
            return [told, digest].into_iter().zip(what).collect();
        }
        let last = way.manifests.len() - 1;
        let what = |at: usize| match at {
            _ if way.ends_early && at == last => "not in the store".to_owned(),
            _ if at < last => "the index".to_owned(),
            0 => "the manifest".to_owned(),
            _ => format!("its manifest for {platform}"),
        };
        way.manifests.iter().enumerate().map(|(at, digest)| (*digest, what(at))).collect()
    }

    fn lacks(&self, step: &StepView, answer: Option<&[u8]>, blobs: &Blobs) -> Option<String> {
        let (repo, tag) = self.tagged.of(step);
        if self.tagged.source.analyst().is_some() {
            return Some(format!("the layers of {repo}:{tag}"));
        }
        let way = registry::way(blobs, self.tagged.known(step, answer)?, &self.platform_of(step));
        let missing = way.missing().map(|digest| format!("the manifest {digest} of {repo}:{tag}"));
        let config = || Some(format!("the config {} of {repo}:{tag}", way.no_config?));
        let unmeasured = way.unmeasured.first().filter(|_| self.is_unpacked);
        let size = || Some(format!("the unpacked size of the layer {} of {repo}:{tag}", unmeasured?));
        missing.or_else(config).or_else(size)
    }

    fn adopt(&self, step: &StepView, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let (repo, tag) = self.tagged.of(step);
        let found = layer_file::recognise(bytes, &repo, &tag)?;
        // What is known to be another platform's was made by another target.
        let theirs = found.platform.and_then(|p| p.parse::<Platform>().ok());
        if let Some(theirs) = theirs.filter(|theirs| !self.platform_of(step).accepts(theirs)) {
            return Err(format!("is of the platform {theirs}"));
        }
        // Nor are other sizes ours; those of the seed's files are taken as they are.
        if found.digest.is_some() && found.is_unpacked != self.is_unpacked {
            let sizes = if found.is_unpacked { layer_file::UNCOMPRESSED } else { "compressed" };
            return Err(format!("has the sizes of {sizes} layers"));
        }
        if self.tagged.fingerprint(step).is_some() {
            return Ok(None);
        }
        let digest = found.digest.ok_or("does not tell which digest its tag had")?;
        Ok(Some(tagged::answer(&digest)))
    }

    fn make<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Made, Failure>> {
        Box::pin(asks::unless_interrupted(job, async {
            let (source, platform) = (&self.tagged.source, self.platform_of(&job.step));
            let (repo, tag) = self.tagged.of(&job.step);
            let (about, tag) = (asks::about(job, &repo), tag.as_str());
            if let Some(analyst) = source.analyst() {
                let file = analyst.layer_file(&repo, tag, about.effort).await.map_err(asks::failure)?;
                return Ok(match file {
                    Answer::Found(file) => Made::Outputs(vec![Content::Bytes(file)]),
                    Answer::Absent(why) => Made::Absent(why),
                });
            }
            let by_digest = async |digest| source.image(about, digest, &platform).await.map_err(asks::failure);
            Ok(match self.tagged.look(job, by_digest).await? {
                Answer::Found(Looked { content: mut image, notes }) => {
                    if self.is_unpacked {
                        source.unpack(about, &mut image).await.map_err(asks::failure)?;
                    }
                    Made::noted(vec![Content::Bytes(layer_file::render(&image, &repo, tag, self.ids))], notes)
                }
                Answer::Absent(why) => Made::Absent(why),
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::registry::image::{Config, Image};
    use crate::registry::manifest::{self, Manifest};
    use crate::registry::{About, Answering, TagFilter, Tags};
    use crate::rules::Lane;
    use crate::rules::asks::tests::{compiled, problems_of};

    /// A source that has one image, and that writes down what it is asked.
    #[derive(Default)]
    struct Fake {
        digest: Option<Sha256>,
        asked: Mutex<Vec<String>>,
    }

    impl Fake {
        fn note(&self, what: String) {
            self.asked.lock().unwrap().push(what);
        }
    }

    fn an_image(digest: Sha256) -> Image {
        let body = br#"{"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#;
        let Ok(Manifest::Image(manifest)) = manifest::parse(body, None) else { panic!("no image") };
        Image::assemble(digest, &manifest, Config::read(b"{}").unwrap(), None)
    }

    impl Source for Fake {
        fn identity(&self) -> &str {
            "fake"
        }

        fn concurrency(&self) -> usize {
            3
        }

        fn tags<'a>(&'a self, _: About<'a>, _: &'a TagFilter) -> Answering<'a, Tags> {
            Box::pin(async { Ok(Answer::Absent("none".into())) })
        }

        fn resolve<'a>(&'a self, about: About<'a>, tag: &'a str) -> Answering<'a, Sha256> {
            Box::pin(async move {
                self.note(format!("{}:{tag}", about.repo));
                Ok(self.digest.map_or(Answer::Absent("no tag".into()), Answer::Found))
            })
        }

        fn image<'a>(&'a self, _: About<'a>, digest: Sha256, _: &'a Platform) -> Answering<'a, Image> {
            Box::pin(async move {
                self.note(digest.hex()[..4].into());
                let known = self.digest == Some(digest);
                Ok(if known { Answer::Found(an_image(digest)) } else { Answer::Absent("no digest".into()) })
            })
        }
    }

    const TARGET: &str = "{rule: layers, source: s, output: 'o/{repo}/{tag}.json', foreach: {repo: [a], tag: ['1']}}";

    fn rule(fake: &Arc<Fake>) -> Arc<dyn Rule> {
        compiled(TARGET, fake.clone())
    }

    fn step(fingerprint: Option<Sha256>) -> StepView {
        StepView {
            values: vec!["library/nginx".into(), "1.0".into()],
            fingerprints: vec![None, fingerprint],
            outputs: vec!["o.json".into()],
        }
    }

    /// Makes the step, and gives what came of it and what the source was asked.
    async fn make(fake: Fake, fingerprint: Sha256, stored: &[u8]) -> (Made, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        blobs.put(stored).unwrap();
        let job = Job {
            step: step(Some(fingerprint)),
            inputs: Vec::new(),
            answer: None,
            root: dir.path().into(),
            scratch: dir.path().into(),
            log: dir.path().join("log"),
            blobs,
            retries: None,
            attempts: std::sync::atomic::AtomicU32::new(0),
            timeout: None,
            learnt_since: None,
            cancelled: tokio::sync::watch::channel(false).1,
        };
        let fake = Arc::new(fake);
        let made = rule(&fake).make(&job).await.unwrap();
        let asked = fake.asked.lock().unwrap().clone();
        (made, asked)
    }

    fn text(made: Made) -> String {
        let Made::Outputs(outputs) = made else { panic!("{made:?}") };
        let [Content::Bytes(bytes)] = &outputs[..] else { panic!("{outputs:?}") };
        String::from_utf8(bytes.clone()).unwrap()
    }

    #[tokio::test]
    async fn an_id_of_this_source_is_asked_for_alone() {
        let id = Sha256::of(b"1");
        let (made, asked) = make(Fake { digest: Some(id), ..Fake::default() }, id, b"").await;
        assert!(text(made).contains(&format!("\"digest\": \"{id}\"")));
        assert_eq!(asked, [&id.hex()[..4]]);
    }

    #[tokio::test]
    async fn an_id_of_another_kind_is_asked_for_by_its_tag() {
        let (old, new) = (Sha256::of(b"old"), Sha256::of(b"new"));
        let (made, asked) = make(Fake { digest: Some(new), ..Fake::default() }, old, b"").await;
        let Made::Noted(outputs, notes) = made else { panic!("{made:?}") };
        assert_eq!(notes, [format!("{old} is not to be had: this is of {new}, which the tag points at now")]);
        assert!(text(Made::Outputs(outputs)).contains(&format!("\"digest\": \"{new}\"")));
        assert_eq!(asked, [&old.hex()[..4], "library/nginx:1.0", &new.hex()[..4]]);
        let (made, asked) = make(Fake::default(), old, b"").await;
        assert!(matches!(made, Made::Absent(why) if why == "no tag"));
        assert_eq!(asked.len(), 2);
    }

    #[tokio::test]
    async fn what_is_known_to_be_no_image_is_not_asked_for_by_its_tag() {
        let id = Sha256::of(b"an index of other platforms");
        let (made, asked) = make(Fake::default(), id, b"an index of other platforms").await;
        assert!(matches!(made, Made::Absent(why) if why == "no digest"));
        assert_eq!(asked.len(), 1);
    }

    #[test]
    fn a_digest_that_is_known_is_no_question() {
        let rule = rule(&Arc::default());
        assert_eq!(rule.question(&step(Some(Sha256::of(b"x")))), None);
        let question = rule.question(&step(None)).unwrap();
        assert_eq!(question, "layers 2\nsource fake\nrepo library/nginx\ntag 1.0\n");
        assert_eq!(rule.common().reads, [0, 1]);
        assert_eq!(rule.common().lane, Lane::Source("fake".into(), 3));
        assert!(
            rule.common().params.iter().all(|(_, value)| !value.contains("fake")),
            "the key does not know the source"
        );
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        let rule = rule(&Arc::default());
        assert_eq!(rule.check(&["library/nginx", "1.0"]), Ok(()));
        assert!(rule.check(&["../x", "1.0"]).is_err());
        assert!(rule.check(&["library/nginx", "../../x"]).is_err());
    }

    #[test]
    fn files_that_are_there_are_taken_over() {
        let rule = rule(&Arc::default());
        let digest = Sha256::of(b"manifest");
        let file = layer_file::render(&an_image(digest), "library/nginx", "1.0", Ids::Shared);
        // Its platform is not known, and not that of another target either.
        let file = String::from_utf8(file).unwrap();
        let ours = file.replace("unknown/unknown", "linux/amd64");
        assert_eq!(rule.adopt(&step(Some(digest)), ours.as_bytes()), Ok(None));
        assert_eq!(rule.adopt(&step(None), ours.as_bytes()), Ok(Some(format!("{digest}\n").into_bytes())));
        let other = file.replace("unknown/unknown", "linux/arm64");
        assert_eq!(rule.adopt(&step(None), other.as_bytes()), Err("is of the platform linux/arm64".to_owned()));
        let unpacked = ours.replace("linux/amd64\"", "linux/amd64\", \"sizes\": \"uncompressed\"");
        let unpacked = rule.adopt(&step(Some(digest)), unpacked.as_bytes());
        assert_eq!(unpacked, Err("has the sizes of uncompressed layers".to_owned()));
        let seed = br#"[{"repo":{"name":"nginx","tag":"1.0","size":1,"count":1},"layers":[{"id":"a"}],"status":200}]"#;
        assert_eq!(rule.adopt(&step(None), seed), Err("does not tell which digest its tag had".to_owned()));
        assert_eq!(rule.adopt(&step(Some(digest)), seed), Ok(None));
        assert!(rule.adopt(&step(None), b"<html>").is_err());
    }

    #[test]
    fn keys_that_are_wrong_are_named() {
        let with = |keys: &str| problems_of(&format!("{{rule: layers, source: s, output: 'o/{{x}}', {keys}}}"));
        assert_eq!(with("foreach: {x: [a]}, tag: '1'"), ["no `repo` @ t"]);
        assert_eq!(with("foreach: {x: [a]}, repo: '{x}'"), ["no `tag` @ t"]);
        assert_eq!(with("foreach: {x: [a]}, repo: '{y}', tag: '1'"), ["unknown binding `y` @ {y}"]);
        let bad = with("foreach: {x: [a]}, repo: '{x}', tag: '1', platform: amd64");
        assert_eq!(bad, ["not a platform @ amd64"]);
        let bad = with("foreach: {x: [a]}, repo: '{x}', tag: '1', platform: 'linux/{y}'");
        assert_eq!(bad, ["unknown binding `y` @ {y}"]);
    }
}
