//! Secrets whose content is generated once, when they are created: it is never rendered, so it is never replaced.

use super::Names;
use super::password::PASSWORD_KEY;

/// One of them.
pub struct Generated {
    /// Its name.
    pub name: fn(&Names) -> String,
    /// The key of what is made up.
    pub key: &'static str,
}

/// All that an ensemble has.
pub const GENERATED: &[Generated] = &[Generated { name: Names::super_secret, key: PASSWORD_KEY }];

/// What is to be made up in the Secret of that name.
pub fn key(names: &Names, secret: &str) -> Option<&'static str> {
    GENERATED.iter().find(|generated| (generated.name)(names) == secret).map(|generated| generated.key)
}
