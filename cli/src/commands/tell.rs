//! `fillbook tell`: tries a channel, and shows what waits, was sent or was given up.

use ledger_core::AccountId;
use ledger_store::{Message, MessageState};
use serde_json::json;

use super::unseen::Asked;
use super::{maybe, print_list, text};
use crate::Context;
use crate::args::TellArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Format, Listing, NOT_IN_TABLES};

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("fillbook.toml says of nobody that they are to be told")]
    Nobody,
    #[error("fillbook.toml has no channel `{name}`; it has {known}")]
    Unknown { name: String, known: String },
    #[error("a try is no list of rows, so there is no CSV of it")]
    NotAList,
}

const LISTING: Listing<Message> = Listing {
    schema: "fillbook.list.message/1",
    plural: "messages",
    columns: &[
        Column { key: "message", title: "No.", rank: 3, value: |m| text(m.id) },
        Column { key: "made_local", title: "Made", rank: 0, value: |m| m.made_local.into() },
        Column { key: "channel", title: "Channel", rank: 0, value: |m| text(&m.channel) },
        Column { key: "kind", title: "Kind", rank: 2, value: |m| text(&m.kind) },
        Column { key: "urgent", title: "Urgent", rank: NOT_IN_TABLES, value: |m| m.is_urgent.into() },
        Column { key: "key", title: "Key", rank: NOT_IN_TABLES, value: |m| text(&m.key) },
        Column { key: "state", title: "State", rank: 0, value: |m| text(state(m)) },
        Column { key: "state_local", title: "At", rank: 1, value: |m| at(m).into() },
        Column { key: "attempts", title: "Failed", rank: 2, value: |m| Cell::Count(u64::from(m.attempts)) },
        Column { key: "text", title: "Text", rank: 0, value: |m| text(&m.text) },
        Column { key: "last_error", title: "Why", rank: 1, value: |m| maybe(m.last_error.as_ref()) },
    ],
};

fn state(message: &Message) -> &'static str {
    match message.state {
        MessageState::Waiting(_) => "waits",
        MessageState::Sent(_) => "sent",
        MessageState::GivenUp(_) => "given up",
    }
}

/// When it is tried, was sent, or was given up.
fn at(message: &Message) -> ledger_core::TimestampMs {
    match message.state {
        MessageState::Waiting(at) | MessageState::Sent(at) | MessageState::GivenUp(at) => at,
    }
}

/// Tries channels, or lists messages.
///
/// # Errors
/// When a channel does not take the test, or the book cannot be read.
pub async fn run(args: &TellArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    if let Some(name) = &args.test {
        return test(name.as_deref(), context).await;
    }
    let store = super::open_account(context).await?;
    let account = context.settings.account.clone();
    let fetch = |page| store.messages(&account, page);
    print_list(context, store.as_ref(), Asked::default(), &LISTING, args.limit, fetch).await
}

/// Sends one word through each channel that is meant. The book is not opened.
async fn test(name: Option<&str>, context: &mut Context) -> Result<ExitCode, CommandError> {
    if context.output.format == Format::Csv {
        return Err(CommandError::new(ExitCode::Usage, Refusal::NotAList).hint("--json, or without --csv"));
    }
    let accounts: Vec<AccountId> = context.settings.targets().into_iter().map(|account| account.id).collect();
    let account = context.settings.account.clone();
    let zone = context.output.zone.time_zone().clone();
    let secrets = context.output.secrets().clone();
    let telling = crate::wiring::telling(&context.settings, accounts, &secrets, context.clock.clone(), zone)?;
    let telling = telling.ok_or_else(|| {
        CommandError::new(ExitCode::Error, Refusal::Nobody).hint("add a section [tell] with a channel to it")
    })?;
    let known = || telling.channels().map(|channel| channel.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(name) = name.filter(|name| !telling.channels().any(|channel| channel.name == *name)) {
        let refusal = Refusal::Unknown { name: name.to_owned(), known: known() };
        return Err(CommandError::new(ExitCode::Usage, refusal));
    }
    let mut code = ExitCode::Fine;
    for channel in telling.channels().filter(|channel| name.is_none_or(|name| channel.name == name)) {
        let tried = telling.test(channel, &account).await;
        let error = tried.err().map(|error| error.reason);
        if error.is_some() {
            code = code.worst(ExitCode::Error);
        }
        if context.output.format == Format::Json {
            context.output.json(&json!({
                "schema": "fillbook.tell.test/1", "channel": channel.name, "kind": channel.kind.as_str(),
                "taken": error.is_none(), "error": error,
            }))?;
            continue;
        }
        let what = format!("{} ({})", channel.name, channel.kind.as_str());
        match error {
            None => context.output.line(&format!("{what} took the test message."))?,
            Some(error) => context.output.line(&format!("{what} did not take the test message: {error}"))?,
        }
    }
    Ok(code)
}
