//! The section `[tell]`: who is told what happens, and when.
//!
//! ```toml
//! [tell]
//! amounts = "full"            # full, percent or none
//! quiet = "22:30-07:00"       # what can wait is told at their end
//! daily = "08:00"             # or "never"
//! margin_percent = 5
//! heartbeat_env = "FILLBOOK_HEARTBEAT_URL"
//!
//! [tell.channels.phone]
//! kind = "telegram"
//! token_env = "FILLBOOK_TELEGRAM_TOKEN"
//! chat = "123456789"
//! amounts = "percent"
//!
//! [tell.channels.desk]
//! kind = "webhook"            # or ntfy, discord, slack
//! url_file = "desk.url"
//! ```
//!
//! Addresses and tokens themselves have no place in it: `_env` names a variable, `_file` a file that only its owner can read,
//! `_systemd` a credential that systemd hands to the service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ledger_core::{Decimal, UnknownName};
use reconciler::tell::{Amounts, ChannelKind, DailyTime, HoursError, QuietHours};
use serde::Deserialize;

/// How close a mark price may come to a liquidation unless told otherwise, in percent.
const MARGIN_PERCENT: u32 = 5;
/// When the day is summed up unless told otherwise.
const DAILY: &str = "08:00";

/// What the file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TellEntry {
    amounts: Option<String>,
    quiet: Option<String>,
    daily: Option<String>,
    margin_percent: Option<u32>,
    heartbeat_env: Option<String>,
    heartbeat_file: Option<PathBuf>,
    heartbeat_systemd: Option<String>,
    #[serde(default)]
    channels: BTreeMap<String, ChannelEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelEntry {
    kind: String,
    amounts: Option<String>,
    url_env: Option<String>,
    url_file: Option<PathBuf>,
    url_systemd: Option<String>,
    token_env: Option<String>,
    token_file: Option<PathBuf>,
    token_systemd: Option<String>,
    chat: Option<String>,
    api: Option<String>,
}

/// Where an address or a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In an environment variable.
    Variable(String),
    /// In a file that only its owner can read.
    File(PathBuf),
    /// In a credential that systemd hands to the service.
    Systemd(String),
}

/// Who is told, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TellConfig {
    /// When only what cannot wait is told.
    pub quiet: Option<QuietHours>,
    /// When the day is summed up.
    pub daily: Option<DailyTime>,
    /// How close a mark price may come to a liquidation, in percent.
    pub margin_percent: Decimal,
    /// Where the address is that is called after each confirmed look.
    pub heartbeat: Option<SecretSource>,
    /// Who is told, by name.
    pub channels: Vec<ChannelConfig>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Its name.
    pub name: String,
    /// What kind of receiver it has.
    pub kind: ChannelKind,
    /// What it is told of money.
    pub amounts: Amounts,
    /// Where its address is, or the token of Telegram's bot.
    pub secret: SecretSource,
    /// Where Telegram's interface answers, if not at its own address.
    pub api: Option<String>,
}

