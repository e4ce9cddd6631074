//! `stat`: one line an image, out of layer files.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rayon::prelude::*;
use serde::Deserialize;

use crate::pipeline::model::Target;
use crate::pipeline::problem::{Problems, suggest};
use crate::pipeline::shape::{Key, Kind, Shape};

use super::{Asks, Common, Content, Failure, Job, Lane, Made, Rule};

pub const KIND: Kind = Kind {
    name: "stat",
    doc: "A CSV with one line an image, out of layer files",
    keys: &[Key {
        name: "columns",
        shape: Shape::List(&Shape::Word(COLUMNS)),
        required: false,
        doc: "The columns, in order: repo, tag, layer_count, layer_size unless said",
    }],
};

const COLUMNS: &[&str] =
    &["repo", "tag", "layer_count", "layer_size", "digest", "platform", "created", "architecture", "os"];
const DEFAULT: &[&str] = &["repo", "tag", "layer_count", "layer_size"];
/// No layer file is larger, in bytes.
const LARGEST: u64 = 256 << 20;

struct Stat {
    columns: Vec<String>,
    common: Common,
}

/// Makes the rule of a target.
pub fn compile(target: &Target, problems: &mut Problems) -> Option<Arc<dyn Rule>> {
    let before = problems.0.len();
    if target.outputs.len() != 1 || target.outputs[0].folder {
        problems.at(target.span, "`stat` writes one file", "this target has other outputs");
    }
    let mut columns: Vec<String> = Vec::new();
    if let Some(list) = target.keys.get("columns").and_then(|node| node.as_list()) {
        for node in list {
            let name = node.as_public().unwrap_or_default();
            if columns.contains(&name) {
                problems.at(node.span, "a column is named twice", name.clone()).help =
                    suggest("", COLUMNS.iter().copied());
            }
            columns.push(name);
        }
    }
    if columns.is_empty() {
        columns = DEFAULT.iter().map(|&c| c.to_owned()).collect();
    }
    if problems.0.len() > before {
        return None;
    }
    let common = Common {
        name: "stat",
        version: 1,
        params: vec![("columns".to_owned(), columns.join(","))],
        reads: Vec::new(),
        lane: Lane::Compute,
        cached: false,
        finds: false,
        asks: Asks::Never,
        is_remote: false,
    };
    Some(Arc::new(Stat { columns, common }))
}

/// What a line needs of a layer file.
#[derive(Deserialize)]
struct Analyzed {
    repo: Repo,
    #[serde(default)]
    layers: Option<Vec<Layer>>,
}

#[derive(Deserialize)]
struct Repo {
    name: String,
    tag: String,
    size: i64,
    count: u64,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    platform: String,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    architecture: Option<String>,
    #[serde(default)]
    os: Option<String>,
}

impl Rule for Stat {
    fn common(&self) -> &Common {
        &self.common
    }

    fn make<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Made, Failure>> {
        let (root, columns) = (job.root.clone(), self.columns.clone());
        let paths: Vec<String> = job.inputs.iter().flat_map(|i| i.paths.iter().cloned()).collect();
        Box::pin(async move {
            let (send, receive) = tokio::sync::oneshot::channel();
            // Thousands of files to parse: on the pool that is there for it.
            rayon::spawn(move || drop(send.send(csv(&root, &paths, &columns))));
            let csv = receive.await.map_err(|_| Failure::new("the work was dropped"))??;
            Ok(Made::Outputs(vec![Content::Bytes(csv)]))
        })
    }
}

