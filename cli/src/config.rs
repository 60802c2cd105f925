//! The configuration file: settings that would otherwise be typed each time.
//!
//! ```toml
//! db = "books/trading.db"
//! account = "main"
//! tz = "Asia/Seoul"
//! weight_percent = 40
//! client_ids = ["bot_{engine}_{role}_{*}"]
//!
//! [engines]
//! trd = "trend"
//!
//! [freshness]
//! open_minutes = 15
//! flat_hours = 24
//!
//! [tell]            # who is told what happens: see `config/tell.rs`
//! quiet = "22:30-07:00"
//!
//! [accounts.main]
//! api_key_env = "MAIN_API_KEY"
//! api_secret_env = "MAIN_API_SECRET"
//!
//! [accounts.hedge]
//! base_url = "https://demo-fapi.binance.com"
//! stream_url = "wss://demo-fstream.binance.com"
//! credentials_file = "hedge.key"
//! client_ids = ["h{engine:3}{role:1}{*}"]
//!
//! [accounts.hedge.engines]
//! grd = "grid"
//! ```
//!
//! Keys and secrets themselves have no place in it: an account names where its credentials are.

mod tell;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exchange_client::files::Zone;
use ledger_core::{AccountId, EngineLabel, FreshnessLimits};
use reconciler::{ClientIdScheme, SchemeError};
use serde::Deserialize;

pub use self::tell::{ChannelConfig, SecretSource, TellConfig};
use self::tell::{TellEntry, TellProblem};
use crate::args::{GlobalArgs, Venue};
use crate::error::{CommandError, ExitCode};

/// The name of the file that is read when none is given.
pub const DEFAULT_FILE: &str = "fillbook.toml";

/// What a configuration file can say. Unknown settings are an error: a misspelt one would be silently ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    db: Option<PathBuf>,
    account: Option<AccountId>,
    tz: Option<String>,
    weight_percent: Option<u16>,
    #[serde(default)]
    client_ids: Vec<String>,
    #[serde(default)]
    engines: BTreeMap<String, EngineLabel>,
    #[serde(default)]
    freshness: FreshnessEntry,
    tell: Option<TellEntry>,
    #[serde(default)]
    accounts: BTreeMap<AccountId, AccountEntry>,
}

/// What the file says about how recently the exchange has to have been looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FreshnessEntry {
    open_minutes: Option<u32>,
    flat_hours: Option<u32>,
    mark_seconds: Option<u32>,
    after_funding_minutes: Option<u32>,
    overtaken_minutes: Option<u32>,
}

/// A second in milliseconds.
const SECOND_MS: i64 = 1_000;

impl FreshnessEntry {
    /// The limits, or the setting that cannot be one.
    fn limits(&self) -> Result<FreshnessLimits, &'static str> {
        let usual = FreshnessLimits::default();
        let limit = |name, setting: Option<u32>, unit_seconds: i64, usual_ms: i64| match setting {
            Some(0) => Err(name),
            Some(number) => Ok(i64::from(number) * unit_seconds * SECOND_MS),
            None => Ok(usual_ms),
        };
        Ok(FreshnessLimits {
            open_ms: limit("open_minutes", self.open_minutes, 60, usual.open_ms)?,
            flat_ms: limit("flat_hours", self.flat_hours, 3_600, usual.flat_ms)?,
            mark_ms: limit("mark_seconds", self.mark_seconds, 1, usual.mark_ms)?,
            after_funding_ms: limit("after_funding_minutes", self.after_funding_minutes, 60, usual.after_funding_ms)?,
            overtaken_ms: limit("overtaken_minutes", self.overtaken_minutes, 60, usual.overtaken_ms)?,
        })
    }
}

/// What the file says about an account.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountEntry {
    venue: Option<String>,
    base_url: Option<String>,
    stream_url: Option<String>,
    api_key_env: Option<String>,
    api_secret_env: Option<String>,
    credentials_file: Option<PathBuf>,
    systemd_credential: Option<String>,
    /// In place of the file's own.
    client_ids: Option<Vec<String>>,
    /// In place of the file's own.
    engines: Option<BTreeMap<String, EngineLabel>>,
}

/// How the bots of an account word their client order ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdWording {
    /// Their patterns, which know the table.
    pub schemes: Vec<ClientIdScheme>,
    /// What stands in the ids for strategies, by what stands there.
    pub engines: BTreeMap<String, EngineLabel>,
}

impl IdWording {
    fn new(patterns: &[String], engines: BTreeMap<String, EngineLabel>) -> Result<Self, SchemeError> {
        let schemes = patterns.iter().map(|pattern| pattern.parse::<ClientIdScheme>());
        let schemes = schemes.map(|scheme| Ok(scheme?.with_engines(engines.clone()))).collect::<Result<_, _>>()?;
        Ok(Self { schemes, engines })
    }
}

