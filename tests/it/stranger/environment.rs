//! The Python environment: made once per requirements and interpreter, below the target directory, and used again.
//!
//! Packages are installed by hash, as wheels only, so that nothing but what was reviewed runs here. Several test runs
//! may want the environment at once: one makes it, the others wait.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::process::Command;

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/stranger/requirements.txt");

/// How long the packages may take: some twenty seconds where nothing else runs. pip gives up sooner on a network that
/// swallows everything; this only ends one that trickles.
const INSTALLING: Duration = Duration::from_mins(5);

/// A Python that can import ccxt and the official SDK.
#[derive(Debug)]
pub(crate) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// The environment, made if need be.
    ///
    /// # Errors
    /// What is out of reach: Python, its venv module, or the package index. Packages that are not what they should be
    /// are no such reason: the test fails.
    pub(crate) async fn prepare() -> Result<Self, String> {
        let script = "import sys; print(sys.version); sys.exit(None if sys.version_info >= (3, 11) else 'too old')";
        let version = run(Command::new("python3").args(["-c", script]))
            .await
            .map_err(|error| format!("python3 (3.11 or later) cannot be run: {error}"))?;
        let digest = Sha256::new().chain_update(std::fs::read(REQUIREMENTS).unwrap()).chain_update(version).finalize();
        let name = u64::from_be_bytes(*digest.first_chunk().unwrap());
        let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let environment = Self { folder: below.join(format!("stranger-{name:016x}")) };
        let lock = File::create(below.join("stranger.lock")).unwrap();
        while let Err(error) = lock.try_lock() {
            assert!(matches!(error, TryLockError::WouldBlock), "locking the Python environment: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Written last: an environment without it was interrupted in the making.
        let complete = environment.folder.join("complete");
        if !complete.exists() {
            if environment.folder.exists() {
                std::fs::remove_dir_all(&environment.folder).unwrap();
            }
            let made = tokio::time::timeout(INSTALLING, environment.make()).await;
            made.unwrap_or_else(|_| Err(format!("installing the packages took longer than {INSTALLING:?}")))?;
            std::fs::write(complete, "").unwrap();
        }
        Ok(environment)
    }

    async fn make(&self) -> Result<(), String> {
        let mut venv = Command::new("python3");
        if let Err(error) = run(venv.args(["-m", "venv"]).arg(&self.folder)).await {
            let _half_made = std::fs::remove_dir_all(&self.folder);
            let mut virtualenv = Command::new("virtualenv");
            run(virtualenv.args(["--python", "python3"]).arg(&self.folder))
                .await
                .map_err(|other| format!("neither `python3 -m venv` nor `virtualenv` works: {error}\n{other}"))?;
        }
        let mut pip = self.command();
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"]);
        pip.args([
            "--require-hashes",
            "--only-binary=:all:",
            "--retries=1",
            "--timeout=15",
            "--requirement",
            REQUIREMENTS,
        ]);
        run(&mut pip).await.map(drop).map_err(|error| {
            // These say that the index was reached.
            let reached = ["DO NOT MATCH THE HASHES", "ResolutionImpossible", "hashes are required"];
            assert!(!reached.iter().any(|sign| error.contains(sign)), "installing {REQUIREMENTS}: {error}");
            format!("the packages cannot be installed: {error}")
        })
    }

    /// Runs its Python.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.folder.join("bin/python"));
        command.kill_on_drop(true);
        command
    }
}

/// Whether a machine without Python or package index is a failure.
#[expect(clippy::disallowed_methods, reason = "how much a run of the tests must cover is said by whoever starts it")]
pub(super) fn is_required() -> bool {
    std::env::var_os("FILLBOOK_REQUIRE_STRANGER").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Standard output, or why there is none.
async fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!(
            "{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}
