//! The super user's password, as the operator and the agents both have to read it.

/// Key of the password in the Secret, and name of the mounted file.
pub const PASSWORD_KEY: &str = "password";

/// The part of a Secret's value that is the password. `echo new | base64` and most editors add a newline, which the
/// agent does not put into the digest and the operator must not send.
pub fn password(value: &str) -> &str {
    value.trim_end_matches(['\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_r08_a_newline_behind_a_password_is_not_part_of_it_for_anybody() {
        for value in ["pw", "pw\n", "pw\r\n", "pw\n\n"] {
            assert_eq!(password(value), "pw");
        }
        assert_eq!(password(" p w "), " p w ");
    }
}
