//! The images that ship with the project in `etc/sample`: small, but built as the ones on Docker Hub are, with the names
//! that its users know.

use super::images::{Format, Image, Manifest};

/// Every tag (`REPO:TAG`) and the manifest that it points at.
pub fn images() -> Vec<(String, Manifest)> {
    let mut images = Vec::new();
    let mut tag = |repo: &str, tags: &[&str], manifest: &Manifest| {
        images.extend(tags.iter().map(|tag| (format!("library/{repo}:{tag}"), manifest.clone())));
    };

    // One layer and one entry without files, as the busybox that the first users of these statistics counted.
    tag("busybox", &["latest", "1", "1.36"], &busybox("1.36.1", "2024-05-18T23:00:00Z").manifest(Format::Oci));
    tag("busybox", &["1.35"], &busybox("1.35.0", "2023-05-19T20:19:22Z").manifest(Format::Oci));

    let alpine = alpine("3.20.3", "2024-09-06T22:20:07Z");
    tag("alpine", &["latest", "3", "3.20"], &alpine.manifest(Format::Oci));
    tag("alpine", &["3.19"], &self::alpine("3.19.4", "2024-09-06T22:20:08Z").manifest(Format::Oci));

    // A child of an image that is here under its own name; Docker's media types.
    tag("registry", &["latest", "2", "2.8"], &registry(&alpine).manifest(Format::Docker));

    // Children of a base that is not.
    let debian = debian("amd64");
    let nginx = |version, created| {
        let [amd64, arm64] = ["amd64", "arm64"]
            .map(|architecture| nginx(&self::debian(architecture), version, created).manifest(Format::Oci));
        Manifest::index(Format::Oci, &[&amd64, &arm64], true, "")
    };
    tag("nginx", &["latest", "1", "1.27"], &nginx("1.27.2", "2024-10-02T17:55:35Z"));
    tag("nginx", &["1.26"], &self::nginx(&debian, "1.26.2", "2024-08-14T21:31:12Z").manifest(Format::Oci));
    tag("redis", &["latest", "7", "7.4"], &redis(&debian, "7.4.1", "2024-10-02T20:07:48Z").manifest(Format::Oci));
    tag("redis", &["6"], &redis(&debian, "6.2.16", "2024-10-02T20:07:49Z").manifest(Format::Oci));
    tag("postgres", &["latest", "17"], &postgres(&debian, "17.0", "2024-09-26T18:15:29Z").manifest(Format::Oci));
    tag("postgres", &["16"], &postgres(&debian, "16.4", "2024-09-26T18:15:30Z").manifest(Format::Oci));

    // Grandchildren. python has no tag `latest`; node has one on another base.
    let buildpack = buildpack(&debian);
    tag("python", &["3", "3.13"], &python(&buildpack, "3.13.0", "2024-10-08T01:12:09Z").manifest(Format::Oci));
    tag("python", &["3.12"], &python(&buildpack, "3.12.7", "2024-10-01T18:03:14Z").manifest(Format::Oci));
    tag("node", &["latest", "22"], &node(&buildpack, "22.9.0", "2024-09-17T22:06:42Z").manifest(Format::Oci));
    tag("node", &["20"], &node(&buildpack, "20.18.0", "2024-10-03T16:46:01Z").manifest(Format::Oci));
    tag("node", &["22-alpine"], &node(&alpine, "22.9.0", "2024-09-17T22:06:42Z").manifest(Format::Oci));

    images
}

fn busybox(version: &str, created: &str) -> Image {
    Image::scratch("amd64", created)
        .add(&format!("BusyBox {version} (glibc), Debian 12"), &[("bin/busybox", 1450), ("etc/passwd", 180)])
        .cmd(&["sh"])
}

fn alpine(version: &str, created: &str) -> Image {
    Image::scratch("amd64", created)
        .add(
            &format!("/bin/sh -c #(nop) ADD file:alpine-minirootfs-{version}-x86_64.tar.gz in / "),
            &[("bin/busybox", 1100), ("lib/ld-musl-x86_64.so.1", 820), ("etc/apk/world", 40)],
        )
        .cmd(&["/bin/sh"])
}

/// The base of most of the others.
fn debian(architecture: &'static str) -> Image {
    Image::scratch(architecture, "2024-09-27T00:00:00Z")
        .add(
            "/bin/sh -c #(nop) ADD file:debian-bookworm-slim in / ",
            &[("usr/bin/bash", 1700), ("usr/lib/libc.so.6", 2400), ("etc/debian_version", 5), ("usr/bin/apt-get", 600)],
        )
        .cmd(&["bash"])
}

/// The base of those that compile things.
fn buildpack(debian: &Image) -> Image {
    debian
        .child("2024-09-27T04:31:44Z")
        .add(
            "RUN /bin/sh -c set -eux; apt-get update; apt-get install -y ca-certificates curl # buildkit",
            &[("usr/bin/curl", 900), ("etc/ssl/certs/ca-certificates.crt", 1300)],
        )
        .add(
            "RUN /bin/sh -c set -ex; apt-get install -y gcc make # buildkit",
            &[("usr/bin/gcc", 3100), ("usr/bin/make", 700)],
        )
}

