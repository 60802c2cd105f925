//! What a contract's name tells about it, for when `exchangeInfo` is out of reach or no longer lists the contract.

use ledger_core::{Asset, Instrument, Symbol};

/// The assets that USD-M contracts are quoted and settled in. Longer names first where one ends with another.
const QUOTE_ASSETS: &[&str] = &["FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD1", "BTC"];

/// The assets that futures wallets hold and fees are paid in. New ones come every year; exports then write them apart from
/// their number.
pub(crate) const WALLET_ASSETS: &[&str] = &[
    "USDT", "USDC", "BNB", "BNFCR", "FDUSD", "BUSD", "TUSD", "USD1", "BFUSD", "RWUSD", "LDUSDT", "BTC", "ETH", "SOL",
    "XRP", "EUR", "USD",
];

/// The contract that a USD-M symbol names: linear, one base unit each, settled in its quote asset.
///
/// `None` when the name does not end with an asset that such contracts are quoted in. Steps stay unknown.
///
/// ```
/// use exchange_client::binance_usdm::instrument_from_symbol;
/// use ledger_core::Symbol;
///
/// let quarterly = instrument_from_symbol(&Symbol::new("ETHUSDT_260626")?).ok_or("not recognised")?;
/// assert_eq!(quarterly.settle_asset.as_str(), "USDT");
/// assert!(instrument_from_symbol(&Symbol::new("BTCUSD_PERP")?).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn instrument_from_symbol(symbol: &Symbol) -> Option<Instrument> {
    let pair = match symbol.as_str().split_once('_') {
        None => symbol.as_str(),
        Some((pair, delivery)) if delivery.len() == 6 && delivery.bytes().all(|byte| byte.is_ascii_digit()) => pair,
        Some(_) => return None,
    };
    let quote = QUOTE_ASSETS.iter().find(|quote| pair.strip_suffix(**quote).is_some_and(base_asset_like))?;
    Instrument::linear(symbol.clone(), Asset::new(quote).ok()?).ok()
}

/// Upper case, digits, and scripts without case: `BTC`, `1000PEPE`, `币安人生`; not the `BTC/` of a unified symbol.
fn base_asset_like(base: &str) -> bool {
    !base.is_empty() && base.chars().all(|c| c.is_alphanumeric() && !c.is_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_settlement_asset_or_nothing() {
        for (symbol, settled_in) in [
            ("BTCUSDT", Some("USDT")),
            ("ETHUSDC", Some("USDC")),
            ("ETHBTC", Some("BTC")),
            ("DOGEBUSD", Some("BUSD")),
            ("BTCFDUSD", Some("FDUSD")),
            ("1000PEPEUSDT", Some("USDT")),
            ("币安人生USDT", Some("USDT")),
            ("BTCUSDT_260626", Some("USDT")),
            ("BTCDOMUSDT", Some("USDT")),
            ("USDT", None),
            ("BTCUSD_PERP", None),
            ("BTCUSD_260626", None),
            ("BTCUSDT_2606", None),
            ("BTC/USDT", None),
            ("BTC-USDT", None),
            ("btcusdt", None),
            ("AAPL", None),
        ] {
            let found = instrument_from_symbol(&Symbol::new(symbol).unwrap());
            assert_eq!(found.as_ref().map(|i| i.settle_asset.as_str()), settled_in, "{symbol}");
            assert!(found.is_none_or(|i| i.symbol.as_str() == symbol && i.multiplier.get().to_string() == "1"));
        }
    }
}
