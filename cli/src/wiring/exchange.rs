//! The exchange of an account: its credentials, and the adapter that they open.

use std::path::Path;
use std::sync::Arc;

use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings};
use exchange_client::{
    Clock, CredentialError, CredentialFileError, Credentials, ExchangeReader, HttpTransport, HttpTransportConfig,
};
use ledger_core::AccountId;

use super::failed;
use crate::config::{AccountSettings, CredentialSource};
use crate::error::{CommandError, ExitCode};

/// Why an account's credentials cannot be used.
#[derive(Debug, thiserror::Error)]
enum CredentialsProblem {
    #[error("there is no API key for account `{account}`: the environment variable {name} is not set")]
    Unset { account: AccountId, name: String },
    #[error("the credentials of account `{account}` cannot be used")]
    Unusable {
        account: AccountId,
        #[source]
        source: CredentialError,
    },
    #[error("the credentials of account `{account}` cannot be read")]
    Unreadable {
        account: AccountId,
        #[source]
        source: CredentialFileError,
    },
    #[error(
        "the credentials of account `{account}` come from systemd, which has handed over none: CREDENTIALS_DIRECTORY is not set"
    )]
    NoSystemd { account: AccountId },
}

/// An account's credentials, from where its settings say.
#[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
fn credentials(account: &AccountSettings) -> Result<Credentials, CommandError> {
    let refused = |problem: CredentialsProblem| CommandError::new(ExitCode::Authentication, problem);
    let unusable = |source| refused(CredentialsProblem::Unusable { account: account.id.clone(), source });
    let unreadable = |source| refused(CredentialsProblem::Unreadable { account: account.id.clone(), source });
    match &account.credentials {
        CredentialSource::Environment { key, secret } => {
            let read = |name: &String| {
                std::env::var(name).ok().filter(|text| !text.is_empty()).ok_or_else(|| {
                    refused(CredentialsProblem::Unset { account: account.id.clone(), name: name.clone() }).hint(format!(
                        "set {key} and {secret}, or name another source under [accounts.{}] in fillbook.toml; a key with \
                         reading rights is enough",
                        account.id
                    ))
                })
            };
            Credentials::new(read(key)?, read(secret)?).map_err(unusable)
        }
        CredentialSource::File(path) => Credentials::from_file(path).map_err(unreadable),
        CredentialSource::Systemd(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
            let folder = folder.ok_or_else(|| {
                refused(CredentialsProblem::NoSystemd { account: account.id.clone() })
                    .hint(format!("give the service a line `LoadCredential={name}:/path/to/file`"))
            })?;
            Credentials::from_systemd(Path::new(&folder), name).map_err(unreadable)
        }
    }
}

/// The exchange of an account, as its credentials see it.
pub(crate) fn exchange(
    account: &AccountSettings,
    base_url: &str,
    weight_percent: Option<u16>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn ExchangeReader>, CommandError> {
    let credentials = credentials(account)?;
    let transport = HttpTransport::new(HttpTransportConfig::default()).map_err(failed)?;
    let mut settings = RequestSettings { seed: u64::from(std::process::id()), ..RequestSettings::default() };
    if let Some(percent) = weight_percent {
        settings.budget.own_percent = percent;
        settings.budget.total_percent = settings.budget.total_percent.max(percent);
    }
    Ok(Arc::new(BinanceUsdm::with_settings(Arc::new(transport), clock, base_url, credentials, settings)?))
}
