//! The one spelling of a number: its exact decimal digits in the layout of ECMAScript's
//! `Number::toString`, on which RFC 8785 builds.
//!
//! Nothing is rounded: `1.0`, `1` and `10e-1` are the same, 2^53 + 1 and 2^53 are not. `-0` is `0`,
//! as in RFC 8785.

use super::super::json::MAX_EXPONENT_DIGITS;

/// Plain notation below 10^21 and down to 10^-6, as ECMA-262 section 6.1.6.1.20 says.
const PLAIN_BELOW: i64 = 21;
const PLAIN_ABOVE: i64 = -6;

pub(super) fn write(text: &str, out: &mut Vec<u8>) {
    let (negative, unsigned) = text
        .strip_prefix('-')
        .map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let written: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let leading_zeros = written.iter().take_while(|&&digit| digit == b'0').count();
    let digits = written.get(leading_zeros..).unwrap_or_default();
    let digits = digits
        .get(
            ..digits
                .iter()
                .rposition(|&digit| digit != b'0')
                .map_or(0, |last| last + 1),
        )
        .unwrap_or_default();
    if digits.is_empty() {
        out.push(b'0');
        return;
    }
    if negative {
        out.push(b'-');
    }
    // The value is 0.DIGITS * 10^point. Lengths and the reader's bounded exponent lie far inside an
    // i64; saturation is for values that no reader made.
    let point = length(whole)
        .saturating_sub(i64::try_from(leading_zeros).unwrap_or(i64::MAX))
        .saturating_add(read_exponent(exponent));
    layout(digits, point, out);
}

fn layout(digits: &[u8], point: i64, out: &mut Vec<u8>) {
    let count = digits.len();
    let inside = usize::try_from(point).unwrap_or(0);
    if point > PLAIN_BELOW || point <= PLAIN_ABOVE {
        let (first, rest) = digits.split_at(1.min(count));
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        let exponent = point.saturating_sub(1);
        out.push(b'e');
        out.push(if exponent < 0 { b'-' } else { b'+' });
        out.extend_from_slice(exponent.unsigned_abs().to_string().as_bytes());
    } else if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(
            b'0',
            usize::try_from(-point).unwrap_or(0),
        ));
        out.extend_from_slice(digits);
    } else if inside >= count {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', inside - count));
    } else {
        let (whole, fraction) = digits.split_at(inside);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

fn read_exponent(text: &str) -> i64 {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let significant = digits.trim_start_matches('0');
    let size = if significant.is_empty() {
        0
    } else if significant.len() > MAX_EXPONENT_DIGITS {
        i64::MAX / 4
    } else {
        significant.parse().unwrap_or(i64::MAX / 4)
    };
    if negative { -size } else { size }
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    fn canonical(text: &str) -> String {
        let mut out = Vec::new();
        super::write(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[rstest]
    #[case("0", "0")]
    #[case("-0", "0")]
    #[case("0.000e999999999", "0")]
    #[case("1.0", "1")]
    #[case("1E2", "100")]
    #[case("10e-1", "1")]
    #[case("-12.340", "-12.34")]
    #[case("0.1", "0.1")]
    #[case("1e-1", "0.1")]
    #[case("0.000001", "0.000001")]
    #[case("0.0000001", "1e-7")]
    #[case("123e-8", "0.00000123")]
    #[case("123e-9", "1.23e-7")]
    #[case("1e20", "100000000000000000000")]
    #[case("999999999999999999999", "999999999999999999999")]
    #[case("1e21", "1e+21")]
    #[case("1234567890123456789012", "1.234567890123456789012e+21")]
    #[case("1e400", "1e+400")]
    #[case("9007199254740993", "9007199254740993")]
    #[case("333333333.33333329", "333333333.33333329")]
    #[case("2e-3", "0.002")]
    #[case("000", "0")]
    #[case("1e999999999", "1e+999999999")]
    fn a65_a_number_keeps_its_exact_decimal_value(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(canonical(text), expected);
        assert_eq!(canonical(expected), expected);
    }

    #[test]
    fn text_that_no_reader_would_pass_does_not_panic() {
        for text in [
            "",
            "-",
            "e",
            "1e",
            "1e-",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            ".",
            "x",
        ] {
            let _ = canonical(text);
        }
    }
}
