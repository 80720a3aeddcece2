//! Encryption by us: what is stored is sealed before it leaves the process, with keys that the store never has.
//!
//! `key` is one key, `keys` those that somebody has (one of them seals), `object` what a sealed object looks like. The store seals and
//! opens; nobody else knows of it.
//!
//! Invariants: what is opened was sealed under the very name by which it was asked for, and nothing of it is missing; a key is never
//! shown.

mod key;
mod keys;
mod object;

pub use key::{Key, KeyError, KeyId};
pub use keys::{Keys, KeysError};
pub use object::{OpenError, Sealed, front, plain_length, sealed_length};