/// What is wrong with the section. What may be an address or a token is not repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum TellProblem {
    #[error("it names neither a channel nor a heartbeat, so nobody would be told")]
    Nobody,
    #[error("the name of a channel is none: letters, digits, - and _, at most 32 of them")]
    Name,
    #[error("channel {channel}: its kind is none of webhook, telegram, ntfy, discord, slack")]
    Kind { channel: String },
    #[error("channel {channel}: `{setting}` is no setting of a channel of this kind")]
    NotOfKind { channel: String, setting: &'static str },
    #[error("channel {channel}: it has no `chat`, the id of whom the bot writes to")]
    NoChat { channel: String },
    #[error("{place} names several sources, or none: keep one of {name}_env, {name}_file, {name}_systemd")]
    Sources { place: String, name: &'static str },
    #[error("{place}: {name}_env is no name of a variable; the value itself has no place here")]
    NotAVariable { place: String, name: &'static str },
    #[error("{place}: {name}_file is no path of a file; the value itself has no place here")]
    NotAPath { place: String, name: &'static str },
    #[error("channel {channel}: its `api` is no address")]
    Api { channel: String },
    #[error("margin_percent is {percent}; it is a share from 1 to 50")]
    Margin { percent: u32 },
    #[error("`amounts` cannot be used")]
    Amounts(#[from] UnknownName),
    #[error("a time of day cannot be used")]
    Hours(#[from] HoursError),
}

impl TellEntry {
    /// What it means. A relative path is meant from `folder`.
    pub(super) fn settings(self, folder: &Path) -> Result<TellConfig, TellProblem> {
        let amounts = self.amounts.as_deref().map_or(Ok(Amounts::default()), str::parse)?;
        let percent = self.margin_percent.unwrap_or(MARGIN_PERCENT);
        let margin_percent = Decimal::new(i128::from(percent), 0).ok().filter(|_| (1..=50).contains(&percent));
        let daily = match self.daily.as_deref().unwrap_or(DAILY) {
            "never" => None,
            time => Some(time.parse()?),
        };
        let heartbeat = [self.heartbeat_env.is_some(), self.heartbeat_file.is_some(), self.heartbeat_systemd.is_some()];
        let heartbeat = if heartbeat.contains(&true) {
            let sources = (self.heartbeat_env, self.heartbeat_file, self.heartbeat_systemd);
            Some(source("[tell]".to_owned(), "heartbeat", sources, folder)?)
        } else {
            None
        };
        let channels: Vec<ChannelConfig> = self
            .channels
            .into_iter()
            .map(|(name, entry)| entry.settings(name, amounts, folder))
            .collect::<Result<_, _>>()?;
        if channels.is_empty() && heartbeat.is_none() {
            return Err(TellProblem::Nobody);
        }
        let quiet = self.quiet.as_deref().map(str::parse).transpose()?;
        let margin_percent = margin_percent.ok_or(TellProblem::Margin { percent })?;
        Ok(TellConfig { quiet, daily, margin_percent, heartbeat, channels })
    }
}

impl ChannelEntry {
    fn settings(self, name: String, amounts: Amounts, folder: &Path) -> Result<ChannelConfig, TellProblem> {
        let is_name = |name: &str| name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
        if name.is_empty() || name.len() > 32 || !is_name(&name) {
            return Err(TellProblem::Name);
        }
        let kind = match self.kind.as_str() {
            "webhook" => ChannelKind::Webhook,
            "ntfy" => ChannelKind::Ntfy,
            "discord" => ChannelKind::Discord,
            "slack" => ChannelKind::Slack,
            "telegram" => {
                let chat = self.chat.clone().filter(|chat| !chat.trim().is_empty());
                ChannelKind::Telegram { chat: chat.ok_or_else(|| TellProblem::NoChat { channel: name.clone() })? }
            }
            _ => return Err(TellProblem::Kind { channel: name }),
        };
        let is_telegram = matches!(kind, ChannelKind::Telegram { .. });
        let urls = self.url_env.is_some() || self.url_file.is_some() || self.url_systemd.is_some();
        let tokens = self.token_env.is_some() || self.token_file.is_some() || self.token_systemd.is_some();
        let foreign = [
            ("url_env, url_file, url_systemd", is_telegram && urls),
            ("token_env, token_file, token_systemd", !is_telegram && tokens),
            ("chat", !is_telegram && self.chat.is_some()),
            ("api", !is_telegram && self.api.is_some()),
        ];
        if let Some((setting, _)) = foreign.into_iter().find(|(_, is_foreign)| *is_foreign) {
            return Err(TellProblem::NotOfKind { channel: name, setting });
        }
        let place = format!("channel {name}");
        let secret = if is_telegram {
            source(place, "token", (self.token_env, self.token_file, self.token_systemd), folder)?
        } else {
            source(place, "url", (self.url_env, self.url_file, self.url_systemd), folder)?
        };
        let api = self.api.as_deref();
        let is_address = |api: &str| api.starts_with("https://") || api.starts_with("http://");
        if api.is_some_and(|api| !is_address(api) || api.contains("/bot")) {
            return Err(TellProblem::Api { channel: name });
        }
        let amounts = self.amounts.as_deref().map_or(Ok(amounts), str::parse)?;
        Ok(ChannelConfig { name, kind, amounts, secret, api: self.api })
    }
}

/// The one source that is named. Somebody may have put the value itself there: what cannot be a name is not taken for one.
fn source(
    place: String,
    name: &'static str,
    sources: (Option<String>, Option<PathBuf>, Option<String>),
    folder: &Path,
) -> Result<SecretSource, TellProblem> {
    let is_plain = |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    match sources {
        (Some(variable), None, None) if !variable.is_empty() && is_plain(&variable) => {
            Ok(SecretSource::Variable(variable))
        }
        (Some(_), None, None) => Err(TellProblem::NotAVariable { place, name }),
        (None, Some(path), None) => {
            let text = path.to_string_lossy();
            let is_token = text.split_once(':').is_some_and(|(bot, _)| bot.bytes().all(|byte| byte.is_ascii_digit()));
            if text.contains("://") || is_token {
                return Err(TellProblem::NotAPath { place, name });
            }
            Ok(SecretSource::File(folder.join(path)))
        }
        (None, None, Some(credential)) => Ok(SecretSource::Systemd(credential)),
        _ => Err(TellProblem::Sources { place, name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TellConfig, String> {
        let entry: TellEntry = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        entry.settings(Path::new("/etc")).map_err(|error| {
            let source = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
            format!("{error}{source}")
        })
    }

    #[test]
    fn a_section_is_read_as_a_whole() {
        let told = read(
            "quiet = \"22:30-07:00\"\namounts = \"percent\"\nheartbeat_env = \"BEAT\"\n[channels.phone]\nkind = \"telegram\"\n\
             token_env = \"TOKEN\"\nchat = \"-100\"\n[channels.desk]\nkind = \"webhook\"\nurl_file = \"desk.url\"\namounts = \"full\"\n",
        )
        .unwrap();
        assert_eq!((told.heartbeat, told.daily), (Some(SecretSource::Variable("BEAT".to_owned())), DAILY.parse().ok()));
        let [desk, phone] = told.channels.as_slice() else { panic!("two channels") };
        assert_eq!((desk.secret.clone(), desk.amounts), (SecretSource::File("/etc/desk.url".into()), Amounts::Full));
        assert_eq!(
            (phone.kind.clone(), phone.amounts),
            (ChannelKind::Telegram { chat: "-100".to_owned() }, Amounts::Percent)
        );
        assert_eq!(read("daily = \"never\"\nheartbeat_env = \"B\"").unwrap().daily, None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_repeating_a_secret() {
        let hook = "[channels.a]\nkind = \"webhook\"\n";
        for (text, told) in [
            ("", "nobody would be told"),
            ("quiet = \"22-7\"\nheartbeat_env = \"B\"", "no pair of times"),
            ("amounts = \"some\"\nheartbeat_env = \"B\"", "expected one of: none, percent, full"),
            ("margin_percent = 0\nheartbeat_env = \"B\"", "from 1 to 50"),
            ("heartbeat_env = \"B\"\nheartbeat_file = \"b\"", "several sources, or none"),
            (&format!("{hook}url = \"https://h/S3CRET\""), "unknown field `url`"),
            (&format!("{hook}url_env = \"https://h/S3CRET\""), "url_env is no name of a variable"),
            (&format!("{hook}url_file = \"https://h/S3CRET\""), "url_file is no path"),
            ("[channels.a]\nkind = \"telegram\"\nchat = \"1\"\ntoken_file = \"123:S3CRET\"", "token_file is no path"),
            ("[channels.a]\nkind = \"telegram\"\nchat = \"1\"\ntoken_env = \"123:S3CRET\"", "token_env is no name"),
            ("[channels.a]\nkind = \"telegram\"\ntoken_env = \"T\"", "no `chat`"),
            (
                "[channels.a]\nkind = \"telegram\"\nchat = \"1\"\nurl_env = \"T\"",
                "no setting of a channel of this kind",
            ),
            (&format!("{hook}url_env = \"U\"\nchat = \"1\""), "`chat` is no setting"),
            (hook, "several sources, or none"),
            ("[channels.a]\nkind = \"mail\"\nurl_env = \"U\"", "none of webhook, telegram"),
            ("[channels.\"a b\"]\nkind = \"webhook\"\nurl_env = \"U\"", "letters, digits"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(told) && !refused.contains("S3CRET"), "{text}: {refused}");
        }
    }
}
