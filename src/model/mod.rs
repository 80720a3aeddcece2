//! Pure nouns that every stage shares: ids, memberships, a member's truth, what was wanted and what was seen.

pub mod acl;
pub mod address;
mod amounts;
pub mod archive;
pub mod backup_end;
pub mod bounded;
pub mod charter;
pub mod cron;
pub mod desired;
#[cfg(test)]
pub mod fixtures;
pub mod generated;
pub mod heap;
pub mod hindrance;
pub mod ids;
pub mod invalid;
pub mod layout;
pub mod membership;
pub mod names;
pub mod observed;
pub mod parent;
pub mod password;
pub mod quantity;
pub mod quorum;
pub mod report;
pub mod retention;
pub mod selector;
pub mod store;
pub mod truth;
pub mod window;
pub mod words;

pub use acl::{Acl, RootAcl};
pub use charter::{Addresses, Beginning, Charter};
pub use desired::Desired;
pub use hindrance::{FieldDifference, Hindrance, Hindrances, OtherPod, PodRefusal, Unguarded, Unproven};
pub use ids::{ConfigVersion, Pool, Seat, ServerId, Zxid};
pub use invalid::{Invalid, InvalidSpec};
pub use membership::{Change, Membership, NotAMembership, Role, Server};
pub use names::Names;
pub use observed::{ClaimFacts, Fact, Live, MemberRequest, NodeFacts, Observation, PodFacts, Requests, SetFacts};
pub use parent::ParentPoint;
pub use quorum::Votes;
pub use truth::MemberTruth;
