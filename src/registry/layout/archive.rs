//! Archives: a tar of an OCI image layout, or what `docker save` writes. Read in place, nothing is unpacked.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::registry::image::counter::compression;
use crate::registry::words::{self, misread, shown};
use crate::store::Sha256;

/// More files than any archive of images has.
const ENTRIES_MAX: usize = 1_000_000;
/// Links of links that are followed.
const LINKS_MAX: usize = 8;

/// A tar file and where its entries are.
#[derive(Debug)]
pub struct Archive {
    file: File,
    entries: HashMap<String, Entry>,
}

#[derive(Debug)]
enum Entry {
    File(Place),
    /// To the path of another entry. Old Dockers link layers that are the same.
    Link(String),
}

/// An image of a `docker save` archive.
#[derive(Debug)]
pub struct Saved {
    /// `REPO:TAG`, as Docker writes it.
    pub names: Vec<String>,
    /// The manifest that the archive does not have, made for it.
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    /// By digest, where its layers are.
    pub layers: Vec<(Sha256, Place)>,
}

/// Where an entry is in the file.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub offset: u64,
    pub size: u64,
}

impl Archive {
    /// Reads where the entries are. The error is in words.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|e| e.to_string())?;
        let mut magic = [0; 6];
        let read = file.read_at(&mut magic, 0).map_err(|e| e.to_string())?;
        if let Some(tool) = compression(&magic[..read]) {
            return Err(format!("a compressed archive: expected a plain tar, which `{tool} -d` makes of it"));
        }
        let entries = scan(&file).map_err(|e| format!("cannot be read as a tar ({e})"))?;
        Ok(Self { file, entries })
    }

    /// Whether there is an entry of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The content of an entry; `None` where there is none of this name. One of more than `limit` bytes is an error.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
        let Some(Place { offset, size }) = self.find(name) else { return Ok(None) };
        if size > limit {
            return Err(format!(
                "`{}` in it has {size} bytes, more than the {} that are the most",
                shown(name),
                words::size(limit)
            ));
        }
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, offset).map_err(|e| format!("`{}` in it: {e}", shown(name)))?;
        Ok(Some(bytes))
    }

    /// The file itself, to read entries from their places.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// The images of a `docker save` archive; `None` where it is none. `limit` bounds what is read of each.
    pub fn saved(&self, limit: u64) -> Result<Option<Vec<Saved>>, String> {
        let Some(list) = self.read("manifest.json", limit)? else { return Ok(None) };
        let list: Vec<SavedEntry> = serde_json::from_slice(&list)
            .map_err(|e| format!("`manifest.json` in it cannot be read ({})", misread(&e)))?;
        list.iter().map(|entry| self.saved_image(entry, limit)).collect::<Result<_, _>>().map(Some)
    }

    fn saved_image(&self, entry: &SavedEntry, limit: u64) -> Result<Saved, String> {
        let config = self.read(&entry.config, limit)?.ok_or_else(|| lacks(&entry.config))?;
        let read: SavedConfig = serde_json::from_slice(&config).map_err(|e| {
            format!("`{}` in it cannot be read as an image config ({})", shown(&entry.config), misread(&e))
        })?;
        let diff_ids = read.rootfs.and_then(|r| r.diff_ids).unwrap_or_default();
        let layers = entry.layers.iter().flatten().enumerate();
        let layers = layers.map(|(i, name)| self.layer(name, diff_ids.get(i))).collect::<Result<Vec<_>, _>>()?;
        let (layers, places): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
        let manifest = Manifest {
            schema_version: 2,
            media_type: "application/vnd.docker.distribution.manifest.v2+json",
            config: Descriptor {
                media_type: "application/vnd.docker.container.image.v1+json",
                size: config.len() as u64,
                digest: Sha256::of(&config).to_string(),
            },
            layers,
        };
        let manifest = serde_json::to_vec(&manifest).expect("strings and numbers only");
        Ok(Saved { names: entry.repo_tags.clone().unwrap_or_default(), manifest, config, layers: places })
    }

    /// A layer as a manifest names it. One that is not compressed has its `diff_id` for a digest: no need to read it.
    fn layer(&self, name: &str, diff_id: Option<&String>) -> Result<(Descriptor, (Sha256, Place)), String> {
        let Place { offset, size } = self.find(name).ok_or_else(|| lacks(name))?;
        let mut magic = [0; 6];
        let read = self.file.read_at(&mut magic[..size.min(6) as usize], offset).map_err(|e| e.to_string())?;
        let media_type = match compression(&magic[..read]) {
            None => "application/vnd.docker.image.rootfs.diff.tar",
            Some("gzip") => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Some(_) => "application/vnd.docker.image.rootfs.diff.tar.zstd",
        };
        let digest = match diff_id.map(|d| d.parse::<Sha256>()) {
            Some(Ok(diff_id)) if media_type.ends_with(".tar") => diff_id,
            _ => self.hash(offset, size).map_err(|e| format!("`{}` in it: {e}", shown(name)))?,
        };
        Ok((Descriptor { media_type, size, digest: digest.to_string() }, (digest, Place { offset, size })))
    }

    fn hash(&self, mut offset: u64, mut size: u64) -> io::Result<Sha256> {
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 128 << 10];
        while size > 0 {
            let piece = &mut buffer[..size.min(128 << 10) as usize];
            self.file.read_exact_at(piece, offset)?;
            hasher.update(&*piece);
            offset += piece.len() as u64;
            size -= piece.len() as u64;
        }
        Ok(Sha256(hasher.finalize().into()))
    }

    /// Where an entry is; `None` where there is none of this name.
    pub fn find(&self, name: &str) -> Option<Place> {
        let mut name = name;
        for _ in 0..LINKS_MAX {
            match self.entries.get(name)? {
                Entry::File(place) => return Some(*place),
                Entry::Link(to) => name = to,
            }
        }
        None
    }
}

fn lacks(name: &str) -> String {
    format!("it names `{}`, and does not have it", shown(name))
}

fn scan(file: &File) -> io::Result<HashMap<String, Entry>> {
    let mut archive = tar::Archive::new(file);
    let mut entries = HashMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let kind = entry.header().entry_type();
        let Some(name) = entry.path()?.to_str().map(|n| n.trim_start_matches("./").to_owned()) else { continue };
        let link = || Some(entry.link_name().ok()??.to_str()?.to_owned());
        let found = if kind.is_file() {
            Entry::File(Place { offset: entry.raw_file_position(), size: entry.size() })
        } else if kind.is_symlink() {
            let Some(to) = link() else { continue };
            Entry::Link(beside(&name, &to))
        } else if kind.is_hard_link() {
            let Some(to) = link() else { continue };
            Entry::Link(to.trim_start_matches("./").to_owned())
        } else {
            continue;
        };
        // As tar unpacks it: the last of a name wins.
        entries.insert(name, found);
        if entries.len() > ENTRIES_MAX {
            return Err(io::Error::other("it has too many entries"));
        }
    }
    Ok(entries)
}

/// Where a symbolic link at `name` leads. The names are keys of a table: no path of the disk is touched.
fn beside(name: &str, to: &str) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// An entry of `manifest.json` (moby's `image/tarexport`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct SavedConfig {
    rootfs: Option<SavedRootFs>,
}

#[derive(Deserialize)]
struct SavedRootFs {
    diff_ids: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    size: u64,
    digest: String,
}
