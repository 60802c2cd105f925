#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod args;
pub mod commands;
pub mod config;
pub mod error;
pub mod input;
mod misplaced;
pub mod output;
mod time_spans;
pub mod times;
mod wiring;

use std::ffi::OsString;
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use exchange_client::files::Zone;
use exchange_client::{Clock, without_keys};

use crate::args::{Cli, Command, GlobalArgs};
use crate::commands::reconcile::Mode;
use crate::config::Settings;
use crate::error::{CommandError, ExitCode};
use crate::input::Input;
use crate::output::{Detail, Format, Missing, Output, Queue, Screen};

/// What a command works with.
#[derive(Debug)]
pub struct Context {
    /// The settings in force.
    pub settings: Settings,
    /// Where output goes.
    pub output: Output,
    /// Standard input, for the one command that reads it.
    pub input: Input,
    /// The local clock.
    pub clock: Arc<dyn Clock>,
    /// How this program was called: what a line to be pasted begins with.
    pub program: String,
}

/// Runs the command line of this process and answers its exit code.
pub fn main() -> std::process::ExitCode {
    let (is_terminal, live) = wiring::are_terminals();
    let secrets = wiring::secrets_of_environment();
    let surroundings = Surroundings {
        stdin: wiring::standard_input(),
        stdout: wiring::standard_output(&secrets),
        stderr: wiring::standard_error(&secrets),
        live,
        width: Some(wiring::terminal_width(is_terminal)),
        clock: wiring::system_clock(),
        zone_variable: wiring::zone_variable(),
    };
    let code = run(std::env::args_os(), surroundings);
    std::process::ExitCode::from(code.as_u8())
}

/// The machine gave no runtime to work in.
#[derive(Debug, thiserror::Error)]
#[error("the asynchronous runtime cannot be started")]
struct RuntimeFailed(#[source] std::io::Error);

/// What surrounds a command: its streams and its clock.
pub struct Surroundings {
    /// Standard input.
    pub stdin: Input,
    /// Standard output.
    pub stdout: Screen,
    /// Standard error.
    /// It shares what must not be repeated with standard output.
    pub stderr: Screen,
    /// Whether standard error is a terminal, so that progress can be shown.
    pub live: bool,
    /// How wide tables may be; `None` when nothing limits them.
    pub width: Option<u16>,
    /// The local clock.
    pub clock: Arc<dyn Clock>,
    /// The value of `FILLBOOK_TZ`.
    pub zone_variable: Option<String>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("live", &self.live).field("width", &self.width).finish_non_exhaustive()
    }
}

/// Runs a command line.
pub fn run(args: impl IntoIterator<Item = OsString>, surroundings: Surroundings) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = called_as(args.first());
    let Surroundings { stdin, mut stdout, mut stderr, live, width, clock, zone_variable } = surroundings;
    let secrets = stdout.secrets().clone();
    let found = misplaced::refuse_in_words(&args, &secrets)
        .and_then(|()| misplaced::refuse_in_variables(&wiring::plain_variables(), &secrets));
    if let Err(error) = found {
        let format = if args.iter().any(|word| word == "--json") { Format::Json } else { Format::Table };
        let _ = stderr.line(&told(&error, format));
        return error.exit_code;
    }
    let words = args.clone();
    let parsed = Cli::command().try_get_matches_from(args);
    let cli = match parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, db_is_flag(&matches)))) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors and go to standard output; clap knows which is which.
            // Without colours: a complaint repeats what it complains about, and that may be a key.
            let text = error.render().to_string();
            return if error.use_stderr() {
                let _ = stderr.text(&without_keys(&text));
                ExitCode::Usage
            } else if stdout.text(&text).and_then(|()| stdout.flush()).is_ok() {
                ExitCode::Fine
            } else {
                ExitCode::Error
            };
        }
    };
    let (cli, db_is_flag) = cli;
    let settings = config::settings(&cli.global, db_is_flag, zone_variable.as_deref()).and_then(|settings| {
        wiring::learn_credentials(&settings, &secrets);
        misplaced::refuse_in_words(&words, &secrets)?;
        misplaced::refuse_in_settings(&settings, &secrets)?;
        Ok(settings)
    });
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            // Of what was to be read as settings anything may be a key.
            let told = without_keys(&told(&error, format(&cli.global)));
            let _ = stderr.line(&told);
            return error.exit_code;
        }
    };
    // A recorder waits for nobody who reads what it says.
    let mut queues = Queues::default();
    if matches!(cli.command, Command::Watch(_)) {
        let format = format(&cli.global);
        match queues.put_before(stdout, stderr, format) {
            Ok((out, err)) => (stdout, stderr) = (out, err),
            // Without a thread there is no watching either.
            Err(_) => return ExitCode::Error,
        }
    }
    wiring::init_tracing(cli.global.verbose, &secrets, queues.err());
    let zone = settings.zone.clone().unwrap_or_else(Zone::utc);
    let mut output = Output::new(format(&cli.global), zone, stdout, stderr);
    output.quiet = cli.global.quiet;
    if cli.global.verbose > 0 {
        output.detail = Detail::Each;
    }
    output.live = live;
    output.width = width;
    let mut context = Context { settings, output, input: stdin, clock, program };
    let runtime = match wiring::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = CommandError::new(ExitCode::Error, RuntimeFailed(error));
            let told = told(&error, context.output.format);
            context.output.complain(&told);
            return error.exit_code;
        }
    };
    let result = runtime.block_on(dispatch(cli.command, &mut context));
    let result = result.and_then(|code| match context.output.flush().map_err(CommandError::from) {
        Ok(()) => Ok(code),
        // What the command found out counts, even when nobody reads it any more.
        Err(error) if error.broken_pipe => Ok(code),
        // Whose terminal has ended has no output any more.
        Err(_) if code == ExitCode::Interrupted => Ok(code),
        Err(error) => Err(error),
    });
    match result {
        Ok(code) => code,
        Err(error) if error.broken_pipe => ExitCode::Fine,
        Err(error) => {
            // What was printed before the error stays visible.
            let _ = context.output.flush();
            let told = told(&error, context.output.format);
            context.output.complain(&told);
            error.exit_code
        }
    }
}

