//! The configuration file: settings that would otherwise be typed each time.
//!
//! ```toml
//! db = "books/trading.db"
//! account = "main"
//! tz = "Asia/Seoul"
//! ```

use std::path::{Path, PathBuf};

use exchange_client::files::Zone;
use ledger_core::AccountId;
use serde::Deserialize;

use crate::args::GlobalArgs;
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
        source: toml::de::Error,
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

/// Joins flags and environment (already in `args`, but for the time zone) with the configuration file. A relative path in the file is meant
/// from the file's folder.
///
/// # Errors
/// When the file that was named cannot be read, or one that is there is not valid.
pub fn settings(args: &GlobalArgs, db_is_flag: bool, zone_variable: Option<&str>) -> Result<Settings, CommandError> {
    let path = args.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let fail = |error: ConfigError| CommandError::new(ExitCode::Error, error);
    let file = match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map_err(|source| fail(ConfigError::Parse { path: path.clone(), source }))?,
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
    let account = match args.account.clone().or(file.account) {
        Some(account) => account,
        None => AccountId::new("main").map_err(|error| CommandError::new(ExitCode::Error, error))?,
    };
    let db =
        args.db.clone().or_else(|| file.db.map(|db| folder.join(db))).unwrap_or_else(|| PathBuf::from("fillbook.db"));
    let db_flag = args.db.clone().filter(|_| db_is_flag);
    Ok(Settings { db, db_flag, account, zone, zone_flag: args.tz.clone() })
}
