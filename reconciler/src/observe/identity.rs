//! Whose answers these are. One answer that names another account makes nobody another, and binds nobody: a second one has to
//! say the same.
//!
//! Only the list of balances names its account. What names none is held against the book, and against a second look.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_single_word_makes_nobody_another_account`.
//! 2. `no_account_is_bound_by_a_single_word`.
//! 3. `balances_of_another_account_are_asked_for_again`.
//! 4. `a_position_mode_is_news_when_two_answers_agree`.

use exchange_client::{AccountIdentity, Answer, ErrorClass, ExchangeError, ExchangeReader};
use ledger_core::{BalanceSnapshot, PositionMode};
use ledger_store::{Account, ExchangeIdentity};

use crate::error::ReconcileError;

/// Which account the credentials belong to, once two answers say the same.
///
/// # Errors
/// [`ReconcileError::Exchange`], and [`ReconcileError::Contradiction`] where three answers name three accounts.
pub async fn agreed_identity(exchange: &dyn ExchangeReader) -> Result<AccountIdentity, ReconcileError> {
    let first = ask(exchange).await?;
    let second = ask(exchange).await?;
    if second == first { Ok(second) } else { agreed_among(first, second, ask(exchange).await?) }
}

/// What two of three answers say, where the first two differ.
fn agreed_among(
    first: AccountIdentity,
    second: AccountIdentity,
    third: AccountIdentity,
) -> Result<AccountIdentity, ReconcileError> {
    if third == first || third == second {
        return Ok(third);
    }
    let said = [first, second, third].map(|identity| identity.to_string()).join("; ");
    Err(ReconcileError::Contradiction { said })
}

async fn ask(exchange: &dyn ExchangeReader) -> Result<AccountIdentity, ReconcileError> {
    exchange.account_identity().await.map_err(ReconcileError::Exchange)
}

/// Who answers for an account of the book. The one that it is bound to is believed at its first word.
pub(super) async fn identify(
    exchange: &dyn ExchangeReader,
    account: &Account,
) -> Result<AccountIdentity, ReconcileError> {
    let is_ours = |identity: &AccountIdentity| account.identity.is_some() && check_identity(account, identity).is_ok();
    let first = ask(exchange).await?;
    if is_ours(&first) {
        return Ok(first);
    }
    let second = ask(exchange).await?;
    if is_ours(&second) {
        return Ok(second);
    }
    let agreed = if second == first {
        second
    } else {
        let third = ask(exchange).await?;
        if is_ours(&third) {
            return Ok(third);
        }
        agreed_among(first, second, third)?
    };
    check_identity(account, &agreed)?;
    Ok(agreed)
}

fn check_identity(account: &Account, identity: &AccountIdentity) -> Result<(), ReconcileError> {
    let offered = ExchangeIdentity { base_url: identity.base_url.clone(), alias: Some(identity.account_alias.clone()) };
    let bound = account.identity.as_ref();
    let same_venue = account.venue == identity.venue;
    if same_venue && bound.is_none_or(|bound| *bound == offered) {
        return Ok(());
    }
    let bound = match bound {
        Some(bound) => {
            let alias = bound.alias.as_deref().unwrap_or("an unnamed account");
            format!("{alias} at {} ({})", bound.base_url, account.venue)
        }
        None => account.venue.clone(),
    };
    Err(ReconcileError::WrongAccount { account: account.id.clone(), bound, offered: identity.to_string() })
}

/// The balances of `account`: where the first answer is another's, the second one counts.
pub(super) async fn balances_of(
    exchange: &dyn ExchangeReader,
    account: &AccountIdentity,
) -> Result<Answer<BalanceSnapshot>, ExchangeError> {
    match exchange.fetch_balances(account).await {
        Err(error) if error.class() == ErrorClass::AnotherAccount => exchange.fetch_balances(account).await,
        answer => answer,
    }
}

