//! What the gate refused, read aloud: an RFC 9457 problem as a fragment and a hint.

use http::StatusCode;

use super::failure::Failure;
use crate::api::Problem;

/// The failure that an answer with `status` and `body` stands for. What stands between here and the
/// gate may answer too, and not with a problem.
#[must_use]
pub(super) fn read(status: StatusCode, body: &str) -> Failure {
    let message = match serde_json::from_str::<Problem>(body) {
        Ok(problem) if !problem.detail.trim().is_empty() => describe(&problem),
        Ok(problem) => fragment(&problem.title),
        Err(_) => format!("the gate answered {status}"),
    };
    let failure = Failure {
        status: Some(status),
        ..Failure::new(message)
    };
    // Only the address that agents call says so.
    if failure.message.starts_with("NOT EXECUTED") {
        return failure.hint("agents call that address; name the gate's admin address with --admin or BURNGATE_ADMIN");
    }
    match hint(status) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The detail, and whatever is wrong with single fields that it does not say already.
fn describe(problem: &Problem) -> String {
    let mut message = fragment(&problem.detail);
    for error in problem
        .errors
        .iter()
        .filter(|error| !problem.detail.contains(error.detail.trim_end_matches('.')))
    {
        message = format!(
            "{message}; `{}`: {}",
            error.pointer,
            fragment(&error.detail)
        );
    }
    message
}

/// A sentence as a fragment: without its full stop, and beginning small unless it begins with a
/// name or in capitals.
fn fragment(sentence: &str) -> String {
    let text = sentence.trim();
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second))
            if first.is_uppercase() && (second.is_lowercase() || second == ' ') =>
        {
            first
                .to_lowercase()
                .chain([second])
                .chain(letters)
                .collect()
        }
        _ => text.to_owned(),
    }
}

/// What to do about a status that means the same for every command.
fn hint(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED => Some(
            "is the token that was sent one of this gate? it is the one in BURNGATE_TOKEN, else in the file BURNGATE_TOKEN_FILE, else in operator.token of --data",
        ),
        StatusCode::FORBIDDEN => Some(
            "viewers may look, reporters report and check runs, reviewers decide on held calls, operators do everything",
        ),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Some("try again in a moment")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Slug;
    use crate::api::problem::FieldError;

    fn described(status: u16, body: &str) -> (String, Option<String>) {
        let failure = read(StatusCode::from_u16(status).unwrap(), body);
        (failure.message, failure.hint)
    }

    fn problem(detail: &str) -> String {
        serde_json::to_string(&Problem::new(Slug::Conflict, detail)).unwrap()
    }

    #[test]
    fn a_problem_is_said_as_a_fragment() {
        assert_eq!(
            described(409, &problem("The approval is used already.")),
            ("the approval is used already".to_owned(), None)
        );
        assert_eq!(
            described(409, &problem("NOT EXECUTED: x")).0,
            "NOT EXECUTED: x"
        );
        assert_eq!(
            described(409, &problem(" ")).0,
            "the state does not permit it"
        );
    }

    #[test]
    fn what_is_wrong_with_a_field_is_said_too() {
        let error = FieldError {
            pointer: "/for".to_owned(),
            detail: "Expected a duration, such as 1h.".to_owned(),
        };
        let problem = Problem {
            errors: vec![error],
            ..Problem::new(Slug::Invalid, "A field is not valid.")
        };
        assert_eq!(
            described(422, &serde_json::to_string(&problem).unwrap()).0,
            "a field is not valid; `/for`: expected a duration, such as 1h"
        );
    }

    #[test]
    fn what_is_no_problem_is_told_by_its_status() {
        assert_eq!(
            described(502, "<html>").0,
            "the gate answered 502 Bad Gateway"
        );
        assert!(described(401, "{}").1.unwrap().contains("--data"));
        assert!(described(403, "").1.unwrap().contains("operator"));
    }
}
