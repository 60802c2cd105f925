//! What the wallet holds once a close is done.
//!
//! A wallet is stated as a single number that no other says again, and an answer may be an old one: what a trade moved is told
//! a moment after the trade. A look asks the ledger about it; a close does not wait for that. So a statement is recorded here
//! only where the last one on record and the fills since lead to it, to the last digit, no order of this book is under way, and
//! the last of those fills lies before the millisecond in which it was asked for: another one of that millisecond, as of the
//! other leg of a hedge, could have come behind the statement. Every other one is left to the next look. An order of another
//! book or an old answer can still make it one that later looks have to outvote.

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

/// What a statement of a wallet is to what is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The book leads to it, to the last digit, and all that it can have of trades is over.
    Explained,
    /// The wallet moved in the very millisecond, or after it: what else moves in that millisecond may be in it or not.
    InTheMoment,
    /// The book does not lead to it.
    Unexplained,
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
    fn standing(&self, stated: &BalanceSnapshot) -> Option<Standing> {
        let known = self.known.get(&stated.asset)?;
        if known.wallet == stated.wallet || stated.at < known.at {
            return None;
        }
        let since = || self.moved.iter().filter(|it| it.asset == stated.asset && it.time.at >= known.at);
        if stated.at == known.at || since().any(|it| it.time.latest() >= stated.at) {
            // Two numbers of one moment, one of them of the middle of what moved in it; or another trade of that moment, as
            // of the other leg, may still come, and what is stated now would be such a number.
            return Some(Standing::InTheMoment);
        }
        let Ok(moved) = stated.wallet.checked_sub(known.wallet) else { return Some(Standing::Unexplained) };
        let amounts = since().map(|it| (it.time, it.amount));
        let foots = amounts_foot_between(amounts, known.at, stated.at, moved).unwrap_or(false);
        Some(if foots { Standing::Explained } else { Standing::Unexplained })
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
            match basis.standing(&row.entity) {
                Some(Standing::Explained) => explained.push(row),
                Some(Standing::InTheMoment) => remark = Some(BalanceRemark::InTheMoment(row.entity)),
                Some(Standing::Unexplained) => remark = Some(BalanceRemark::Unexplained(row.entity)),
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
        let amounts: [(Moves<'_>, &str, Option<Standing>); 13] = [
            (&[(30_000, "2.5"), (30_000, "-0.05")], "1002.45", Some(Standing::Explained)),
            (&[(30_000, "2.5"), (30_000, "-0.05")], "1002.45000001", Some(Standing::Unexplained)),
            // An old answer: the close is not in it, or half of it.
            (&[(30_000, "2.5"), (30_000, "-0.05")], "1000", None),
            (&[(30_000, "2.5"), (59_000, "-0.05")], "1002.5", Some(Standing::Unexplained)),
            // Something moved that is not on record.
            (&[], "1002.45", Some(Standing::Unexplained)),
            // The last statement was given at the moment of a trade, and may have had it or not.
            (&[(500, "-0.05"), (30_000, "2.5")], "1002.45", Some(Standing::Explained)),
            (&[(500, "-0.05"), (30_000, "2.5")], "1002.5", Some(Standing::Explained)),
            (&[(5_000, "-0.05"), (30_000, "2.5")], "1002.5", Some(Standing::Unexplained)),
            // Another trade of the millisecond in which it was stated may be in it or not, and later ones may not.
            (&[(59_999, "2.5")], "1002.5", Some(Standing::Explained)),
            (&[(60_000, "2.5")], "1002.5", Some(Standing::InTheMoment)),
            (&[(60_001, "2.5")], "1002.5", Some(Standing::InTheMoment)),
            (&[(30_000, "2.5"), (60_000, "-0.05")], "1002.5", Some(Standing::InTheMoment)),
            // What moved before it was stated last is in it.
            (&[(-30_000, "7"), (30_000, "2.5")], "1002.5", Some(Standing::Explained)),
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
            assert_eq!(basis.standing(&stated("USDT", wallet, 60_000)), expected, "{basis:?} {wallet}");
            // Of another asset nothing is on record, and nothing older than what is on record is news.
            assert_eq!(basis.standing(&stated("BNB", wallet, 60_000)), None);
            assert_eq!(basis.standing(&stated("USDT", "7", -1)), None);
            // Another number of the very moment on record is news: one of the two is of the middle of that moment.
            assert_eq!(basis.standing(&stated("USDT", "7", 0)), Some(Standing::InTheMoment));
            assert_eq!(basis.standing(&stated("USDT", "1000", 0)), None);
        }
    }
}
