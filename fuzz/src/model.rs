//! Of the nouns, the ids alone.

#[path = "../../src/model/ids.rs"]
pub mod ids;
