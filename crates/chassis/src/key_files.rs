//! Key files: who may read and change them, and what is read again when they change, so that keys rotate while the
//! service runs.
//!
//! The kernel tells of a change; a slow look is the safety net where it does not (network file systems), and whoever
//! meets a key that he does not know may ask for a look at once. What cannot be read changes nothing: the service goes on
//! with what it knew, and says so in its log and in `/readyz`.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher as _};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::chain;
use crate::health::Readiness;
use crate::shell::StartError;

/// Safety net, should the kernel not tell.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Unknown keys make us look, but a stream of made-up ones must not become a stream of reads.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Ours are some kilobytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Who may do what to a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// A private key: only its owner may read it. A file that is somebody else's (a mounted secret is root's) may be
    /// read by the group, since the service could not read it otherwise.
    Secret,
    /// A public key: only its owner may change it, or others could put in keys of their own.
    Public,
}

/// One key file of a service.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
    protection: Protection,
}

impl KeyFile {
    /// A private key.
    pub fn secret(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            protection: Protection::Secret,
        }
    }

    /// A public key, or a list of them.
    pub fn public(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            protection: Protection::Public,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn read(&self) -> Result<Zeroizing<Vec<u8>>, StartError> {
        let failed = |source| StartError::File {
            path: self.path.clone(),
            source,
        };
        let file = tokio::fs::File::open(&self.path).await.map_err(failed)?;
        // Of the file that was opened, not of whatever has the name a moment later.
        let metadata = file.metadata().await.map_err(failed)?;
        self.check(&metadata)?;
        let size = usize::try_from(metadata.len().min(MAX_BYTES)).unwrap_or_default();
        // Room from the start: a buffer that grows leaves copies behind that nobody wipes.
        let mut contents = Zeroizing::new(Vec::with_capacity(size + 1));
        file.take(MAX_BYTES)
            .read_to_end(&mut contents)
            .await
            .map_err(failed)?;
        Ok(contents)
    }

    fn check(&self, metadata: &Metadata) -> Result<(), StartError> {
        let (path, mode) = (self.path.clone(), metadata.mode() & 0o7777);
        match self.protection {
            Protection::Secret => {
                let others = if metadata.uid() == own_uid() { 0o077 } else { 0o037 };
                if mode & others == 0 {
                    return Ok(());
                }
                Err(StartError::Exposed { path, mode })
            }
            Protection::Public if mode & 0o022 == 0 => Ok(()),
            Protection::Public => Err(StartError::Changeable { path, mode }),
        }
    }
}

/// The user that the process acts as.
fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// How the files' contents, in the order of the files, become a `T`.
type Parse<T> = Box<dyn Fn(&[Zeroizing<Vec<u8>>]) -> Result<T, StartError> + Send + Sync>;
/// What is wrong with a `T` that was well read. At start it is refused; later it counts, and is complained of.
type Complaint<T> = fn(&T) -> Result<(), StartError>;

/// What key files say, as they are now. Cheap to clone.
pub struct Watched<T>(Arc<Inner<T>>);

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({})", self.0.name)
    }
}

struct Inner<T> {
    name: &'static str,
    files: Vec<KeyFile>,
    parse: Parse<T>,
    complaint: Complaint<T>,
    readiness: Readiness,
    current: RwLock<Arc<T>>,
    looked: Mutex<Looked>,
}

struct Looked {
    at: Instant,
    /// Whether the last look found what was not known before.
    found_new: bool,
    /// Of the contents that were tried last, whether or not they could be used.
    digest: [u8; 32],
    /// Why they cannot be used, as it was said last.
    complaint: Option<String>,
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Read `files` for the first time, and again whenever they change until `stopping`. `name` is what `/readyz` calls
    /// them where they are not fit.
    ///
    /// # Errors
    /// They are not fit now.
    pub(crate) async fn start(
        name: &'static str,
        files: Vec<KeyFile>,
        parse: impl Fn(&[Zeroizing<Vec<u8>>]) -> Result<T, StartError> + Send + Sync + 'static,
        complaint: Complaint<T>,
        readiness: Readiness,
    ) -> Result<Self, StartError> {
        let contents = read(&files).await?;
        let first = parse(&contents)?;
        complaint(&first)?;
        Ok(Self(Arc::new(Inner {
            name,
            looked: Mutex::new(Looked {
                at: Instant::now(),
                found_new: false,
                digest: digest(&contents),
                complaint: None,
            }),
            current: RwLock::new(Arc::new(first)),
            files,
            parse: Box::new(parse),
            complaint,
            readiness,
        })))
    }

