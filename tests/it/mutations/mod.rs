//! Files of every readable kind, damaged by a seeded generator, and imported: whatever is in a file, an import ends with an
//! answer, and the book behind it holds what the answer says.
//!
//! Each failure names its seed. With the seed, the same file comes about again:
//! `FILLBOOK_MUTATION_SEED=7 cargo test -p ledger-tests --locked --test it -- mutations`. The file stays below
//! `target/tmp`; once its cause is mended, it goes to `fixtures/import/finds`, where `finds_stay_mended` keeps it.

mod mutator;
mod seeds;
mod trial;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use self::mutator::Mutator;
use self::seeds::Seed;
use self::trial::Trials;

/// How many files the suite tries.
const FILES: u64 = 260;

#[expect(clippy::disallowed_methods, reason = "how much a run of the tests must cover is said by whoever starts it")]
fn numbers() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("FILLBOOK_MUTATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FILLBOOK_MUTATIONS").unwrap_or(FILES),
    }
}

/// The file of a number: its name and its bytes.
fn mutated(number: u64, seeds: &[Seed]) -> (String, Vec<u8>) {
    let mut mutator = Mutator::new(number);
    let seed = mutator.pick(seeds);
    let other = mutator.pick(seeds);
    (seed.name.clone(), mutator.mutate(seed, &other.bytes))
}

#[test]
fn a_damaged_file_of_any_kind_is_answered_and_the_book_holds_what_the_answer_says() {
    let trials = Trials::new();
    let seeds = seeds::all(trials.book());
    let numbers = numbers();
    let next = AtomicU64::new(numbers.start);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return failed;
            }
            let (name, bytes) = mutated(number, &seeds);
            if let Err(what) = trials.run(&name, &bytes) {
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mutation-{number}-{name}"));
                std::fs::write(&kept, &bytes).unwrap();
                failed.push(format!("FILLBOOK_MUTATION_SEED={number}: {what}\n    the file: {}", kept.display()));
            }
        }
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} of {} files:\n{}", failed.len(), numbers.end - numbers.start, failed.join("\n"));
}

/// Files that once made an import hang, panic, or record what it should not.
#[test]
fn finds_stay_mended() {
    let trials = Trials::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/import/finds");
    let mut tried = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        trials.run(name, &std::fs::read(&path).unwrap()).unwrap_or_else(|what| panic!("{name}: {what}"));
        tried += 1;
    }
    assert!(tried > 0);
}

/// What the suite tries does not depend on where and when it runs, and the files are damaged indeed.
#[test]
fn a_number_makes_the_same_file_again() {
    let trials = Trials::new();
    let seeds = seeds::all(trials.book());
    let untouched = (0..FILES).filter(|number| {
        let (name, bytes) = mutated(*number, &seeds);
        assert_eq!((name, bytes.clone()), mutated(*number, &seeds));
        seeds.iter().any(|seed| seed.bytes == bytes)
    });
    assert!(untouched.count() < 10);
}