/// Where an account's credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// In two environment variables.
    Environment {
        /// The one with the key.
        key: String,
        /// The one with the secret.
        secret: String,
    },
    /// In a file that only its owner can read.
    File(PathBuf),
    /// In a credential that systemd hands to the service.
    Systemd(String),
}

impl Default for CredentialSource {
    fn default() -> Self {
        Self::Environment { key: "FILLBOOK_API_KEY".to_owned(), secret: "FILLBOOK_API_SECRET".to_owned() }
    }
}

/// An account of the book, and how its exchange is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    /// Its name in the book.
    pub id: AccountId,
    /// The venue that it is at.
    pub venue: Venue,
    /// Where its exchange answers; by default where it did before, else the venue's own address.
    pub base_url: Option<String>,
    /// Where it tells what happens, if not where the venue does for that address.
    pub stream_url: Option<String>,
    /// Where its credentials are.
    pub credentials: CredentialSource,
    /// How its bots word their client order ids.
    pub ids: IdWording,
    /// Whether the configuration file names it.
    pub is_configured: bool,
}

impl AccountEntry {
    /// `patterns` and `engines` are the file's own, for an account that has none.
    fn settings(
        self,
        id: &AccountId,
        folder: &Path,
        patterns: &[String],
        engines: &BTreeMap<String, EngineLabel>,
    ) -> Result<AccountSettings, AccountProblem> {
        let Self {
            venue, base_url, stream_url, api_key_env, api_secret_env, credentials_file, systemd_credential, ..
        } = self;
        let patterns = self.client_ids.as_deref().unwrap_or(patterns);
        let ids = IdWording::new(patterns, self.engines.unwrap_or_else(|| engines.clone()))?;
        let environment = match (api_key_env, api_secret_env) {
            (Some(key), Some(secret)) => Some(CredentialSource::Environment { key, secret }),
            (None, None) => None,
            _ => return Err(AccountProblem::HalfEnvironment),
        };
        let file = credentials_file.map(|file| CredentialSource::File(folder.join(file)));
        let mut sources = environment.into_iter().chain(file).chain(systemd_credential.map(CredentialSource::Systemd));
        let credentials = sources.next().unwrap_or_default();
        if sources.next().is_some() {
            return Err(AccountProblem::SeveralSources);
        }
        let venue = match venue {
            None => Venue::BinanceUsdm,
            Some(name) => Venue::named(&name).ok_or(AccountProblem::Venue { name })?,
        };
        Ok(AccountSettings { id: id.clone(), venue, base_url, stream_url, credentials, ids, is_configured: true })
    }
}

#[derive(Debug, thiserror::Error)]
enum AccountProblem {
    #[error("api_key_env and api_secret_env belong together: name both variables")]
    HalfEnvironment,
    #[error(
        "it names several sources of credentials: keep one of api_key_env with api_secret_env, credentials_file, systemd_credential"
    )]
    SeveralSources,
    #[error("a pattern of client_ids cannot be used")]
    ClientIds(#[from] SchemeError),
    #[error("its venue `{name}` is not known; known are binance_usdm and other")]
    Venue { name: String },
}

/// The settings in force.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The book's file.
    pub db: PathBuf,
    /// The book's file as named on the command line itself: what makes a new book (the demo) must not take the book that
    /// the environment or the configuration names.
    pub db_flag: Option<PathBuf>,
    /// The account.
    pub account: AccountId,
    /// Whether the account was named on the command line or in the environment.
    pub account_is_given: bool,
    /// The accounts of the configuration file, by name.
    pub accounts: Vec<AccountSettings>,
    /// The share of the exchange's request weight that may be used, in percent, where the file says.
    pub weight_percent: Option<u16>,
    /// How recently the exchange has to have been looked at.
    pub freshness: FreshnessLimits,
    /// Who is told what happens, where the file says so.
    pub tell: Option<TellConfig>,
    /// How the bots word their client order ids, of accounts that the file does not name.
    pub ids: IdWording,
    /// The reader's time zone, where given.
    pub zone: Option<Zone>,
    /// The time zone given on the command line itself: only that may date files, because a setting made long ago was
    /// not made for the file at hand.
    pub zone_flag: Option<Zone>,
}

