//! An invalid spec: the operator changes nothing, and names everything that is wrong.

use super::view::View;
use super::{Reason, Step};

/// Everything that is wrong with it.
pub fn invalid(view: &View<'_>) -> Option<Step> {
    let invalid = view.seen.desired.as_ref().err()?;
    Some(Step::Refuse(Reason::new("InvalidSpec", invalid.to_string())))
}
