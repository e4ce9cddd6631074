//! What stands before a real registry: passes on what is asked, spoils what is answered, or answers itself.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, Method, Version};
use axum::response::Response;

use super::fault::Seen;
use super::http;

/// What becomes of a request.
pub enum Fate {
    /// The registry's answer, as it is.
    Passed,
    /// This, and the registry is not asked.
    Answered(Response),
    /// The connection is gone before anything is answered.
    Reset,
    /// The registry's answer breaks off in the middle of its body.
    Cut,
    /// One byte of the body is another one.
    Flipped,
    /// Nothing is answered for half a minute.
    Silent,
}

/// Lives as long as the test program.
pub struct Spoiler {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Spoiler {
    /// Before the registry at `registry`; what becomes of each request, `fate` says.
    pub fn of(registry: SocketAddr, fate: impl Fn(&Seen) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, fate) = (Arc::clone(&seen), Arc::new(fate));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (log, fate) = (Arc::clone(&log), Arc::clone(&fate));
                std::thread::spawn(move || serve(&client, registry, &log, &*fate));
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no one panicked").clone()
    }

    /// How many requests so far were for a path that contains this.
    pub fn count(&self, path: &str) -> usize {
        self.seen().iter().filter(|s| s.path.contains(path)).count()
    }
}

/// Serves a connection until either side ends it.
fn serve(
    client: &TcpStream,
    registry: SocketAddr,
    log: &Mutex<Vec<Seen>>,
    fate: &(impl Fn(&Seen) -> Fate + ?Sized),
) -> Option<()> {
    let mut from = BufReader::new(client.try_clone().ok()?);
    loop {
        let asked = read(&mut from)?;
        log.lock().ok()?.push(asked.clone());
        match fate(&asked) {
            Fate::Answered(response) => answer(client, &asked, &received(response), 0)?,
            Fate::Passed => answer(client, &asked, &pass(&asked, registry), 0)?,
            Fate::Cut => {
                let came = pass(&asked, registry);
                return answer(client, &asked, &came, came.body.len().div_ceil(2));
            }
            Fate::Flipped => {
                let mut came = pass(&asked, registry);
                let middle = came.body.len() / 2;
                came.body.get_mut(middle).into_iter().for_each(|byte| *byte ^= 1);
                answer(client, &asked, &came, 0)?;
            }
            Fate::Reset => return reset(client),
            Fate::Silent => {
                client.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
                return from.read(&mut [0]).ok().map(drop);
            }
        }
    }
}

/// Lets the end of the connection be a reset.
fn reset(client: &TcpStream) -> Option<()> {
    client.set_nonblocking(true).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
    let _inside = runtime.enter();
    tokio::net::TcpStream::from_std(client.try_clone().ok()?).ok()?.set_zero_linger().ok()
}

fn read(from: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = || {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|n| *n > 0)?;
        Some(line.trim_end().to_owned())
    };
    let start = line()?;
    let mut words = start.split(' ');
    let method = Method::from_bytes(words.next()?.as_bytes()).ok()?;
    let (path, query) = words.next().map(|target| target.split_once('?').unwrap_or((target, "")))?;
    let mut headers = HeaderMap::new();
    loop {
        let header = line()?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(": ")?;
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, value.parse().ok()?);
    }
    Some(Seen {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: String::new(),
        version: Version::HTTP_11,
        together: 1,
    })
}

/// An answer that can be written.
struct Came {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

fn pass(asked: &Seen, registry: SocketAddr) -> Came {
    let query = if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
    let path = format!("{}{query}", asked.path);
    let came = http::request(registry, asked.method.as_str(), &path, &[("Accept", asked.header("accept"))], b"");
    let kept = ["Content-Type", "Content-Length", "Docker-Content-Digest", "Link"];
    let kept = kept.iter().filter_map(|name| Some(((*name).to_owned(), came.header(name)?.to_owned())));
    Came { status: came.status, headers: kept.collect(), body: came.body }
}

fn received(response: Response) -> Came {
    let (parts, body) = response.into_parts();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let body = runtime.block_on(axum::body::to_bytes(body, 1 << 20)).expect("a small body");
    let text = |(name, value): (&HeaderName, &axum::http::HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().expect("plain headers").to_owned())
    };
    Came { status: parts.status.as_u16(), headers: parts.headers.iter().map(text).collect(), body: body.into() }
}

/// Writes an answer, but for so many bytes at its end.
fn answer(mut to: &TcpStream, asked: &Seen, came: &Came, withheld: usize) -> Option<()> {
    let mut head = format!("HTTP/1.1 {} Thus\r\n", came.status);
    for (name, value) in came.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")) {
        head += &format!("{name}: {value}\r\n");
    }
    // What a HEAD is told of is the body that it does not get.
    let told = came.headers.get("Content-Length").filter(|_| asked.method == Method::HEAD);
    let length = told.cloned().unwrap_or_else(|| came.body.len().to_string());
    head += &format!("Content-Length: {length}\r\n\r\n");
    to.write_all(head.as_bytes()).ok()?;
    if asked.method != Method::HEAD {
        to.write_all(&came.body[..came.body.len() - withheld]).ok()?;
    }
    Some(())
}

/// A share of all requests goes wrong, in one way or another. Which ones is decided by the seed, the request, and how
/// often it came before: not by the order in which requests happen to arrive.
pub struct Faults {
    pub seed: u64,
    pub percent: u64,
    came: Mutex<HashMap<String, u64>>,
}

impl Faults {
    pub fn new(seed: u64, percent: u64) -> Self {
        Self { seed, percent, came: Mutex::default() }
    }

    pub fn fate(&self, asked: &Seen) -> Fate {
        let request = format!("{} {}?{}", asked.method, asked.path, asked.query);
        let before = {
            let mut came = self.came.lock().expect("no one panicked");
            let count = came.entry(request.clone()).or_default();
            *count += 1;
            *count
        };
        let hash = blake3::hash(format!("{}\n{before}\n{request}", self.seed).as_bytes());
        let mut random = fastrand::Rng::with_seed(u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight")));
        if random.u64(..100) >= self.percent {
            return Fate::Passed;
        }
        let has_digest = asked.path.contains("sha256:");
        let ways = if asked.method == Method::HEAD { 4 } else { 5 + usize::from(has_digest) };
        match random.usize(..ways) {
            0 => Fate::Answered(super::fault::error(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN")),
            1 => {
                let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
                Fate::Answered(super::fault::reply(status, &[("Retry-After", "1")], "not now"))
            }
            2 => Fate::Reset,
            3 => Fate::Silent,
            4 => Fate::Cut,
            _ => Fate::Flipped,
        }
    }
}
