//! The OpenAPI 3.1 document for all that is ours.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// `GET /openapi.json`: fixed text, checked against the doors by a test.
pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}
