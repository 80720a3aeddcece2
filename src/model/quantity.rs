//! Kubernetes quantities, as far as this operator compares and divides them.

/// A quantity in thousandths, exact if it fits; `None` if it is not a quantity.
pub fn milli(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let negative = whole.starts_with('-');
    let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    if !digits.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    if (digits.is_empty() && fraction.is_empty()) || digits.len() + fraction.len() > 20 {
        return None;
    }
    let mantissa: i128 = format!("{digits}{fraction}").parse().ok()?;
    let scale = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (factor, divisor) = match suffix {
        "n" => (1, 1_000_000),
        "u" => (1, 1_000),
        "m" => (1, 1),
        "" => (1_000, 1),
        "k" => (1_000_000, 1),
        "M" => (10i128.pow(9), 1),
        "G" => (10i128.pow(12), 1),
        "T" => (10i128.pow(15), 1),
        "P" => (10i128.pow(18), 1),
        "E" => (10i128.pow(21), 1),
        "Ki" => (1_000 << 10, 1),
        "Mi" => (1_000 << 20, 1),
        "Gi" => (1_000 << 30, 1),
        "Ti" => (1_000 << 40, 1),
        "Pi" => (1_000 << 50, 1),
        "Ei" => (1_000 << 60, 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            if !(-9..=18).contains(&power) {
                return None;
            }
            let ten = 10i128.pow(power.unsigned_abs());
            if power < 0 { (1_000, ten) } else { (1_000 * ten, 1) }
        }
    };
    // Rounded up, as the API server does: less than a thousandth of a core is a thousandth.
    let value =
        mantissa.checked_mul(factor)?.checked_add(scale.checked_mul(divisor)? - 1)? / scale.checked_mul(divisor)?;
    Some(if negative { -value } else { value })
}

/// A quantity of memory in whole bytes.
pub fn bytes(text: &str) -> Option<u64> {
    u64::try_from(milli(text)? / 1_000).ok()
}

/// Whether two texts mean the same amount: the API server writes `1000m` as `1`.
pub fn same(a: &str, b: &str) -> bool {
    a == b || matches!((milli(a), milli(b)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_reads_them() {
        for (text, want) in
            [("1Gi", 1 << 30), ("0.5Gi", 1 << 29), ("512M", 512_000_000), ("1e3", 1_000), ("7", 7), ("1500m", 1)]
        {
            assert_eq!(bytes(text), Some(want), "{text}");
        }
        for text in ["", "Gi", "1Q", "1 Gi", "--1", "1e99", "999999999999999999999999", "."] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn texts_of_the_same_amount_are_the_same() {
        assert!(same("1000m", "1") && same("1024Mi", "1Gi") && same("0.5", "500m"));
        assert!(!same("1G", "1Gi") && !same("a", "b") && same("a", "a"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,30}") {
            let _ = milli(&text);
        }

        #[test]
        fn whole_numbers_are_themselves(n in 0u64..1_000_000_000_000) {
            prop_assert_eq!(bytes(&n.to_string()), Some(n));
        }
    }
}
