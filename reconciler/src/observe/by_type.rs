//! Ledger rows that nothing demands (transfers, rebates, rewards) are asked for in a second cut: each type by its own name. Two
//! answers that are cut the same way may lack the same row, and no trade and no position tells of it.
//!
//! Invariants, each with a test of the same name:
//! 1. `types_that_nothing_demands_are_asked_for_once_a_day_of_what_is_confirmed`, and a type that is new from the beginning on.
//! 2. `a_type_that_the_exchange_does_not_know_by_name_has_no_rows`, and keeps no other one waiting.
//! 3. `what_is_not_answered_ends_the_questions`, and what was answered before counts.
//! 4. `the_questions_of_one_look_are_few`, and the next look goes on.
//! 5. `rows_that_were_not_listed_are_asked_for_in_short_windows`.

use std::collections::BTreeSet;

use exchange_client::{ErrorClass, ExchangeError, ExchangeReader, Stated, TimeWindow, VenueFacts, WindowQuery};
use ledger_core::{Income, IncomeType, LedgerPlace, TimestampMs};
use ledger_store::{Discrepancy, SyncCursor};

use crate::confirming::ReadBefore;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::ReconcileError;
use crate::policy::Policy;
use crate::streams::{INCOME, income_by_type, reached};

/// What the ledger answered when it was asked for one type of rows after the other.
#[derive(Debug, Default)]
pub(crate) struct ByType {
    /// Each type that was answered.
    pub answers: Vec<TypeAnswer>,
    /// What ended the questions: the types behind it were not asked for.
    pub error: Option<ExchangeError>,
}

/// The ledger rows of one type.
#[derive(Debug)]
pub(crate) struct TypeAnswer {
    /// The type.
    pub income_type: IncomeType,
    /// Of which time.
    pub window: TimeWindow,
    /// The rows; those that the book lacks, once it was compared with them.
    pub rows: Vec<Stated<Income>>,
    /// The rows that the book has by the exchange's word and that are not among these, by time.
    pub unlisted: Vec<Income>,
    /// Whether the exchange refused to answer: not every type that was ever seen can be asked for, and this one is on the
    /// list of all types alone.
    pub is_refused: bool,
}

impl TypeAnswer {
    /// Whether it says what the ledger of all types said.
    pub(crate) fn agrees(&self) -> bool {
        self.rows.is_empty() && self.unlisted.is_empty()
    }
}

/// What decides which types are asked for.
pub(super) struct Due<'a> {
    pub(super) venue: &'a VenueFacts,
    pub(super) policy: &'a Policy,
    pub(super) read_before: &'a ReadBefore,
    pub(super) cursors: &'a [SyncCursor],
    pub(super) discrepancies: &'a [Discrepancy],
    /// The first instant that the exchange answers for.
    pub(super) oldest: TimestampMs,
}

impl Due<'_> {
    /// The types to ask for, of those of the venue's table and of those on record, and of which time: what two looks have
    /// read among all types.
    pub(super) fn types(&self, on_record: Vec<IncomeType>) -> Result<Vec<(IncomeType, WindowQuery)>, ReconcileError> {
        let rules = &self.venue.ledger_rules;
        let named = rules.entries().filter_map(|(name, _)| name.parse().ok());
        // Trades and held positions demand the others.
        let is_demanded = |of: &IncomeType| matches!(rules.place(of), LedgerPlace::Fill | LedgerPlace::Funding);
        let types: BTreeSet<IncomeType> = named.chain(on_record).filter(|of| !is_demanded(of)).collect();
        let Some((first, end)) = self.read_before.confirmed_reach((INCOME, None)) else { return Ok(Vec::new()) };
        let mut due = Vec::new();
        for income_type in types {
            let asked = reached(self.cursors, &income_by_type(&income_type), None)?;
            let since = asked.unwrap_or(first).max(self.oldest);
            let is_due =
                asked.is_none_or(|asked| end.as_ms().saturating_sub(asked.as_ms()) >= self.policy.by_type_stride_ms);
            if is_due && since < end {
                let query = WindowQuery::new(TimeWindow::up_to(end.saturating_add_ms(-1), since));
                // Where rows were not listed, they may have been cut off a long window, whatever is documented.
                let step_ms =
                    if self.lacks_rows(&income_type) { self.venue.income.window_ms_max } else { query.step_ms };
                due.push((income_type, WindowQuery { step_ms, ..query }));
            }
        }
        // What was doubted has its turn first, and then what lies furthest back, which the exchange forgets first.
        due.sort_by_key(|(income_type, query)| (!self.lacks_rows(income_type), query.window.since()));
        Ok(due)
    }

    /// Whether the last look found that rows on record are not listed under their type.
    fn lacks_rows(&self, income_type: &IncomeType) -> bool {
        let (kind, fingerprint) =
            (DiscrepancyKind::UnequalLedger, Subject::LedgerType(income_type.clone()).to_string());
        let mut keys = self.discrepancies.iter().map(|known| &known.entry.key);
        keys.any(|key| key.kind == kind.as_str() && key.fingerprint == fingerprint)
    }
}

