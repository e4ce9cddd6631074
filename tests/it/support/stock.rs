//! What most tests find in their registry, and the pipeline that they build from it: the seed's.

use super::images::{Format, Image, Manifest};
use super::registry::Registry;

/// Two entries, one of them without files.
pub fn busybox() -> Image {
    Image::scratch("amd64", "2024-05-18T23:00:00Z")
        .add("BusyBox 1.36.1 (glibc), Debian 12", &[("bin/busybox", 900)])
        .cmd(&["sh"])
}

/// The base of the two below.
pub fn debian(architecture: &'static str) -> Image {
    Image::scratch(architecture, "2024-09-27T00:00:00Z")
        .add("ADD debian-bookworm-slim", &[("usr/bin/bash", 1500)])
        .cmd(&["bash"])
}

/// Seven entries, three of them with files.
pub fn nginx(architecture: &'static str, version: &str) -> Image {
    debian(architecture)
        .child("2024-10-02T17:55:35Z")
        .env("NGINX_VERSION", version)
        .add(
            &format!("RUN apt-get install nginx={version}"),
            &[("usr/sbin/nginx", 2000), ("etc/nginx/nginx.conf", 300)],
        )
        .add("COPY docker-entrypoint.sh /", &[("docker-entrypoint.sh", 200)])
        .expose("80/tcp")
        .cmd(&["nginx", "-g", "daemon off;"])
}

/// Five entries, two of them with files.
pub fn redis(version: &str) -> Image {
    debian("amd64")
        .child("2024-10-02T20:07:48Z")
        .env("REDIS_VERSION", version)
        .add(&format!("RUN make -C redis-{version} install"), &[("usr/bin/redis-server", 1700)])
        .cmd(&["redis-server"])
}

/// nginx for two platforms; indexes of other notes hold the same images.
pub fn nginx_index(version: &str, note: &str) -> Manifest {
    let images = ["amd64", "arm64"].map(|architecture| nginx(architecture, version).manifest(Format::Oci));
    Manifest::index(Format::Oci, &[&images[0], &images[1]], true, note)
}

/// Something that registries hold and that is no image.
pub fn artifact() -> Manifest {
    Manifest::artifact("application/vnd.example.sbom.v1+json", "{\"packages\":[]}")
}

/// A registry with images of several kinds:
///
/// | tag | what |
/// |---|---|
/// | `library/busybox:latest`, `:1` | OCI, one image |
/// | `library/nginx:latest` | an OCI index of two platforms, with attestations |
/// | `library/nginx:1.26` | OCI |
/// | `library/redis:latest` | Docker schema 2, on nginx's base |
/// | `library/redis:6` | the same |
/// | `library/sbom:latest` | an artifact that is not an image |
pub fn registry() -> Registry {
    let registry = Registry::start();
    let busybox = busybox().manifest(Format::Oci);
    registry.push("library/busybox:latest", &busybox);
    registry.push("library/busybox:1", &busybox);
    registry.push("library/nginx:latest", &nginx_index("1.27.2", ""));
    registry.push("library/nginx:1.26", &nginx("amd64", "1.26.2").manifest(Format::Oci));
    registry.push("library/redis:latest", &redis("7.4.1").manifest(Format::Docker));
    registry.push("library/redis:6", &redis("6.2.16").manifest(Format::Docker));
    registry.push("library/sbom:latest", &artifact());
    registry
}

/// The repositories of [`registry`].
pub const REPOSITORIES: [&str; 4] = ["library/busybox", "library/nginx", "library/redis", "library/sbom"];

/// Every tag of [`registry`] that is an image, as (repository, tag).
pub const IMAGES: [(&str, &str); 6] = [
    ("library/busybox", "1"),
    ("library/busybox", "latest"),
    ("library/nginx", "1.26"),
    ("library/nginx", "latest"),
    ("library/redis", "6"),
    ("library/redis", "latest"),
];

/// The seed's targets over a source at this URL, with the stock's repositories. `stat_layer` counts all tags.
pub fn pipeline(url: &str) -> String {
    pipeline_for(url, &REPOSITORIES)
}

/// The same over other repositories.
pub fn pipeline_for(url: &str, repositories: &[&str]) -> String {
    format!(
        "version: 1
default: [stat_layer]

sources:
  ours: {{kind: registry, url: \"{url}\"}}

targets:
  get_tag:
    rule: tags
    source: ours
    foreach: {{repo: [{}]}}
    output: result/tags/{{repo}}.json

  get_layer_latest:
    rule: layers
    source: ours
    foreach: {{tag: {{from: get_tag, select: latest}}}}
    output: result/layers/{{repo}}/{{tag}}.json

  get_layer_all:
    rule: layers
    source: ours
    foreach: {{tag: {{from: get_tag, select: all}}}}
    output: result/layers/{{repo}}/{{tag}}.json

  stat_layer:
    rule: stat
    inputs: [get_layer_all]
    output: result/stat/stat_layer.csv
",
        repositories.join(", ")
    )
}
