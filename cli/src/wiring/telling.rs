//! Who is told what happens: channels with their addresses and tokens, from where the settings say.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::VENUE;
use exchange_client::{Clock, CredentialFileError, HttpCourier, SecretText, SecretUrl, SecretUrlError, Secrets};
use ledger_core::AccountId;
use reconciler::tell::{Channel, ChannelKind, TellSettings, Telling};

use super::failed;
use crate::config::{SecretSource, Settings, TellConfig};
use crate::error::{CommandError, ExitCode};

/// Where Telegram's interface answers.
const TELEGRAM: &str = "https://api.telegram.org";
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why somebody cannot be told.
#[derive(Debug, thiserror::Error)]
enum TellingProblem {
    #[error("{place}: the environment variable {name} is not set")]
    Unset { place: String, name: String },
    #[error("{place}: its address or token cannot be read")]
    Unreadable {
        place: String,
        #[source]
        source: CredentialFileError,
    },
    #[error(
        "{place}: its address or token comes from systemd, which has handed over none: CREDENTIALS_DIRECTORY is not set"
    )]
    NoSystemd { place: String },
    #[error("{place}: its address or token cannot be used")]
    Unusable {
        place: String,
        #[source]
        source: SecretUrlError,
    },
}

/// What a source says.
#[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
fn secret(place: &str, source: &SecretSource) -> Result<SecretText, TellingProblem> {
    let place = || place.to_owned();
    let unreadable = |source| TellingProblem::Unreadable { place: place(), source };
    match source {
        SecretSource::Variable(name) => {
            let text = std::env::var(name).ok().filter(|text| !text.trim().is_empty());
            text.map(SecretText::new).ok_or_else(|| TellingProblem::Unset { place: place(), name: name.clone() })
        }
        SecretSource::File(path) => SecretText::from_file(path, false).map_err(unreadable),
        SecretSource::Systemd(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
            let folder = folder.ok_or_else(|| TellingProblem::NoSystemd { place: place() })?;
            SecretText::from_file(&Path::new(&folder).join(name), true).map_err(unreadable)
        }
    }
}

fn channels(config: &TellConfig, secrets: &Secrets) -> Result<Vec<Arc<Channel>>, TellingProblem> {
    let channel = |it: &crate::config::ChannelConfig| {
        let place = format!("channel {}", it.name);
        let secret = secret(&place, &it.secret)?;
        let url = match &it.kind {
            ChannelKind::Telegram { .. } => {
                SecretUrl::telegram(it.api.as_deref().unwrap_or(TELEGRAM), &secret, secrets)
            }
            _ => SecretUrl::new(&secret, secrets),
        };
        let url = url.map_err(|source| TellingProblem::Unusable { place, source })?;
        Ok(Arc::new(Channel::new(it.name.clone(), it.kind.clone(), it.amounts, url)))
    };
    config.channels.iter().map(channel).collect()
}

/// Learns what must not be repeated, as far as it can be read. The command that needs it reports why it cannot.
pub(super) fn learn(config: &TellConfig, secrets: &Secrets) {
    for channel in &config.channels {
        let one = TellConfig { heartbeat: None, channels: vec![channel.clone()], ..config.clone() };
        let _learned = channels(&one, secrets);
    }
    if let Some(source) = &config.heartbeat {
        let _learned = secret("", source).map(|text| SecretUrl::new(&text, secrets));
    }
}

/// Tells what happens in `accounts`; `None` where the settings say nothing of it.
pub(crate) fn telling(
    settings: &Settings,
    accounts: impl IntoIterator<Item = AccountId>,
    secrets: &Secrets,
    clock: Arc<dyn Clock>,
    zone: jiff::tz::TimeZone,
) -> Result<Option<Telling>, CommandError> {
    let Some(config) = &settings.tell else { return Ok(None) };
    let refused = |problem: TellingProblem| CommandError::new(ExitCode::Authentication, problem);
    let channels = channels(config, secrets).map_err(refused)?;
    let courier = HttpCourier::new(PATIENCE, secrets.clone()).map_err(failed)?;
    let told = TellSettings {
        channels,
        quiet: config.quiet,
        daily: config.daily,
        zone,
        margin_percent: config.margin_percent,
        stale_ms: settings.freshness.open_ms,
        rules: VENUE.ledger_rules,
        seed: super::seed(),
    };
    let telling = Telling::new(told, Arc::new(courier), clock);
    let Some(source) = &config.heartbeat else { return Ok(Some(telling)) };
    let place = "the heartbeat of [tell]";
    let url = secret(place, source).and_then(|text| {
        SecretUrl::new(&text, secrets).map_err(|source| TellingProblem::Unusable { place: place.to_owned(), source })
    });
    Ok(Some(telling.with_heartbeat(url.map_err(refused)?, accounts)))
}