/// What waits to be read, of a command that waits for no reader. When it goes, it waits a moment for one who reads.
#[derive(Default)]
struct Queues(Option<[Queue; 2]>);

impl Queues {
    fn put_before(&mut self, stdout: Screen, stderr: Screen, format: Format) -> std::io::Result<(Screen, Screen)> {
        let words: Missing = |count| format!("{count} lines are left out: nobody read in time");
        let object: Missing =
            |count| serde_json::json!({ "schema": "fillbook.watch.missing/1", "lines": count }).to_string();
        let (stdout, out) = stdout.behind_queue(if format == Format::Json { object } else { words })?;
        let (stderr, err) = stderr.behind_queue(words)?;
        self.0 = Some([out, err]);
        Ok((stdout, stderr))
    }

    fn err(&self) -> Option<Queue> {
        self.0.as_ref().map(|[_, err]| err.beside())
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.0.iter().flatten().for_each(Queue::settle);
    }
}

/// How to call this program again: by its path where it was called by one, else by its name.
fn called_as(first: Option<&OsString>) -> String {
    let path = first.and_then(|first| first.to_str()).filter(|path| path.contains(std::path::MAIN_SEPARATOR));
    path.map_or_else(|| "fillbook".to_owned(), quoted)
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+:@%=".contains(letter);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// An error as standard error tells it: to a person as a story, to a program as an object on one line.
fn told(error: &CommandError, format: Format) -> String {
    if format != Format::Json {
        return error.to_string();
    }
    let mut object = error.as_json();
    object.insert("schema".to_owned(), "fillbook.error/1".into());
    serde_json::Value::from(object).to_string()
}

/// Whether the book was named on the command line itself.
fn db_is_flag(matches: &ArgMatches) -> bool {
    matches.value_source("db") == Some(ValueSource::CommandLine)
        || matches.subcommand().is_some_and(|(_, matches)| db_is_flag(matches))
}

fn format(args: &GlobalArgs) -> Format {
    if args.json {
        Format::Json
    } else if args.csv {
        Format::Csv
    } else {
        Format::Table
    }
}

async fn dispatch(command: Command, context: &mut Context) -> Result<ExitCode, CommandError> {
    match command {
        Command::Demo(args) => commands::demo::run(&args, context).await,
        Command::Init(args) => commands::init::run(&args, context).await,
        Command::Import(args) => commands::import::run(&args, context).await,
        Command::Sync(args) => Box::pin(commands::reconcile::run(Mode::Sync, &args, context)).await,
        Command::Audit(args) => Box::pin(commands::reconcile::run(Mode::Audit, &args, context)).await,
        Command::Watch(args) => Box::pin(commands::watch::run(&args, context)).await,
        Command::Tell(args) => commands::tell::run(&args, context).await,
        Command::Record(args) => commands::record::run(&args, context).await,
        Command::Gate(args) => commands::gate::run(&args, context).await,
        Command::Status => commands::status::run(context).await,
        Command::Signals(args) => commands::signals::run(&args, context).await,
        Command::Intents(args) => commands::intents::run(&args, context).await,
        Command::Orders(args) => commands::orders::run(&args, context).await,
        Command::Fills(args) => commands::fills::run(&args, context).await,
        Command::Cancels(args) => commands::cancels::run(&args, context).await,
        Command::Positions(args) => commands::positions::run(&args, context).await,
        Command::Trips(args) => commands::trips::run(&args, context).await,
        Command::Income(args) => commands::income::run(&args, context).await,
        Command::Report(args) => commands::report::run(&args, context).await,
        Command::Verify => commands::verify::run(context).await,
        Command::Runs(args) => commands::runs::run(&args, context).await,
        Command::Repairs(args) => commands::repairs::run(&args, context).await,
        Command::Discrepancies(args) => commands::discrepancies::run(&args, context).await,
        Command::Rebuild => commands::rebuild::run(context).await,
        Command::Simulator(args) => commands::simulator::run(&args, context).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_to_be_pasted_calls_the_program_as_it_was_called() {
        for (first, told) in [
            (Some("fillbook"), "fillbook"),
            (Some("target/release/fillbook"), "target/release/fillbook"),
            (Some("/home/me/my tools/fill'book"), r"'/home/me/my tools/fill'\''book'"),
            (None, "fillbook"),
        ] {
            assert_eq!(called_as(first.map(OsString::from).as_ref()), told);
        }
    }
}