/// The whole file: header, then lines sorted by bytes of (repo, tag, platform), each with the seed's closing comma.
fn csv(root: &Path, paths: &[String], columns: &[String]) -> Result<Vec<u8>, Failure> {
    let mut images: Vec<Analyzed> = paths
        .par_iter()
        .map(|path| read(root, path))
        .collect::<Result<Vec<_>, Failure>>()?
        .into_iter()
        .flatten()
        .filter(|image| image.repo.count > 0)
        .collect();
    images.sort_by(|Analyzed { repo: a, .. }, Analyzed { repo: b, .. }| {
        (&a.name, &a.tag, &a.platform).cmp(&(&b.name, &b.tag, &b.platform))
    });
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(columns.iter().map(String::as_str).chain([""])).and_then(|()| {
        images
            .iter()
            .try_for_each(|image| writer.write_record(columns.iter().map(|c| field(image, c)).chain([String::new()])))
    });
    written.map_err(|e| Failure::new(format!("cannot write the CSV: {e}")))?;
    writer.into_inner().map_err(|e| Failure::new(format!("cannot write the CSV: {e}")))
}

fn read(root: &Path, path: &str) -> Result<Vec<Analyzed>, Failure> {
    let mut text = Vec::new();
    std::fs::File::open(root.join(path))
        .and_then(|f| f.take(LARGEST).read_to_end(&mut text))
        .map_err(|e| Failure::new(format!("cannot read {path}: {e}")))?;
    serde_json::from_slice(&text).map_err(|e| Failure {
        help: Some("`stat` reads layer files: a JSON list of images".to_owned()),
        ..Failure::new(format!("{path} is not a layer file: {e}"))
    })
}

fn field(image: &Analyzed, column: &str) -> String {
    let top = image.layers.as_deref().and_then(<[Layer]>::first);
    let of_top = |get: fn(&Layer) -> &Option<String>| top.and_then(|l| get(l).clone()).unwrap_or_default();
    match column {
        "repo" => image.repo.name.clone(),
        "tag" => image.repo.tag.clone(),
        "layer_count" => image.repo.count.to_string(),
        "layer_size" => image.repo.size.to_string(),
        "digest" => image.repo.digest.clone(),
        "platform" => image.repo.platform.clone(),
        "created" => of_top(|l| &l.created),
        "architecture" => of_top(|l| &l.architecture),
        _ => of_top(|l| &l.os),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer_file(name: &str, tag: &str, count: u64, size: i64) -> String {
        format!(
            r#"[{{"repo":{{"name":"{name}","tag":"{tag}","size":{size},"count":{count}}},"layers":[],"status":200}}]"#
        )
    }

    fn made(files: &[String], columns: &[&str]) -> Result<String, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let paths: Vec<String> = (0..files.len()).map(|i| format!("{i}.json")).collect();
        for (path, text) in paths.iter().zip(files) {
            std::fs::write(folder.path().join(path), text).expect("written");
        }
        let columns: Vec<String> = columns.iter().map(|&c| c.to_owned()).collect();
        csv(folder.path(), &paths, &columns).map(|bytes| String::from_utf8(bytes).expect("UTF-8"))
    }

    #[test]
    fn the_file_is_as_the_seeds_import_takes_it() {
        let files = [
            layer_file("library/redis", "latest", 17, 177_586_452),
            layer_file("library/busybox", "latest", 2, 1_112_820),
            layer_file("library/busybox", "1.24", 2, 5),
            layer_file("library/empty", "latest", 0, 0),
        ];
        assert_eq!(
            made(&files, DEFAULT).expect("made"),
            "repo,tag,layer_count,layer_size,\nlibrary/busybox,1.24,2,5,\nlibrary/busybox,latest,2,1112820,\n\
             library/redis,latest,17,177586452,\n"
        );
    }

    #[test]
    fn columns_choose_and_order() {
        let files = [layer_file("a", "b", 1, 9)];
        assert_eq!(made(&files, &["layer_size", "repo"]).expect("made"), "layer_size,repo,\n9,a,\n");
    }

    #[test]
    fn a_file_that_is_no_layer_file_is_named() {
        let failure = made(&["not json".to_owned()], DEFAULT).expect_err("fails");
        assert!(failure.message.starts_with("0.json is not a layer file"), "{}", failure.message);
    }
}
