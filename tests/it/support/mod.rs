//! Runs the real binary in an empty folder of its own.

mod exchange;
mod parrot;
mod proxy;
mod signal;
mod simulated;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) use exchange::Exchange;
pub(crate) use parrot::{Asked, Habit, Parrot, response};
pub(crate) use proxy::Proxy;
pub(crate) use signal::{Signal, send};
pub(crate) use simulated::simulated;

/// A folder with a book, gone at the end of the test.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

/// What a run printed and how it ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Checks the exit code and passes on.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The JSON lines of standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
            .collect()
    }

    /// Everything, for snapshots.
    pub(crate) fn transcript(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Sandbox {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A folder with an empty book.
    pub(crate) fn with_book(init: &[&str]) -> Self {
        let sandbox = Self::empty();
        sandbox.run(&[&["init"], init].concat()).exits(0);
        sandbox
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Changes the book's file by hand.
    pub(crate) fn tamper(&self, statements: &str) {
        use diesel::connection::SimpleConnection as _;
        use diesel::{Connection as _, SqliteConnection};
        let path = self.path().join("fillbook.db");
        let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        connection.batch_execute(statements).unwrap();
    }

    /// Every file there with its bytes.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        files
            .map(|file| (file.file_name().to_string_lossy().into_owned(), std::fs::read(file.path()).unwrap()))
            .collect()
    }

    /// Runs the command line there.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.command(args, &[])
    }

    /// The command line there. Of the caller's environment it sees nothing that it would heed: our own variables, the
    /// width and colours of a terminal, the folder of a service's credentials.
    pub(crate) fn prepared(&self, args: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fillbook-under-test"));
        // As somebody calls it who has it installed.
        std::os::unix::process::CommandExt::arg0(&mut command, "fillbook");
        command.current_dir(self.path()).args(args);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("FILLBOOK_") || ["COLUMNS", "NO_COLOR", "CREDENTIALS_DIRECTORY"].contains(&&*text) {
                command.env_remove(name);
            }
        }
        command.envs(environment.iter().copied());
        command
    }

    /// Runs the command line there, with environment variables.
    pub(crate) fn command(&self, args: &[&str], environment: &[(&str, &str)]) -> Run {
        let Output { status, stdout, stderr } = self.prepared(args, environment).output().unwrap();
        Run {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }
}

/// A file of `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    assert!(path.exists(), "no fixture {}", path.display());
    path.to_str().unwrap().to_owned()
}
