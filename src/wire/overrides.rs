//! Finds headers and query keys that ask for another request than the one that is judged (A50), and
//! header names that another reader may take for another header (A55).

use http::{HeaderMap, HeaderName};

use super::Malformed;
use super::query::Query;
use crate::gate::policy::overrides::{HEADERS, METHOD_KEY, Overrides};

/// Refuses a request with a name that `allowed` does not let pass.
///
/// # Errors
/// [`Malformed::Override`] with the name of the first; [`Malformed::FieldUnderscore`].
pub fn check(
    headers: &HeaderMap,
    query: Option<&str>,
    allowed: &Overrides,
) -> Result<(), Malformed> {
    let has_underscore = |name: &HeaderName| name.as_str().contains('_');
    if !allowed.underscores() && headers.keys().any(has_underscore) {
        return Err(Malformed::FieldUnderscore);
    }
    // Every name of the list begins so, and few headers do.
    for name in headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-"))
    {
        if let Ok(at) = HEADERS.binary_search(&name.as_str())
            && !allowed.allows(HEADERS[at])
        {
            return Err(Malformed::Override(HEADERS[at]));
        }
    }
    // Most queries hold neither an underscore nor an encoded one.
    let may_name = query.is_some_and(|query| query.contains(['_', '.', '+', '[', '%']));
    if may_name && !allowed.allows(METHOD_KEY) && Query::new(query).names(METHOD_KEY) {
        return Err(Malformed::Override(METHOD_KEY));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn with(name: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_static("DELETE"),
        );
        headers
    }

    fn allowing(name: &str) -> Overrides {
        let mut allowed = Overrides::default();
        assert!(allowed.allow(name));
        allowed
    }

    #[test]
    fn s6_a_header_that_overrides_is_refused_and_named_unless_it_is_allowed() {
        let none = Overrides::default();
        for name in HEADERS {
            let error = Malformed::Override(name);
            assert!(error.to_string().starts_with(name));
            let refused = Err(error);
            assert_eq!(check(&with(name), None, &none), refused);
            assert_eq!(check(&with(&name.to_uppercase()), None, &none), refused);
            assert_eq!(check(&with(name), None, &allowing("_method")), refused);
            assert_eq!(check(&with(name), None, &allowing(name)), Ok(()));
        }
        assert_eq!(check(&with("x-request-id"), None, &none), Ok(()));
    }

    #[rstest]
    #[case("_method=DELETE")]
    #[case("a=1&_METHOD=PUT")]
    #[case("%5fmethod=DELETE")]
    #[case("%5F%6dethod")]
    #[case("_method[]=x")]
    #[case(".method=x")]
    #[case("a=1;_method=x")]
    fn s6_a_query_that_names_another_method_is_refused(#[case] query: &str) {
        let check = |allowed: &Overrides| check(&HeaderMap::new(), Some(query), allowed);
        assert_eq!(
            check(&Overrides::default()),
            Err(Malformed::Override(METHOD_KEY))
        );
        assert_eq!(check(&allowing("_method")), Ok(()));
    }

    #[test]
    fn s6_a_query_that_speaks_of_methods_passes() {
        let query = Some("method=card&x=_method&pay_method=card");
        assert_eq!(
            check(&HeaderMap::new(), query, &Overrides::default()),
            Ok(())
        );
    }

    #[test]
    fn s5_a_header_name_with_an_underscore_is_refused_unless_they_pass() {
        for name in [
            "x_http_method_override",
            "x_original_url",
            "x_dry_run",
            "a_b",
        ] {
            let check = |underscores| check(&with(name), None, &Overrides::new(underscores));
            assert_eq!(check(false), Err(Malformed::FieldUnderscore));
            assert_eq!(check(true), Ok(()));
        }
    }
}