fn nginx(debian: &Image, version: &str, created: &str) -> Image {
    debian
        .child(created)
        .note("LABEL maintainer=NGINX Docker Maintainers")
        .env("NGINX_VERSION", version)
        .add(
            &format!("RUN /bin/sh -c set -x && apt-get install -y nginx={version} # buildkit"),
            &[("usr/sbin/nginx", 2600), ("etc/nginx/nginx.conf", 640)],
        )
        .add("COPY docker-entrypoint.sh / # buildkit", &[("docker-entrypoint.sh", 330)])
        .entrypoint(&["/docker-entrypoint.sh"])
        .expose("80/tcp")
        .note("STOPSIGNAL SIGQUIT")
        .cmd(&["nginx", "-g", "daemon off;"])
}

fn redis(debian: &Image, version: &str, created: &str) -> Image {
    debian
        .child(created)
        .add("RUN /bin/sh -c set -eux; groupadd -r -g 999 redis # buildkit", &[("etc/group", 220), ("etc/passwd", 410)])
        .env("REDIS_VERSION", version)
        .add(
            &format!("RUN /bin/sh -c set -eux; make -C redis-{version} install # buildkit"),
            &[("usr/bin/redis-server", 2900)],
        )
        .note("VOLUME [/data]")
        .note("WORKDIR /data")
        .add("COPY docker-entrypoint.sh /usr/local/bin/ # buildkit", &[("usr/local/bin/docker-entrypoint.sh", 290)])
        .entrypoint(&["docker-entrypoint.sh"])
        .expose("6379/tcp")
        .cmd(&["redis-server"])
}

fn postgres(debian: &Image, version: &str, created: &str) -> Image {
    debian
        .child(created)
        .add(
            "RUN /bin/sh -c set -eux; groupadd -r postgres --gid=999 # buildkit",
            &[("etc/group", 230), ("etc/passwd", 420)],
        )
        .env("PG_VERSION", version)
        .add(
            &format!("RUN /bin/sh -c set -ex; apt-get install -y postgresql={version} # buildkit"),
            &[("usr/lib/postgresql/bin/postgres", 4200), ("usr/lib/postgresql/bin/psql", 1200)],
        )
        .env("PGDATA", "/var/lib/postgresql/data")
        .note("VOLUME [/var/lib/postgresql/data]")
        .add("COPY docker-entrypoint.sh /usr/local/bin/ # buildkit", &[("usr/local/bin/docker-entrypoint.sh", 510)])
        .entrypoint(&["docker-entrypoint.sh"])
        .note("STOPSIGNAL SIGINT")
        .expose("5432/tcp")
        .cmd(&["postgres"])
}

fn python(buildpack: &Image, version: &str, created: &str) -> Image {
    buildpack
        .child(created)
        .env("PATH", "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("PYTHON_VERSION", version)
        .add(
            &format!("RUN /bin/sh -c set -eux; ./configure; make install Python-{version} # buildkit"),
            &[("usr/local/bin/python3", 2300), ("usr/local/lib/libpython3.so", 3300)],
        )
        .add("RUN /bin/sh -c ln -svT python3 /usr/local/bin/python # buildkit", &[("usr/local/bin/python", 40)])
        .cmd(&["python3"])
}

fn node(base: &Image, version: &str, created: &str) -> Image {
    base.child(created)
        .add("RUN /bin/sh -c groupadd --gid 1000 node # buildkit", &[("etc/group", 240)])
        .env("NODE_VERSION", version)
        .add(
            &format!("RUN /bin/sh -c set -ex; curl node-v{version} | tar -x # buildkit"),
            &[("usr/local/bin/node", 4600)],
        )
        .add("COPY docker-entrypoint.sh /usr/local/bin/ # buildkit", &[("usr/local/bin/docker-entrypoint.sh", 160)])
        .entrypoint(&["docker-entrypoint.sh"])
        .cmd(&["node"])
}

fn registry(alpine: &Image) -> Image {
    alpine
        .child("2023-10-02T20:01:13Z")
        .add(
            "RUN /bin/sh -c apk add --no-cache ca-certificates # buildkit",
            &[("etc/ssl/certs/ca-certificates.crt", 1300)],
        )
        .add("RUN /bin/sh -c set -eux; tar -xf registry-2.8.3.tar.gz # buildkit", &[("bin/registry", 3700)])
        .add(
            "COPY ./config-example.yml /etc/docker/registry/config.yml # buildkit",
            &[("etc/docker/registry/config.yml", 270)],
        )
        .note("VOLUME [/var/lib/registry]")
        .expose("5000/tcp")
        .entrypoint(&["/entrypoint.sh"])
        .cmd(&["/etc/docker/registry/config.yml"])
}
