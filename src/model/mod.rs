//! Pure nouns that every stage shares: ids, memberships, a member's truth, what was wanted and what was seen.

pub mod charter;
pub mod desired;
pub mod ids;
pub mod layout;
pub mod membership;
pub mod names;
pub mod observed;
pub mod quantity;
pub mod truth;

pub use charter::Charter;
pub use desired::{Desired, Invalid};
pub use ids::{ConfigVersion, Ordinal, ServerId, Zxid};
pub use membership::{Membership, Server};
pub use names::Names;
pub use observed::{ClaimFacts, Fact, Live, Observation, PodFacts, SetFacts};
pub use truth::MemberTruth;