/// One-way or hedge mode. Another one than is on record, or the first, takes two answers that agree.
pub(super) async fn mode_of(exchange: &dyn ExchangeReader, account: &Account) -> Result<PositionMode, ExchangeError> {
    let first = exchange.fetch_position_mode().await?;
    if account.observed_mode.as_ref().is_some_and(|observed| observed.mode == first) {
        return Ok(first);
    }
    let second = exchange.fetch_position_mode().await?;
    if second == first { Ok(second) } else { exchange.fetch_position_mode().await }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use exchange_client::binance_usdm::VENUE;
    use exchange_client::{Endpoint, ForeignText, Method, MockExchangeReader};
    use ledger_core::{AccountId, PositionModeSnapshot};

    use super::*;
    use crate::tests::{answer, at};

    fn named(alias: &str) -> AccountIdentity {
        AccountIdentity {
            venue: VENUE.name.into(),
            base_url: "https://exchange.test".into(),
            account_alias: alias.into(),
        }
    }

    fn account(alias: Option<&str>) -> Account {
        let identity = alias
            .map(|alias| ExchangeIdentity { base_url: "https://exchange.test".into(), alias: Some(alias.to_owned()) });
        Account {
            id: AccountId::new("main").unwrap(),
            venue: VENUE.name.into(),
            identity,
            user_id: None,
            position_mode: None,
            observed_mode: None,
            created_local: at(0),
        }
    }

    /// An exchange that names itself so, one answer after the other.
    fn naming(aliases: &[&'static str]) -> MockExchangeReader {
        let mut exchange = MockExchangeReader::new();
        let answers = Mutex::new(VecDeque::from(aliases.to_vec()));
        let times = aliases.len();
        let next = move || Ok(named(answers.lock().unwrap().pop_front().unwrap()));
        exchange.expect_account_identity().times(times).returning(next);
        exchange
    }

    #[tokio::test]
    async fn a_single_word_makes_nobody_another_account() {
        let bound = account(Some("a"));
        for (aliases, is_ours) in [
            (&["a"][..], Some(true)),
            // The binding is the second word.
            (&["b", "a"], Some(true)),
            (&["b", "c", "a"], Some(true)),
            (&["b", "b"], Some(false)),
            (&["b", "c", "b"], Some(false)),
            (&["b", "c", "d"], None),
        ] {
            let identified = identify(&naming(aliases), &bound).await;
            match is_ours {
                Some(true) => assert_eq!(identified.unwrap().account_alias, "a", "{aliases:?}"),
                Some(false) => {
                    assert!(matches!(identified, Err(ReconcileError::WrongAccount { .. })), "{aliases:?}");
                }
                None => assert!(matches!(identified, Err(ReconcileError::Contradiction { .. })), "{aliases:?}"),
            }
        }
    }

    #[tokio::test]
    async fn no_account_is_bound_by_a_single_word() {
        for (aliases, agreed) in
            [(&["a", "a"][..], "a"), (&["b", "a", "a"], "a"), (&["a", "b", "a"], "a"), (&["b", "b"], "b")]
        {
            let new = identify(&naming(aliases), &account(None)).await.unwrap();
            assert_eq!(new.account_alias, agreed, "{aliases:?}");
            assert_eq!(agreed_identity(&naming(aliases)).await.unwrap().account_alias, agreed, "{aliases:?}");
        }
    }

    #[tokio::test]
    async fn balances_of_another_account_are_asked_for_again() {
        for foreign in 0..3 {
            let mut exchange = MockExchangeReader::new();
            let mut left = foreign;
            exchange.expect_fetch_balances().times(foreign.clamp(0, 1) + 1).returning(move |asked| {
                if left == 0 {
                    return Ok(answer(vec![]));
                }
                left -= 1;
                let endpoint = Endpoint::new(Method::Get, "/balance", None);
                let asked = ForeignText::new(&asked.account_alias);
                Err(ExchangeError::AnotherAccount { endpoint, asked, answered: ForeignText::new("b") })
            });
            let balances = balances_of(&exchange, &named("a")).await;
            assert_eq!(balances.is_ok(), foreign < 2);
        }
    }

    #[tokio::test]
    async fn a_position_mode_is_news_when_two_answers_agree() {
        use PositionMode::{Hedge, OneWay};
        for (observed, answers, agreed) in [
            (Some(OneWay), &[OneWay][..], OneWay),
            (Some(OneWay), &[Hedge, OneWay, OneWay], OneWay),
            (Some(OneWay), &[Hedge, Hedge], Hedge),
            (None, &[OneWay, OneWay], OneWay),
            (None, &[Hedge, OneWay, OneWay], OneWay),
        ] {
            let mut exchange = MockExchangeReader::new();
            let mut left = VecDeque::from(answers.to_vec());
            exchange.expect_fetch_position_mode().times(answers.len()).returning(move || Ok(left.pop_front().unwrap()));
            let observed_mode = observed.map(|mode| PositionModeSnapshot { at: at(0), mode });
            let account = Account { observed_mode, ..account(None) };
            assert_eq!(mode_of(&exchange, &account).await.unwrap(), agreed, "{answers:?}");
        }
    }
}
