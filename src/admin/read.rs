//! Reading requests: path, query and body become values or a problem that names the field.
//! Everything has a bound.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::admit::AdmittedRequest;
use super::error::AdminError;
use crate::api::operate::{MAX_NAME, MAX_TEXT};
use crate::api::{Moment, Slug, TimeSpan};
use crate::gate::time::Time;

/// The largest body.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// The one name in the path.
pub(super) struct PathSegment(pub(super) String);

/// The query, read into `T`.
pub(super) struct QueryParams<T>(pub(super) T);

/// The JSON body, read into `T`. Only JSON: a form of another site's page can send nothing else
/// than a form (A102).
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync> FromRequestParts<S> for PathSegment {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| AdminError::new(Slug::Malformed, "the path is not text"))?;
        if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(AdminError::new(Slug::NotFound, "nothing has such a name"));
        }
        Ok(PathSegment(name))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AdminError> {
        let Query(params) = Query::<T>::try_from_uri(&parts.uri).map_err(|rejection| {
            bad(
                "",
                &std::error::Error::source(&rejection)
                    .map_or_else(|| rejection.to_string(), ToString::to_string),
            )
        })?;
        Ok(QueryParams(params))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = AdminError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, AdminError> {
        if !is_json(request.headers()) {
            return Err(AdminError::new(
                Slug::Unsupported,
                "the body must be JSON: `Content-Type: application/json`",
            ));
        }
        let let_in = request.extensions().get::<AdmittedRequest>().cloned();
        let body = bounded(request.into_body()).await?;
        let_in.map_or(Ok(()), |let_in| let_in.still())?;
        // No body is an empty one: approving needs no member.
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let mut reader = serde_json::Deserializer::from_slice(text);
        let asked = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let inner = error.inner();
            if inner.is_data() {
                bad(&error.path().to_string(), &inner.to_string())
            } else {
                AdminError::new(Slug::Malformed, format!("the body is not JSON: {inner}"))
            }
        })?;
        reader.end().map_err(|error| {
            AdminError::new(
                Slug::Malformed,
                format!("the body is not one JSON value: {error}"),
            )
        })?;
        Ok(JsonBody(asked))
    }
}

pub(super) async fn bounded(body: Body) -> Result<Bytes, AdminError> {
    match tokio::time::timeout(BODY_PATIENCE, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(AdminError::new(
            Slug::TooLarge,
            format!("the body is larger than {MAX_BODY} bytes"),
        )),
        Ok(Err(_)) => Err(AdminError::new(Slug::Malformed, "the body broke off")),
        Err(_) => Err(
            AdminError::new(Slug::Malformed, "the body did not arrive in time").with_status(408),
        ),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let mut parts = value.to_str().unwrap_or_default().split(';').map(str::trim);
    parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
        && parts.all(|part| part.is_empty() || part.eq_ignore_ascii_case("charset=utf-8"))
}

/// A member that cannot be read. Where the reader stopped in front of an object's end or at an
/// unknown member, the name is in its message alone.
fn bad(path: &str, message: &str) -> AdminError {
    let message = message.split(" at line ").next().unwrap_or(message);
    let named = || {
        ["missing field `", "unknown field `", "duplicate field `"]
            .into_iter()
            .find_map(|start| message.split_once(start)?.1.split('`').next())
    };
    match path {
        "" | "." => AdminError::field(&format!("/{}", named().unwrap_or_default()), message),
        path => match named().filter(|name| path.rsplit('.').next() != Some(*name)) {
            Some(name) => {
                AdminError::field(&format!("/{}/{name}", path.replace('.', "/")), message)
            }
            None => AdminError::field(&format!("/{}", path.replace('.', "/")), message),
        },
    }
}

/// A sentence that somebody must give.
pub(super) fn sentence<'t>(pointer: &str, text: &'t str) -> Result<&'t str, AdminError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(AdminError::field(pointer, "must not be empty"));
    }
    if text.chars().count() > MAX_TEXT {
        return Err(AdminError::field(
            pointer,
            format!("must have at most {MAX_TEXT} characters"),
        ));
    }
    // Escapes of a terminal have no place in a reason (A103).
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(AdminError::field(
            pointer,
            "must not hold control characters",
        ));
    }
    Ok(text)
}

/// A sentence that somebody may give.
pub(super) fn remark<'t>(
    pointer: &str,
    text: Option<&'t str>,
) -> Result<Option<&'t str>, AdminError> {
    text.map(|text| sentence(pointer, text)).transpose()
}

/// A name, an id or a reference: taken as it is, byte for byte.
pub(super) fn name<'t>(pointer: &str, text: &'t str) -> Result<&'t str, AdminError> {
    if text.is_empty() || text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(AdminError::field(
            pointer,
            format!("must have 1 to {MAX_NAME} characters, none of them a control character"),
        ));
    }
    Ok(text)
}

/// A name that may be absent.
pub(super) fn some_name<'t, T: From<&'t str>>(
    pointer: &str,
    text: Option<&'t str>,
) -> Result<Option<T>, AdminError> {
    text.map(|text| name(pointer, text).map(T::from))
        .transpose()
}

/// A duration that is not zero and at most `max`.
pub(super) fn lasting(
    pointer: &str,
    span: TimeSpan,
    max: Duration,
) -> Result<Duration, AdminError> {
    if span.0.is_zero() || span.0 > max {
        return Err(AdminError::field(
            pointer,
            format!("must be longer than nothing and at most {}", TimeSpan(max)),
        ));
    }
    Ok(span.0)
}

/// How many, from 1 to `max`; `default` where nobody says.
pub(super) fn limit(text: Option<&str>, default: usize, max: usize) -> Result<usize, AdminError> {
    let Some(text) = text else { return Ok(default) };
    text.parse()
        .ok()
        .filter(|limit| (1..=max).contains(limit))
        .ok_or_else(|| AdminError::field("/limit", format!("must be a number from 1 to {max}")))
}

/// A moment, or how long ago.
pub(super) fn moment(
    pointer: &str,
    text: Option<&str>,
    now: Time,
) -> Result<Option<Time>, AdminError> {
    text.map(|text| {
        Moment::at_or_ago(text, now)
            .map(|moment| moment.0)
            .map_err(|error| AdminError::field(pointer, error.to_string()))
    })
    .transpose()
}
