use std::sync::Mutex;

use super::*;
use crate::registry::image::manifest::{self, Manifest};
use crate::registry::image::{Config, Image};
use crate::registry::{About, Answering, Heard, TagFilter, Tags, testing};
use crate::rules::Lane;
use crate::rules::asks::tests::{adopt, compiled, problems_of};

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
        files_in_folders: 0,
        answer: None,
        root: dir.path().into(),
        scratch: dir.path().into(),
        log: dir.path().join("log"),
        has_log: std::sync::atomic::AtomicBool::new(false),
        blobs,
        retries: None,
        heard: Heard::default(),
        lacks: std::sync::OnceLock::new(),
        attempts: std::sync::atomic::AtomicU32::new(0),
        began: std::sync::atomic::AtomicI64::new(0),
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
    assert!(rule.common().params.iter().all(|(_, value)| !value.contains("fake")), "the key does not know the source");
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
    assert_eq!(adopt(&rule, &step(Some(digest)), ours.as_bytes()), Ok(None));
    assert_eq!(adopt(&rule, &step(None), ours.as_bytes()), Ok(Some(format!("{digest}\n").into_bytes())));
    let other = file.replace("unknown/unknown", "linux/arm64");
    assert_eq!(adopt(&rule, &step(None), other.as_bytes()), Err("is of the platform linux/arm64".to_owned()));
    assert_eq!(adopt(&rule, &step(Some(digest)), other.as_bytes()), Ok(None), "the tag has nothing else");
    let unpacked = ours.replace("linux/amd64\"", "linux/amd64\", \"sizes\": \"uncompressed\"");
    let unpacked = adopt(&rule, &step(Some(digest)), unpacked.as_bytes());
    assert_eq!(unpacked, Err("has the sizes of uncompressed layers".to_owned()));
    let seed = br#"[{"repo":{"name":"nginx","tag":"1.0","size":1,"count":1},"layers":[{"id":"a"}],"status":200}]"#;
    assert_eq!(adopt(&rule, &step(None), seed), Err("does not tell which digest its tag had".to_owned()));
    assert_eq!(adopt(&rule, &step(Some(digest)), seed), Ok(None));
    assert!(adopt(&rule, &step(None), b"<html>").is_err());
}

#[test]
fn an_index_that_another_step_brought_meanwhile_does_not_decide_what_is_taken_over() {
    let (rule, (manifest, _)) = (rule(&Arc::default()), testing::image("amd64", "RUN one"));
    let (index, told) = (testing::index(&[(&manifest, Some("linux/amd64"))]), Sha256::of(&manifest));
    let has = Sha256::of(&index);
    let file = layer_file::render(&an_image(told), "library/nginx", "1.0", Ids::Shared);
    let file = String::from_utf8(file).unwrap().replace("unknown/unknown", "linux/amd64");
    let dir = tempfile::tempdir().unwrap();
    let adopted = |blobs: &Blobs, file: &str| {
        rule.adopt(&step(Some(has)), &Unrecorded { bytes: file.as_bytes(), blobs, is_older: false })
    };
    let blobs = Blobs::open(dir.path()).unwrap();
    let unknown = Err(format!("is of {told}, which is not known to be what the tag has: {has}"));
    assert_eq!(adopted(&blobs, &file), unknown);
    blobs.put_missing(&has, &index).unwrap();
    assert_eq!(adopted(&blobs, &file), unknown);
    // The next build finds it there.
    let blobs = Blobs::open(dir.path()).unwrap();
    assert_eq!(adopted(&blobs, &file), Ok(None));
    let other = Sha256::of(b"other");
    let of_other = file.replace(&told.to_string(), &other.to_string());
    assert_eq!(adopted(&blobs, &of_other), Err(format!("is of {other}, which is not what the tag has: {has}")));
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
