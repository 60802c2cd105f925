//! What the wallet holds once a close is done.
//!
//! A wallet is stated as a single number that no other says again, and an answer may be an old one: what a trade moved is told
//! a moment after the trade. A look asks the ledger about it; a close does not wait for that. So a statement is recorded here
//! only where the last one on record and the fills since lead to it, to the last digit; every other one is left to the next
//! look. Another trade of the account in the same moment can still make it one that later looks have to outvote.

use std::collections::BTreeMap;

use exchange_client::{AccountIdentity, Stated};
use ledger_core::footing::amounts_foot_between;
use ledger_core::{Asset, BalanceSnapshot, Decimal, EventTime};

use super::Executor;
use super::outcome::BalanceRemark;

/// An amount by which a wallet moved.
#[derive(Debug, Clone)]
pub(super) struct Moved {
    pub(super) asset: Asset,
    pub(super) time: EventTime,
    pub(super) amount: Decimal,
}

/// What is on record of the account's wallets.
#[derive(Debug, Clone)]
pub(super) struct WalletBasis {
    pub(super) identity: AccountIdentity,
    /// What was stated last.
    pub(super) known: BTreeMap<Asset, BalanceSnapshot>,
    /// By what the wallets moved since then, the earliest first.
    pub(super) moved: Vec<Moved>,
}

impl WalletBasis {
    /// Whether what is on record leads to a statement; `None` where that is no news, or nothing is on record to start from:
    /// the first balance of an asset takes two answers.
    fn explains(&self, stated: &BalanceSnapshot) -> Option<bool> {
        let known = self.known.get(&stated.asset)?;
        if known.wallet == stated.wallet || stated.at < known.at {
            return None;
        }
        if stated.at == known.at {
            // Two numbers of one moment: one of them is of the middle of what moved in it.
            return Some(false);
        }
        let moved = stated.wallet.checked_sub(known.wallet).ok()?;
        let since = self.moved.iter().filter(|it| it.asset == stated.asset && it.time.at >= known.at);
        let amounts = since.map(|it| (it.time, it.amount));
        Some(amounts_foot_between(amounts, known.at, stated.at, moved).unwrap_or(false))
    }
}

impl Executor {
    /// The statements of wallets that what is on record leads to, and what is to be said of the others.
    pub(super) async fn explained_wallets(
        &self,
        basis: &WalletBasis,
    ) -> (Vec<Stated<BalanceSnapshot>>, Option<BalanceRemark>) {
        let answer = match self.venue.balances(&basis.identity, self.settings.verdict_wait).await {
            Ok(answer) => answer,
            Err(error) => return (Vec::new(), Some(BalanceRemark::NotAnswered(error))),
        };
        let (mut explained, mut remark) = (Vec::new(), None);
        for row in answer.rows {
            match basis.explains(&row.entity) {
                Some(true) => explained.push(row),
                Some(false) => remark = Some(BalanceRemark::Unexplained(row.entity)),
                None => {}
            }
        }
        (explained, remark)
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::TimestampMs;

    use super::*;

    fn at(ms: i64) -> TimestampMs {
        TimestampMs::new(1_780_000_000_000 + ms).unwrap()
    }

    fn stated(asset: &str, wallet: &str, ms: i64) -> BalanceSnapshot {
        BalanceSnapshot { asset: Asset::new(asset).unwrap(), at: at(ms), wallet: wallet.parse().unwrap() }
    }

    /// What moved, what the wallet is stated as a minute after the statement on record (1000), and whether that is explained.
    #[test]
    fn a_wallet_is_explained_by_what_moved_it_to_the_last_digit() {
        type Moves<'a> = &'a [(i64, &'a str)];
        let amounts: [(Moves<'_>, &str, Option<bool>); 9] = [
            (&[(30_000, "2.5"), (30_000, "-0.05")], "1002.45", Some(true)),
            (&[(30_000, "2.5"), (30_000, "-0.05")], "1002.45000001", Some(false)),
            // An old answer: the close is not in it, or half of it.
            (&[(30_000, "2.5"), (30_000, "-0.05")], "1000", None),
            (&[(30_000, "2.5"), (59_000, "-0.05")], "1002.5", Some(false)),
            // Something moved that is not on record.
            (&[], "1002.45", Some(false)),
            // The last statement was given at the moment of a trade, and may have had it or not.
            (&[(500, "-0.05"), (30_000, "2.5")], "1002.45", Some(true)),
            (&[(500, "-0.05"), (30_000, "2.5")], "1002.5", Some(true)),
            (&[(5_000, "-0.05"), (30_000, "2.5")], "1002.5", Some(false)),
            // What moved before it was stated last is in it.
            (&[(-30_000, "7"), (30_000, "2.5")], "1002.5", Some(true)),
        ];
        for (moved, wallet, expected) in amounts {
            let moved = moved.iter().map(|(ms, amount)| Moved {
                asset: Asset::new("USDT").unwrap(),
                time: EventTime::ms(at(*ms)),
                amount: amount.parse().unwrap(),
            });
            let known = stated("USDT", "1000", 0);
            let basis = WalletBasis {
                identity: AccountIdentity {
                    venue: String::new(),
                    base_url: String::new(),
                    account_alias: String::new(),
                },
                known: [(known.asset.clone(), known)].into(),
                moved: moved.collect(),
            };
            assert_eq!(basis.explains(&stated("USDT", wallet, 60_000)), expected, "{basis:?} {wallet}");
            // Of another asset nothing is on record, and nothing older than what is on record is news.
            assert_eq!(basis.explains(&stated("BNB", wallet, 60_000)), None);
            assert_eq!(basis.explains(&stated("USDT", "7", -1)), None);
            // Another number of the very moment on record is news that nothing leads to.
            assert_eq!(basis.explains(&stated("USDT", "7", 0)), Some(false));
            assert_eq!(basis.explains(&stated("USDT", "1000", 0)), None);
        }
    }
}
