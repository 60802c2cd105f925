//! The ids that orders are sent with: derived from what an order is for, so that the same order has the same id however often
//! it is announced, and read back to strategy and role should the book lose its records.
//!
//! Invariants, each with a test of the same name:
//! 1. `the_same_order_has_the_same_id`, and every other one another.
//! 2. `an_id_fits_the_venue_and_tells_what_it_can`.

use ledger_core::{AccountId, ClientOrderId, EngineLabel, IntentRole};
use sha2::{Digest, Sha256};

use super::client_id::{ClientIdScheme, Room};

/// Letters and digits that nobody takes for another.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Sixty bits: among a million orders of an account two share them once in a million accounts.
const DIGEST_LEN: usize = 12;
/// What stands for a strategy whose name does not fit.
const ENGINE_DIGEST_LEN: usize = 8;

/// What an order is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose<'a> {
    /// Whose order.
    pub(crate) account: &'a AccountId,
    /// The signal or plan that it belongs to, in the bot's words.
    pub(crate) trade: &'a str,
    /// The strategy, where anybody says.
    pub(crate) engine: Option<&'a EngineLabel>,
    /// What it does to the position.
    pub(crate) role: IntentRole,
    /// Which addition to the position; 0 when it is none.
    pub(crate) step: u32,
    /// Which try, from 1.
    pub(crate) attempt: u32,
}

/// The id of an order, by the first of the bot's schemes that tells strategy and role and has room for it, else by
/// fillbook's own. `None` where no scheme can hold it, which fillbook's own always can.
pub(crate) fn derive(schemes: &[ClientIdScheme], purpose: &Purpose<'_>) -> Option<ClientOrderId> {
    let Purpose { account, trade, role, step, attempt, .. } = *purpose;
    let role_name = role.as_str();
    let base = digest(&[account.as_str(), trade, role_name, &step.to_string()], DIGEST_LEN);
    let numbered = format!("{base}x{attempt}");
    let Some(engine) = purpose.engine else { return ClientIdScheme::nameless().compose_as("", role, &numbered) };
    let by_scheme = schemes.iter().find_map(|scheme| {
        let unique = match scheme.room()? {
            Room::Any => numbered.clone(),
            // No room for the number beside the digest, so it is in it.
            Room::Exactly(width) => {
                digest(&[account.as_str(), trade, role_name, &step.to_string(), &attempt.to_string()], width)
            }
        };
        scheme.compose(engine, role, &unique)
    });
    let own = ClientIdScheme::default();
    by_scheme.or_else(|| own.compose(engine, role, &numbered)).or_else(|| {
        let engine = format!(".{}", digest(&[engine.as_str()], ENGINE_DIGEST_LEN));
        own.compose_as(&engine, role, &numbered)
    })
}

/// Letters that stand for some texts; no two lists of texts read the same.
pub(super) fn digest(texts: &[&str], len: usize) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text.as_bytes());
    }
    let letter = |byte: &u8| LETTERS.get(usize::from(*byte) % LETTERS.len()).copied().map_or('0', char::from);
    hash.finalize().iter().map(letter).take(len).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn purpose<'a>(account: &'a AccountId, engine: Option<&'a EngineLabel>) -> Purpose<'a> {
        Purpose { account, trade: "sig-1", engine, role: IntentRole::Entry, step: 0, attempt: 1 }
    }

    #[test]
    fn the_same_order_has_the_same_id() {
        let (main, other) = (AccountId::new("main").unwrap(), AccountId::new("other").unwrap());
        let engine = EngineLabel::new("swing").unwrap();
        let one = purpose(&main, Some(&engine));
        let variants = [
            one,
            Purpose { account: &other, ..one },
            Purpose { trade: "sig-2", ..one },
            Purpose { engine: None, ..one },
            Purpose { role: IntentRole::Exit, ..one },
            Purpose { step: 1, ..one },
            Purpose { attempt: 2, ..one },
            Purpose { attempt: 11, ..one },
        ];
        let scheme: ClientIdScheme = "b{engine:5}{role:1}{*:14}".parse().unwrap();
        for schemes in [&[][..], &[scheme]] {
            let ids: BTreeSet<_> = variants.iter().map(|variant| derive(schemes, variant).unwrap()).collect();
            assert_eq!(ids.len(), variants.len(), "{ids:?}");
            let again: BTreeSet<_> = variants.iter().map(|variant| derive(schemes, variant).unwrap()).collect();
            assert_eq!(ids, again);
        }
        // What is written in books and at exchanges stays what it is: another digest would find none of it again.
        assert_eq!(derive(&[], &one).unwrap().as_str(), "fb:swing:e:3b9mqwnx8t2rx1");
    }

    #[test]
    fn an_id_fits_the_venue_and_tells_what_it_can() {
        let account = AccountId::new("main").unwrap();
        let read = |schemes: &[ClientIdScheme], engine: Option<&str>, attempt: u32| {
            let engine = engine.map(|engine| EngineLabel::new(engine).unwrap());
            let id = derive(schemes, &Purpose { attempt, ..purpose(&account, engine.as_ref()) }).unwrap();
            assert!(id.as_str().len() <= 36, "{id}");
            let all: Vec<_> = schemes.iter().cloned().chain(ClientIdScheme::own()).collect();
            let label = all.iter().find_map(|scheme| scheme.read(&id)).unwrap();
            assert_eq!(label.role, Some(IntentRole::Entry), "{id}");
            label.engine.map(|engine| engine.to_string())
        };
        assert_eq!(read(&[], Some("atr_swing_momentu"), 9), None, "a name that does not fit is a digest");
        assert_eq!(read(&[], Some("atr_swing_moment"), 9).as_deref(), Some("atr_swing_moment"));
        assert_eq!(read(&[], Some("추세"), 1), None);
        assert_eq!(read(&[], Some("a:e"), 1), None, "what would be read as another is a digest");
        assert_eq!(read(&[], Some(&"long".repeat(30)), 9_999), None);
        assert_eq!(read(&[], None, 9_999), None);
        let own: ClientIdScheme = "bot_{engine}_{role}_{*}".parse().unwrap();
        let short = own.with_engines(BTreeMap::from([("t".to_owned(), EngineLabel::new("추세").unwrap())]));
        assert_eq!(read(&[short], Some("추세"), 1).as_deref(), Some("추세"));
        // A pattern that does not tell the role is not written, only read.
        let half: ClientIdScheme = "bot_{engine}_{*}".parse().unwrap();
        assert_eq!(read(&[half], Some("swing"), 1).as_deref(), Some("swing"));
    }
}
