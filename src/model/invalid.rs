//! Everything that is wrong with a spec, at once: nobody should correct one fault only to hear of the next.

use std::fmt::{Display, Formatter};

use thiserror::Error;

use super::words::{NAMED, QUOTE, cut};
use crate::settings;

/// One fault of a spec. The schema refuses most of them earlier; a spec stored under an older schema gets here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("spec.{field}: {reason}")]
pub struct Invalid {
    /// Path of the field below `spec`.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// An invalid spec with all its faults, without duplicates. Its text names the first faults and counts the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
pub struct InvalidSpec {
    faults: Vec<Invalid>,
}

impl From<settings::RefusedSetting> for Invalid {
    fn from(settings::RefusedSetting { field, reason }: settings::RefusedSetting) -> Self {
        Self { field, reason }
    }
}

impl Display for InvalidSpec {
    fn fmt(&self, to: &mut Formatter<'_>) -> std::fmt::Result {
        let named = self.faults.iter().take(NAMED).map(|fault| cut(&fault.to_string(), QUOTE));
        to.write_str(&named.collect::<Vec<_>>().join("; "))?;
        match self.faults.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(to, "; and {more} more"),
        }
    }
}

impl InvalidSpec {
    /// Each fault, in the order of the spec's fields.
    pub fn faults(&self) -> &[Invalid] {
        &self.faults
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// What was proven; or nothing, and what is wrong is noted.
    pub(super) fn keep<T>(&mut self, proven: Result<T, Invalid>) -> Option<T> {
        self.keep_all(proven.map_err(|fault| [fault]))
    }

    /// The same, where several things may be wrong.
    pub(super) fn keep_all<T, F: Into<Invalid>>(
        &mut self,
        proven: Result<T, impl IntoIterator<Item = F>>,
    ) -> Option<T> {
        proven.map_err(|faults| self.note(faults)).ok()
    }

    /// Notes what is wrong.
    pub(super) fn note<F: Into<Invalid>>(&mut self, faults: impl IntoIterator<Item = F>) {
        for fault in faults.into_iter().map(Into::into) {
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
    }
}

/// Each of them, or all faults among them.
pub(super) fn all_of<T>(proven: impl Iterator<Item = Result<T, Invalid>>) -> Result<Vec<T>, Vec<Invalid>> {
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for one in proven {
        match one {
            Ok(one) => good.push(one),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(good) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::words::CONDITION;

    fn spec(reasons: impl IntoIterator<Item = String>) -> InvalidSpec {
        let mut invalid = InvalidSpec::default();
        invalid.note(reasons.into_iter().map(|reason| Invalid { field: "config", reason }));
        invalid
    }

    #[test]
    fn the_first_faults_are_named_in_their_order_and_the_rest_is_counted() {
        let faults = |number: usize| spec((0..number).map(|n| format!("fault {n}"))).to_string();
        assert_eq!(faults(1), "spec.config: fault 0");
        assert_eq!(faults(2), "spec.config: fault 0; spec.config: fault 1");
        assert!(faults(8).ends_with("; spec.config: fault 7"));
        assert!(faults(11).ends_with("; spec.config: fault 7; and 3 more"), "{}", faults(11));
    }

    #[test]
    fn a_fault_is_named_once() {
        assert_eq!(spec(["same".to_owned(), "same".to_owned()]).to_string(), "spec.config: same");
    }

    #[test]
    fn however_long_and_many_they_are_a_condition_holds_them() {
        let long = spec((0..500).map(|n| format!("{n} {}", "x".repeat(5_000)))).to_string();
        assert!(long.len() < CONDITION && long.ends_with("; and 492 more"), "{}", long.len());
    }
}
