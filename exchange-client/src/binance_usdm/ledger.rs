//! Where the entries of Binance's USD-M ledger belong.
//!
//! Most kinds are documented (`incomeType` of `GET /fapi/v1/income`), without a word on what they belong to. The others are
//! seen in users' exports and in public tools that read them.

use ledger_core::{LedgerPlace as Place, LedgerRules};

pub(super) const RULES: LedgerRules = LedgerRules::new(&[
    ("REALIZED_PNL", Place::Fill),
    ("COMMISSION", Place::Fill),
    ("REFERRAL_KICKBACK", Place::Kickback),
    ("FUNDING_FEE", Place::Funding),
    ("INSURANCE_CLEAR", Place::Clearance),
    ("LIQUIDATION_FEE", Place::Clearance),
    // The exchange's own spelling.
    ("DELIVERED_SETTELMENT", Place::Settlement),
    // Nobody says at which instant, nor on which position.
    ("SPECIAL_FUNDING_FEE", Place::Contract),
    ("COMMISSION_REBATE", Place::Account),
    ("COMISSION_REBATE", Place::Account),
    ("API_REBATE", Place::Account),
    ("FEE_RETURN", Place::Account),
    ("CONTEST_REWARD", Place::Account),
    ("BFUSD_REWARD", Place::Account),
    ("WELCOME_BONUS", Place::Account),
    ("CASH_COUPON", Place::Account),
    ("FUTURES_PRESENT", Place::Account),
    ("POSITION_LIMIT_INCREASE_FEE", Place::Account),
    ("OPTIONS_PREMIUM_FEE", Place::Account),
    ("OPTIONS_SETTLE_PROFIT", Place::Account),
    ("EVENT_CONTRACTS_ORDER", Place::Account),
    ("EVENT_CONTRACTS_PAYOUT", Place::Account),
    ("EVENT_CONTRACTS_REFUND", Place::Account),
    ("EVENT_CONTRACTS_FEE", Place::Account),
    ("AUTO_EXCHANGE", Place::Conversion),
    ("COIN_SWAP_DEPOSIT", Place::Conversion),
    ("COIN_SWAP_WITHDRAW", Place::Conversion),
    ("TRANSFER", Place::Transfer),
    ("INTERNAL_TRANSFER", Place::Transfer),
    ("CROSS_COLLATERAL_TRANSFER", Place::Transfer),
    ("STRATEGY_UMFUTURES_TRANSFER", Place::Transfer),
    ("POSITION_CLAIM_TRANSFER", Place::Transfer),
]);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::VENUE;
    use super::*;

    #[test]
    fn every_known_kind_of_entry_has_one_place() {
        let names: Vec<&str> = RULES.entries().map(|(name, _)| name).collect();
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), distinct.len());
        for known in VENUE.income_types {
            assert_ne!(VENUE.ledger_rules.place(&known.name.parse().unwrap()), Place::Unknown, "{}", known.name);
        }
        assert_eq!(VENUE.ledger_rules.place(&"SOMETHING_NEW_2027".parse().unwrap()), Place::Unknown);
        assert!(RULES.entries().all(|(_, place)| place != Place::Unknown));
    }
}