    /// As they stand. Ask anew for each piece of work: holding on to the answer holds on to old keys.
    pub fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Look at the files, where nobody did within the last second: somebody showed a key that is not known. Whether
    /// there was something new, then or now.
    pub async fn look_again(&self) -> bool {
        let mut looked = self.0.looked.lock().await;
        if looked.at.elapsed() >= LOOK_PAUSE {
            self.look(&mut looked).await;
        }
        looked.found_new
    }

    async fn look(&self, looked: &mut Looked) {
        looked.at = Instant::now();
        looked.found_new = false;
        let outcome = match read(&self.0.files).await {
            Ok(contents) => {
                let digest = digest(&contents);
                if digest == looked.digest && looked.complaint.is_none() {
                    return;
                }
                looked.digest = digest;
                (self.0.parse)(&contents)
            }
            Err(error) => Err(error),
        };
        looked.found_new = outcome.is_ok();
        let complaint = match outcome {
            Ok(new) => {
                let complaint = (self.0.complaint)(&new);
                *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                complaint
            }
            Err(error) => Err(error),
        };
        self.say(looked, complaint.err().map(|error| chain(&error)));
    }

    /// Each complaint once.
    fn say(&self, looked: &mut Looked, complaint: Option<String>) {
        let name = self.0.name;
        match &complaint {
            None => {
                tracing::info!(keys = name, "read changed key files");
                self.0.readiness.ready(name);
            }
            Some(why) => {
                if looked.complaint.as_ref() != Some(why) {
                    tracing::error!(
                        keys = name,
                        error = why,
                        "key files are not fit; going on with what was known"
                    );
                }
                self.0.readiness.degraded(name, why.clone());
            }
        }
        metrics::gauge!("firstline_key_files_unfit", "keys" => name).set(if complaint.is_some() {
            1.0
        } else {
            0.0
        });
        looked.complaint = complaint;
    }

    /// Look whenever something happens beside the files, until `stopping`.
    pub(crate) async fn keep(self, stopping: CancellationToken) {
        let told = Arc::new(Notify::new());
        // Held: dropped, nobody tells any more.
        let _watcher = self.watcher(&told);
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = told.notified() => {}
                _ = tick.tick() => {}
            }
            let mut looked = self.0.looked.lock().await;
            self.look(&mut looked).await;
        }
    }

    /// Of the directories, not of the files: those are replaced by renaming, and mounted secrets by renaming a link
    /// beside them.
    fn watcher(&self, told: &Arc<Notify>) -> Option<notify::RecommendedWatcher> {
        let told = Arc::clone(told);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading them is an event too, and ours.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                told.notify_one();
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            for directory in self.directories() {
                watcher.watch(&directory, RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        watching
            .map_err(|error| {
                let name = self.0.name;
                tracing::warn!(keys = name, %error, "cannot watch key files; looking at them every {LOOK_EVERY:?}");
            })
            .ok()
    }

    fn directories(&self) -> Vec<PathBuf> {
        let mut directories: Vec<_> = self
            .0
            .files
            .iter()
            .map(|file| match file.path.parent() {
                Some(parent) if parent != Path::new("") => parent.to_owned(),
                _ => PathBuf::from("."),
            })
            .collect();
        directories.sort();
        directories.dedup();
        directories
    }
}

async fn read(files: &[KeyFile]) -> Result<Vec<Zeroizing<Vec<u8>>>, StartError> {
    let mut contents = Vec::with_capacity(files.len());
    for file in files {
        contents.push(file.read().await?);
    }
    Ok(contents)
}

fn digest(contents: &[Zeroizing<Vec<u8>>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for file in contents {
        hash.update(file.len().to_be_bytes());
        hash.update(file);
    }
    hash.finalize().into()
}
