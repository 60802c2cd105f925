//! `fillbook record`: a bot's events, as lines of JSON, until its input ends.

use std::collections::VecDeque;

use reconciler::{Answer, ClientIdScheme, EventRecorder, spool_of};
use serde_json::json;

use super::bot_files::{Files, LOOK_EVERY};
use crate::Context;
use crate::args::RecordArgs;
use crate::error::{CommandError, ExitCode};
use crate::input::{InputLine, LINE_BYTES_MAX};
use crate::wiring::{Interruption, open_for_recording};

/// The version of the protocol that the schema describes.
const PROTOCOL: u32 = 1;

/// The events and answers, with an example of each event.
const SCHEMA: &str = include_str!("../../docs/record.schema.json");

#[derive(Debug, thiserror::Error)]
#[error("standard input cannot be read")]
struct InputFailed(#[source] std::io::Error);

/// Records events until the input ends or a signal comes.
///
/// # Errors
/// When there is no book or account, or a stream fails. What is wrong with a line, and a book that cannot be written at the
/// moment, are answers.
pub async fn run(args: &RecordArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    if args.schema {
        context.output.line(SCHEMA.trim_end())?;
        return Ok(ExitCode::Fine);
    }
    let account = context.settings.account.clone();
    let store = open_for_recording(&context.settings)?;
    super::check_account(store.as_ref(), &account).await?;
    let mut recorder = EventRecorder::open(store, account.clone(), context.clock.clone())
        .await?
        .wording_ids(schemes(args, context))
        .with_freshness(context.settings.freshness)
        .with_spool(spool_of(&context.settings.db));
    if let Some(skew_ms) = args.clock_skew_ms {
        recorder = recorder.with_clock_skew(skew_ms);
    }
    let mut interruption = Interruption::listen()?;
    let version = env!("CARGO_PKG_VERSION");
    context.output.json(&json!({ "fillbook": version, "protocol": PROTOCOL, "account": account.as_str() }))?;
    context.output.flush()?;
    let mut lines = context.input.lines()?;
    let zone = context.output.zone.time_zone().clone();
    let mut files = Files::new(args.entry_events.clone(), args.state.clone(), zone);
    files.look(&recorder, context).await;
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut reading = Reading { number: 0, code: ExitCode::Fine, waiting: VecDeque::new(), failure: None };
    // Waited for in one piece: a signal that comes while a line is recorded must not be lost.
    let interrupted = interruption.wait();
    tokio::pin!(interrupted);
    loop {
        let line = tokio::select! {
            biased;
            () = &mut interrupted, if reading.code == ExitCode::Fine => {
                // Lines that were read are still answered. The writer keeps those that were not.
                lines.close();
                reading.code = ExitCode::Interrupted;
                continue;
            }
            _ = tick.tick(), if !files.is_empty() => {
                files.look(&recorder, context).await;
                continue;
            }
            line = lines.recv() => line,
        };
        let Some(line) = line else {
            files.look(&recorder, context).await;
            return Ok(reading.code);
        };
        // What waits already is recorded together: one flush to disk for all of it.
        let mut next = Some(line);
        while let Some(line) = next {
            let refused = reading.take(line, context);
            if let Some(refused) = refused {
                // Answers keep the order of the lines.
                reading.answer(&mut recorder, context).await?;
                context.output.json(&refused.to_json())?;
            }
            next = if reading.waiting.len() < TOGETHER_MAX { lines.try_recv().ok() } else { None };
        }
        reading.answer(&mut recorder, context).await?;
        context.output.flush()?;
        if let Some(error) = reading.failure {
            return Err(CommandError::new(ExitCode::Error, InputFailed(error)));
        }
    }
}

/// How many lines are taken together at most.
const TOGETHER_MAX: usize = 256;

/// What was read and waits for its answer.
struct Reading {
    /// How many lines were read.
    number: u64,
    code: ExitCode,
    waiting: VecDeque<(u64, String)>,
    failure: Option<std::io::Error>,
}

impl Reading {
    /// Takes a line; one that cannot be recorded is answered at once, behind those that wait.
    fn take(&mut self, line: InputLine, context: &Context) -> Option<Answer> {
        self.number += 1;
        match line {
            InputLine::Text(text) => {
                let text = context.output.secrets().redacted(&text).into_owned();
                self.waiting.push_back((self.number, text));
                None
            }
            InputLine::TooLong => Some(Answer::refused(
                self.number,
                &format!("the line has more than {LINE_BYTES_MAX} bytes"),
                "leave out what is not needed, such as the `trades` of an order, and give these as events of their own",
            )),
            InputLine::NotText => Some(Answer::refused(self.number, "the line is no UTF-8", "write lines in UTF-8")),
            InputLine::Failed(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    /// Records and answers what waits.
    async fn answer(&mut self, recorder: &mut EventRecorder, context: &mut Context) -> Result<(), CommandError> {
        while !self.waiting.is_empty() {
            for answer in recorder.lines(&mut self.waiting).await {
                context.output.json(&answer.to_json())?;
            }
            context.output.flush()?;
        }
        Ok(())
    }
}

/// How the bot words its ids: as the command line says, else the configuration.
fn schemes(args: &RecordArgs, context: &Context) -> Vec<ClientIdScheme> {
    let ids = context.settings.ids();
    if args.client_ids.is_empty() {
        return ids.schemes.clone();
    }
    args.client_ids.iter().map(|scheme| scheme.clone().with_engines(ids.engines.clone())).collect()
}