/// Asks for them, as far as the policy's requests and rows go: the rest has its turn in later looks.
pub(super) async fn ask_by_type(
    exchange: &dyn ExchangeReader,
    due: Vec<(IncomeType, WindowQuery)>,
    policy: &Policy,
) -> ByType {
    let mut by_type = ByType::default();
    let mut requests_left = policy.by_type_requests_max;
    for (income_type, query) in due {
        let (window, step_ms) = (query.window, query.step_ms);
        let (mut rows, mut next, mut until) = (Vec::new(), Some(query), Some(window.until()));
        let mut is_refused = false;
        while let Some(query) = next.take() {
            let begin = query.window.since();
            if requests_left == 0 || (rows.len() >= policy.history_rows_max && begin > window.since()) {
                until = Some(begin.saturating_add_ms(-1));
                break;
            }
            requests_left -= 1;
            match exchange.fetch_income(Some(income_type.clone()), query).await {
                Ok(page) => {
                    rows.extend(page.rows);
                    // Steps grow by themselves where little comes; here they stay as short as they were asked for.
                    next = page.next.map(|next| WindowQuery { step_ms: next.step_ms.min(step_ms), ..next });
                }
                Err(error) if error.class() == ErrorClass::Refused => {
                    // Where some of it was answered, nothing is known of the type.
                    is_refused = true;
                    until = until.filter(|_| begin == window.since());
                }
                Err(error) => {
                    by_type.error = Some(error);
                    return by_type;
                }
            }
        }
        if let Some(until) = until.filter(|until| *until >= window.since()) {
            let window = TimeWindow::up_to(until, window.since());
            by_type.answers.push(TypeAnswer { income_type, window, rows, unlisted: Vec::new(), is_refused });
        }
    }
    by_type
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use exchange_client::binance_usdm::VENUE;
    use exchange_client::{MockExchangeReader, Page};
    use ledger_store::{CoverageGrade, CoverageSpan};

    use super::*;
    use crate::finding::{Finding, Outlook};
    use crate::tests::{at, known, lost, page, refused, transfer};

    const DAY_MS: i64 = 86_400_000;

    fn queries(
        cursors: &[SyncCursor],
        discrepancies: &[Discrepancy],
        on_record: &[&str],
        oldest: TimestampMs,
    ) -> Vec<(IncomeType, WindowQuery)> {
        let span = |grade, since: i64, until: i64| CoverageSpan {
            stream: INCOME.into(),
            symbol: None,
            grade,
            since: at(since),
            until: at(until),
        };
        let (asked, confirmed) = (CoverageGrade::Asked, CoverageGrade::Confirmed);
        let coverage =
            vec![span(confirmed, 0, DAY_MS), span(confirmed, DAY_MS + 9, 3 * DAY_MS), span(asked, 0, 4 * DAY_MS)];
        let read_before = ReadBefore::new(coverage, Vec::new(), Vec::new());
        let policy = Policy::default();
        let read_before = &read_before;
        let due = Due { venue: &VENUE, policy: &policy, read_before, cursors, discrepancies, oldest };
        due.types(on_record.iter().map(|name| name.parse().unwrap()).collect()).unwrap()
    }

    fn due(cursors: &[SyncCursor], on_record: &[&str], oldest: TimestampMs) -> Vec<(String, TimeWindow)> {
        let queries = queries(cursors, &[], on_record, oldest).into_iter();
        queries.map(|(income_type, query)| (income_type.to_string(), query.window)).collect()
    }

    fn cursor(of: &str, ms: i64) -> SyncCursor {
        let stream = income_by_type(&of.parse().unwrap());
        SyncCursor { stream, symbol: None, position: at(ms).as_ms().to_string() }
    }

    #[test]
    fn types_that_nothing_demands_are_asked_for_once_a_day_of_what_is_confirmed() {
        let all = due(&[], &["BRAND_NEW", "COMMISSION", "FUNDING_FEE"], at(-9));
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        for asked in ["TRANSFER", "API_REBATE", "REFERRAL_KICKBACK", "INSURANCE_CLEAR", "BRAND_NEW"] {
            assert!(names.contains(&asked), "{asked}: {names:?}");
        }
        for demanded in ["COMMISSION", "REALIZED_PNL", "FUNDING_FEE"] {
            assert!(!names.contains(&demanded), "{demanded}");
        }
        let whole = TimeWindow::up_to(at(3 * DAY_MS - 1), at(0));
        assert!(all.iter().all(|(_, window)| *window == whole));
        // One that was asked for goes on where it was asked to, and only when a day was read since.
        let cursors = [cursor("TRANSFER", 2 * DAY_MS), cursor("API_REBATE", 2 * DAY_MS + 1)];
        let rest = due(&cursors, &[], at(5));
        let of = |name: &str| rest.iter().find(|(other, _)| other == name).map(|(_, window)| *window);
        assert_eq!(of("TRANSFER"), Some(TimeWindow::up_to(at(3 * DAY_MS - 1), at(2 * DAY_MS))));
        assert_eq!(of("API_REBATE"), None);
        // What the exchange has forgotten is not asked for.
        assert_eq!(of("CONTEST_REWARD"), Some(TimeWindow::up_to(at(3 * DAY_MS - 1), at(5))));
        assert_eq!(due(&[], &[], at(3 * DAY_MS)), []);
    }

    #[tokio::test]
    async fn rows_that_were_not_listed_are_asked_for_in_short_windows() {
        let subject = Subject::LedgerType("TRANSFER".parse().unwrap());
        let finding = Finding::new(DiscrepancyKind::UnequalLedger, None, subject, Outlook::Stays, String::new());
        let short: Vec<_> = queries(&[], &[known(&finding)], &[], at(0))
            .into_iter()
            .filter(|(_, query)| query.step_ms == VENUE.income.window_ms_max)
            .map(|(income_type, _)| income_type.to_string())
            .collect();
        assert_eq!(short, ["TRANSFER"]);
        // They come first, and stay short.
        let queries = queries(&[], &[known(&finding)], &[], at(0));
        assert!(queries[0].0.is("TRANSFER") && !queries[1].0.is("TRANSFER"));
        let steps = Arc::new(Mutex::new(Vec::new()));
        let mut exchange = MockExchangeReader::new();
        let asked = Arc::clone(&steps);
        exchange.expect_fetch_income().returning(move |_, query| {
            asked.lock().unwrap().push(query.step_ms);
            let next = query.window.after(query.window.head(query.step_ms));
            Ok(Page { next: next.map(WindowQuery::new), ..page(vec![]) })
        });
        let window = TimeWindow::up_to(at(999), at(0));
        let doubted = vec![("TRANSFER".parse().unwrap(), WindowQuery { window, step_ms: 250 })];
        ask_by_type(&exchange, doubted, &Policy::default()).await;
        assert_eq!(*steps.lock().unwrap(), [250; 4]);
    }

    async fn ask(exchange: &MockExchangeReader) -> ByType {
        let window = TimeWindow::up_to(at(0), at(-1_000));
        let due = ["API_REBATE", "TRANSFER"].map(|name| (name.parse().unwrap(), WindowQuery::new(window))).to_vec();
        ask_by_type(exchange, due, &Policy::default()).await
    }

    #[tokio::test]
    async fn a_type_that_the_exchange_does_not_know_by_name_has_no_rows() {
        let mut exchange = MockExchangeReader::new();
        exchange.expect_fetch_income().returning(|income_type, _| {
            if income_type.is_some_and(|of| of.is("TRANSFER")) {
                Ok(page(vec![transfer(1, -500)]))
            } else {
                Err(refused())
            }
        });
        let by_type = ask(&exchange).await;
        assert!(by_type.error.is_none());
        let told =
            by_type.answers.iter().map(|answer| (answer.income_type.as_str(), answer.rows.len(), answer.is_refused));
        assert_eq!(told.collect::<Vec<_>>(), [("API_REBATE", 0, true), ("TRANSFER", 1, false)]);
        // One that is refused in the middle is not known at all.
        let mut exchange = MockExchangeReader::new();
        exchange.expect_fetch_income().returning(|_, query| {
            let step = query.window.head(100);
            if step.since() > at(-1_000) {
                return Err(refused());
            }
            Ok(Page { next: query.window.after(step).map(WindowQuery::new), ..page(vec![]) })
        });
        let by_type = ask(&exchange).await;
        assert!(by_type.error.is_none() && by_type.answers.is_empty(), "{by_type:?}");
    }

    #[tokio::test]
    async fn what_is_not_answered_ends_the_questions() {
        let mut exchange = MockExchangeReader::new();
        exchange.expect_fetch_income().times(2).returning(|income_type, _| {
            if income_type.is_some_and(|of| of.is("TRANSFER")) { Err(lost()) } else { Ok(page(vec![])) }
        });
        let by_type = ask(&exchange).await;
        assert!(by_type.error.is_some());
        assert_eq!(by_type.answers.len(), 1);
    }

    #[tokio::test]
    async fn the_questions_of_one_look_are_few() {
        // Each request answers for 100 ms and has a row.
        let mut exchange = MockExchangeReader::new();
        exchange.expect_fetch_income().returning(|_, query| {
            let step = query.window.head(100);
            let ms = step.since().as_ms() - at(0).as_ms();
            let next = query.window.after(step).map(WindowQuery::new);
            Ok(Page { next, ..page(vec![transfer(usize::try_from(1_000 + ms).unwrap(), ms)]) })
        });
        let window = |until: i64| TimeWindow::up_to(at(until), at(-1_000));
        let due = || {
            ["API_REBATE", "TRANSFER", "WELCOME_BONUS"]
                .map(|name| (name.parse().unwrap(), WindowQuery::new(window(-1))))
                .to_vec()
        };
        let asked = async |requests, rows| {
            let policy = Policy { by_type_requests_max: requests, history_rows_max: rows, ..Policy::default() };
            let by_type = ask_by_type(&exchange, due(), &policy).await;
            assert!(by_type.error.is_none());
            by_type.answers.iter().map(|answer| (answer.window, answer.rows.len())).collect::<Vec<_>>()
        };
        assert_eq!(asked(30, 100).await, [(window(-1), 10); 3]);
        // Where the requests end, what was asked for ends, too.
        assert_eq!(asked(13, 100).await, [(window(-1), 10), (window(-701), 3)]);
        assert_eq!(asked(10, 100).await, [(window(-1), 10)]);
        assert_eq!(asked(0, 100).await, []);
        // Many rows of one type do not keep the others waiting.
        assert_eq!(asked(30, 2).await, [(window(-801), 2); 3]);
    }
}
