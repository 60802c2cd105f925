//! The exchange of an account: its credentials, and the adapter that they open.
//!
//! Invariants, each with a test of the same name:
//! 1. `accounts_at_one_address_share_its_bans`.

use std::path::Path;
use std::sync::Arc;

use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings, UserStreamSettings};
use exchange_client::{
    Clock, CredentialError, CredentialFileError, Credentials, ExchangeError, ExchangeReader, HttpTransport,
    HttpTransportConfig, MarkStreams, Secrets, UserStreams, WebSocketTransport, WebSocketTransportConfig,
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

/// The exchanges that a command asks. Accounts at one address share its budget and its bans: that is what the exchange
/// counts by.
pub(crate) struct Exchanges {
    /// What is never repeated on the screen, of any account.
    secrets: Secrets,
    /// By address; each as the first account there sees it.
    known: Vec<(String, Arc<BinanceUsdm>)>,
}

/// What an exchange tells without being asked.
pub(crate) struct Streams {
    /// What happens in the account.
    pub(crate) of_account: Arc<dyn UserStreams>,
    /// How prices move.
    pub(crate) of_marks: Arc<dyn MarkStreams>,
}

impl Exchanges {
    /// None yet. What their accounts must not have repeated is learned by `secrets`.
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, known: Vec::new() }
    }

    /// The exchange of an account that is only asked.
    pub(crate) fn of(
        &mut self,
        account: &AccountSettings,
        base_url: &str,
        weight_percent: Option<u16>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn ExchangeReader>, CommandError> {
        Ok(self.adapter(account, base_url, weight_percent, clock)?)
    }

    /// The exchange of an account, and what it tells without being asked.
    pub(crate) fn with_streams(
        &mut self,
        account: &AccountSettings,
        base_url: &str,
        stream_url: Option<String>,
        weight_percent: Option<u16>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<dyn ExchangeReader>, Streams), CommandError> {
        let adapter = self.adapter(account, base_url, weight_percent, clock)?;
        let transport = WebSocketTransport::new(WebSocketTransportConfig::default()).map_err(failed)?;
        let settings = UserStreamSettings { base_url: stream_url, ..UserStreamSettings::default() };
        let streams = adapter.user_streams(Arc::new(transport), settings);
        let streams = Arc::new(streams.map_err(|error| stream_refusal(&account.id, error))?);
        Ok((adapter, Streams { of_account: streams.clone(), of_marks: streams }))
    }

    /// The exchange of an account, as its credentials see it. The first account at an address sets the budget.
    fn adapter(
        &mut self,
        account: &AccountSettings,
        base_url: &str,
        weight_percent: Option<u16>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<BinanceUsdm>, CommandError> {
        let credentials = credentials(account)?.known_to(&self.secrets);
        let mut settings = RequestSettings { seed: u64::from(std::process::id()), ..RequestSettings::default() };
        if let Some(percent) = weight_percent {
            settings.budget.own_percent = percent;
            settings.budget.total_percent = settings.budget.total_percent.max(percent);
        }
        let address = base_url.trim_end_matches('/');
        if let Some((_, known)) = self.known.iter().find(|(known, _)| known == address) {
            return Ok(Arc::new(known.for_account(credentials, settings)));
        }
        let transport = HttpTransport::new(HttpTransportConfig::default()).map_err(failed)?;
        let exchange = BinanceUsdm::with_settings(Arc::new(transport), clock, base_url, credentials, settings)?;
        let exchange = Arc::new(exchange);
        self.known.push((address.to_owned(), exchange.clone()));
        Ok(exchange)
    }
}

/// An address of streams that is refused, with where it was given.
fn stream_refusal(account: &AccountId, error: ExchangeError) -> CommandError {
    let is_path = matches!(error, ExchangeError::StreamPath { .. });
    let error = CommandError::from(error);
    if !is_path {
        return error;
    }
    error.hint(format!(
        "give that address to --stream-url, or as `stream_url` under [accounts.{account}] in fillbook.toml; without either it \
         follows from the address where the exchange answers"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::wiring::system_clock;

    #[tokio::test]
    async fn accounts_at_one_address_share_its_bans() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 4096];
                let _read = stream.read(&mut request).await;
                let banned =
                    b"HTTP/1.1 418 I'm a teapot\r\nretry-after: 600\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                let _sent = stream.write_all(banned).await;
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let mut exchanges = Exchanges::new(Secrets::default());
        for (name, url) in [("first", base_url.clone()), ("second", format!("{base_url}/"))] {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("api_key = {name}\napi_secret = {name}\n")).unwrap();
            #[cfg(unix)]
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            let account = AccountSettings {
                id: AccountId::new(name).unwrap(),
                venue: crate::args::Venue::BinanceUsdm,
                base_url: None,
                stream_url: None,
                credentials: CredentialSource::File(path),
                ids: crate::config::IdWording::default(),
                is_configured: true,
            };
            let exchange = exchanges.of(&account, &url, None, system_clock()).unwrap();
            assert!(exchange.server_time().await.unwrap_err().to_string().contains("banned"), "{name}");
        }
        // The ban that the first account met is the second's as well.
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
