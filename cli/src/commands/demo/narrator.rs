//! How the demo is told.

use std::collections::BTreeMap;

use crate::Context;
use crate::error::CommandError;

/// The beginning of a long piece of evidence, up to a word's end; `repairs` has all of it.
pub(super) fn shortened(evidence: &str) -> String {
    const CHARS_MAX: usize = 110;
    let mut shown = String::new();
    for word in evidence.split(' ') {
        if shown.chars().count() + word.chars().count() > CHARS_MAX {
            return format!("{shown} ...");
        }
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(word);
    }
    shown
}

/// Tells the story to a person; a program gets a summary at the end.
pub(super) struct Narrator {
    pub(super) prose: bool,
}

impl Narrator {
    pub(super) fn heading(&self, context: &mut Context, title: &str) -> Result<(), CommandError> {
        if self.prose {
            context.output.line(&format!("\n{title}\n"))?;
        }
        Ok(())
    }

    pub(super) fn say(&self, context: &mut Context, text: &str) -> Result<(), CommandError> {
        if self.prose {
            let width = context.output.width.unwrap_or(100).clamp(40, 100);
            context.output.paragraph_within(text, width)?;
        }
        Ok(())
    }

    /// A text beside its title, wrapped.
    pub(super) fn item(
        &self,
        context: &mut Context,
        title: &str,
        title_width: usize,
        text: &str,
    ) -> Result<(), CommandError> {
        if self.prose {
            context.output.titled(title, title_width, text)?;
        }
        Ok(())
    }

    /// Each kind once, with how often it is there and its shortest example.
    pub(super) fn kinds<'a>(
        &self,
        context: &mut Context,
        items: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), CommandError> {
        let mut kinds: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for (kind, evidence) in items {
            let (number, shortest) = kinds.entry(kind).or_insert((0, evidence));
            *number += 1;
            if evidence.len() < shortest.len() {
                *shortest = evidence;
            }
        }
        let titles: Vec<_> = kinds.iter().map(|(kind, (number, _))| format!("{number:>2} {kind}")).collect();
        let width = titles.iter().map(String::len).max().unwrap_or(0);
        for (title, (number, evidence)) in titles.iter().zip(kinds.values()) {
            let example = if *number > 1 { "as in: " } else { "" };
            self.item(context, title, width, &format!("{example}{}", shortened(evidence)))?;
        }
        Ok(())
    }
}
