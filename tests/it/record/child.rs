//! A `fillbook record` at work.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ChildStdin, ChildStdout, Stdio};

use serde_json::Value;

use crate::support::Sandbox;

pub(super) struct Child {
    pub(super) process: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Begins to record, and has read the greeting.
    #[track_caller]
    pub(super) fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        Self::start_as(sandbox, "main", args)
    }

    /// The same, for an account.
    #[track_caller]
    pub(super) fn start_as(sandbox: &Sandbox, account: &str, args: &[&str]) -> Self {
        let mut command = sandbox.prepared(&[&["record", "--account", account], args].concat(), &[]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        let mut child = Self { process, input, output };
        let greeting = child.answer().unwrap();
        assert_eq!((&greeting["protocol"], &greeting["account"]), (&1.into(), &account.into()), "{greeting}");
        child
    }

    /// Writes lines; whoever reads them may be gone.
    pub(super) fn write(&mut self, lines: &str) -> std::io::Result<()> {
        self.write_as_it_is(&format!("{lines}\n"))
    }

    /// Writes text that may end within a line.
    pub(super) fn write_as_it_is(&mut self, text: &str) -> std::io::Result<()> {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes())?;
        input.flush()
    }

    /// The next whole line of its output, if there is one.
    pub(super) fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        line.ends_with('\n').then(|| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")))
    }

    /// Writes a line and reads its answer.
    #[track_caller]
    pub(super) fn ask(&mut self, line: &Value) -> Value {
        self.write(&line.to_string()).unwrap();
        self.answer().unwrap()
    }

    /// Ends its input and waits. Answers the exit code, the answers that were still to come, and standard error.
    pub(super) fn finish(mut self) -> (Option<i32>, Vec<Value>, String) {
        self.input = None;
        self.ended()
    }

    /// Waits until it ends, as [`finish`](Self::finish) does, while its input stays open.
    pub(super) fn ended(mut self) -> (Option<i32>, Vec<Value>, String) {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer() {
            answers.push(answer);
        }
        let status = self.process.wait().unwrap();
        let mut stderr = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (status.code(), answers, stderr)
    }
}