#[derive(Debug, thiserror::Error)]
enum ConfigError {
    #[error("the configuration file {} cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the configuration file {} is not valid", path.display())]
    Parse {
        path: PathBuf,
        #[source]
        source: TomlError,
    },
    #[error("the configuration file {}: account `{account}` cannot be used", path.display())]
    Account {
        path: PathBuf,
        account: AccountId,
        #[source]
        source: AccountProblem,
    },
    #[error("the configuration file {}: weight_percent is {percent}; it is a share from 1 to 100", path.display())]
    Weight { path: PathBuf, percent: u16 },
    #[error("the configuration file {}: {setting} of [freshness] is 0; it is a length of time, at least 1", path.display())]
    Freshness { path: PathBuf, setting: &'static str },
    #[error("the configuration file {}: [tell] cannot be used", path.display())]
    Tell {
        path: PathBuf,
        #[source]
        source: TellProblem,
    },
    #[error("the configuration file {}: a pattern of client_ids cannot be used", path.display())]
    ClientIds {
        path: PathBuf,
        #[source]
        source: SchemeError,
    },
    #[error("the environment variable FILLBOOK_TZ names an unknown time zone")]
    ZoneVariable {
        #[source]
        source: exchange_client::files::ZoneError,
    },
    #[error("the configuration file {} names an unknown time zone", path.display())]
    Zone {
        path: PathBuf,
        #[source]
        source: exchange_client::files::ZoneError,
    },
}

/// What is wrong with the file's text. The text itself is not repeated: somebody may have put a secret there.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {message}")]
struct TomlError {
    line: usize,
    message: String,
}

impl TomlError {
    fn new(text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        Self { line, message: error.message().to_owned() }
    }
}

/// Joins flags and environment (already in `args`, but for the time zone) with the configuration file. A relative path in the file is meant
/// from the file's folder.
///
/// # Errors
/// When the file that was named cannot be read, or one that is there is not valid.
pub fn settings(args: &GlobalArgs, db_is_flag: bool, zone_variable: Option<&str>) -> Result<Settings, CommandError> {
    let path = args.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let fail = |error: ConfigError| CommandError::new(ExitCode::Error, error);
    let file = match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text)
            .map_err(|error| fail(ConfigError::Parse { path: path.clone(), source: TomlError::new(&text, &error) }))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && args.config.is_none() => ConfigFile::default(),
        Err(source) => return Err(fail(ConfigError::Read { path, source })),
    };
    let zone = match (&args.tz, zone_variable.filter(|text| !text.is_empty()), &file.tz) {
        (Some(zone), ..) => Some(zone.clone()),
        (None, Some(text), _) => Some(text.parse().map_err(|source| fail(ConfigError::ZoneVariable { source }))?),
        (None, None, Some(text)) => {
            Some(text.parse().map_err(|source| fail(ConfigError::Zone { path: path.clone(), source }))?)
        }
        (None, None, None) => None,
    };
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let weight_percent = file.weight_percent;
    if let Some(percent) = weight_percent.filter(|percent| !(1..=100).contains(percent)) {
        return Err(fail(ConfigError::Weight { path, percent }));
    }
    let freshness = file.freshness.limits();
    let freshness = freshness.map_err(|setting| fail(ConfigError::Freshness { path: path.clone(), setting }))?;
    let ids = IdWording::new(&file.client_ids, file.engines.clone());
    let ids = ids.map_err(|source| fail(ConfigError::ClientIds { path: path.clone(), source }))?;
    let tell = file.tell.map(|entry| entry.settings(folder)).transpose();
    let tell = tell.map_err(|source| fail(ConfigError::Tell { path: path.clone(), source }))?;
    let mut accounts = Vec::new();
    for (id, entry) in file.accounts {
        let settings = entry.settings(&id, folder, &file.client_ids, &file.engines);
        accounts
            .push(settings.map_err(|source| fail(ConfigError::Account { path: path.clone(), account: id, source }))?);
    }
    let only = match accounts.as_slice() {
        [only] => Some(only.id.clone()),
        _ => None,
    };
    let account_is_given = args.account.is_some();
    let account = match args.account.clone().or(file.account).or(only) {
        Some(account) => account,
        None => AccountId::new("main").map_err(|error| CommandError::new(ExitCode::Error, error))?,
    };
    let db =
        args.db.clone().or_else(|| file.db.map(|db| folder.join(db))).unwrap_or_else(|| PathBuf::from("fillbook.db"));
    let db_flag = args.db.clone().filter(|_| db_is_flag);
    Ok(Settings {
        db,
        db_flag,
        account,
        account_is_given,
        accounts,
        weight_percent,
        freshness,
        tell,
        ids,
        zone,
        zone_flag: args.tz.clone(),
    })
}

impl Settings {
    /// The accounts that a command over all accounts is about: the one that was named, else all of the configuration file,
    /// else the default one.
    pub fn targets(&self) -> Vec<AccountSettings> {
        if !self.account_is_given && !self.accounts.is_empty() {
            return self.accounts.clone();
        }
        let configured = self.accounts.iter().find(|entry| entry.id == self.account).cloned();
        vec![configured.unwrap_or_else(|| AccountSettings {
            id: self.account.clone(),
            venue: Venue::BinanceUsdm,
            base_url: None,
            stream_url: None,
            credentials: CredentialSource::default(),
            ids: self.ids.clone(),
            is_configured: false,
        })]
    }

    /// How the bots of the account word their client order ids.
    pub fn ids(&self) -> &IdWording {
        self.accounts.iter().find(|entry| entry.id == self.account).map_or(&self.ids, |entry| &entry.ids)
    }

    /// The same settings for another account.
    #[must_use]
    pub fn for_account(&self, account: &AccountId) -> Self {
        Self { account: account.clone(), ..self.clone() }
    }
}
